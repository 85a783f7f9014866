-- Changes, newest first.
CREATE INDEX job_newest ON job (created_at, correlation_id);
