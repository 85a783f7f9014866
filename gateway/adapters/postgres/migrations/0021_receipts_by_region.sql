-- A region speaks of its own tasks alone: what one says of a task is no word about another's, whoever comes first.
ALTER TABLE receipt DROP CONSTRAINT receipt_pkey;
ALTER TABLE receipt ADD PRIMARY KEY (task_id, region);
-- Whether its signature was verified when it came. One that was not, because its key was not certified yet, makes room
-- for one that is.
ALTER TABLE receipt ADD COLUMN verified boolean NOT NULL DEFAULT false;
CREATE TRIGGER audit_receipt_verified AFTER UPDATE ON receipt REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_receipt();
