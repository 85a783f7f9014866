-- What was refused is bounded, so that a flood of it cannot fill the disk, nor the audit trail. Refusals of an hour that
-- are alike are one, with a count; dead letters of a region are bounded in number and bytes, the newest are kept.
ALTER TABLE denial
    ADD COLUMN hour timestamptz NOT NULL DEFAULT date_trunc('hour', now()),
    ADD COLUMN count bigint NOT NULL DEFAULT 1,
    ADD COLUMN last_at timestamptz NOT NULL DEFAULT now();
UPDATE denial SET
    hour = date_trunc('hour', created_at), last_at = created_at, principal = left(principal, 512),
    action = left(action, 256), message = left(message, 1024), correlation_id = left(correlation_id, 64),
    reason = left(reason, 64), engine = left(engine, 128), policy = left(policy, 64);
WITH alike AS (
    SELECT max(id) AS id, count(*) AS count, min(created_at) AS created_at
    FROM denial GROUP BY policy, principal, action, reason, correlation_id, engine, hour
)
UPDATE denial AS d SET count = a.count, created_at = a.created_at FROM alike AS a WHERE a.id = d.id;
DELETE FROM denial AS d USING denial AS newer
WHERE newer.id > d.id
    AND (newer.policy, newer.principal, newer.action, newer.reason, newer.correlation_id, newer.engine, newer.hour)
    = (d.policy, d.principal, d.action, d.reason, d.correlation_id, d.engine, d.hour);
DROP INDEX denial_once;
CREATE UNIQUE INDEX denial_alike ON denial (hour, principal, policy, action, reason, correlation_id, engine);
CREATE INDEX denial_last ON denial (last_at);

-- A message repeats what was sent, and would make an event of each.
ALTER TABLE security_event DROP CONSTRAINT security_event_region_subject_reason_message_principal_hour_key;
WITH alike AS (
    SELECT max(id) AS id, sum(count) AS count, min(first_at) AS first_at, max(last_at) AS last_at
    FROM security_event GROUP BY region, subject, reason, principal, hour
)
UPDATE security_event AS e SET count = a.count, first_at = a.first_at, last_at = a.last_at
FROM alike AS a WHERE a.id = e.id;
DELETE FROM security_event AS e USING security_event AS newer
WHERE newer.id > e.id
    AND (newer.region, newer.subject, newer.reason, newer.principal, newer.hour)
    = (e.region, e.subject, e.reason, e.principal, e.hour);
CREATE UNIQUE INDEX security_event_alike ON security_event (region, subject, reason, principal, hour);

CREATE INDEX dead_letter_region ON dead_letter (region, id);
CREATE TABLE dead_letter_count (
    region text COLLATE "C" PRIMARY KEY,
    hour timestamptz NOT NULL,
    -- In that hour.
    received bigint NOT NULL,
    -- Ever, to make room for newer ones.
    dropped bigint NOT NULL
);

-- Of a flood, the trail holds the first hundred of each hour.
CREATE OR REPLACE FUNCTION audit_dead_letter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'dead_letter', jsonb_build_object(
        'region', f.region, 'lane', f.lane, 'reason', f.reason, 'sha256', encode(sha256(f.payload), 'hex'))
    FROM fresh AS f LEFT JOIN dead_letter_count AS c ON c.region = f.region
    WHERE coalesce(c.received, 0) <= 100;
    RETURN NULL;
END $$;
