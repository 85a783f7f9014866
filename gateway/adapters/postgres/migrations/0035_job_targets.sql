-- What a change has to bring about, kept apart from the placements, which belong to the newest change alone. Each
-- placement of a revocation is here from the start; one of any other change from the moment when a later change takes
-- the placement over before it has converged.
CREATE TABLE job_target (
    resource_id bigint NOT NULL REFERENCES resource (id),
    region text COLLATE "C" NOT NULL,
    -- The generation that has to be reached, and the kind and lane of the task that brings it about.
    generation bigint NOT NULL,
    task_kind smallint NOT NULL,
    lane smallint NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    -- 1 open, 2 fulfilled, 3 superseded.
    state smallint NOT NULL DEFAULT 1,
    -- The task whose receipt fulfilled it, or the change that superseded it.
    fulfilled_by uuid,
    superseded_by text COLLATE "C" NOT NULL DEFAULT '',
    -- How often its task was made after the placement was taken over, and when to make it again.
    attempt integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    PRIMARY KEY (resource_id, region, generation)
) WITH (fillfactor = 80);
CREATE INDEX job_target_job ON job_target (correlation_id);
CREATE INDEX job_target_open ON job_target (lane, due_at) WHERE state = 1;

-- A change ends converged, or superseded by others; until now every end was called converged.
ALTER TABLE job ADD COLUMN ended_at timestamptz;
ALTER TABLE job ADD COLUMN superseded integer NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN superseded_by text[] NOT NULL DEFAULT '{}';
UPDATE job SET ended_at = converged_at WHERE converged_at IS NOT NULL;
DROP INDEX job_open;
CREATE INDEX job_open ON job (created_at) WHERE ended_at IS NULL;

-- Revocations that are under way: UNLINK_KEY, EMERGENCY_ROTATE, PURGE_KEY and RETIRE_TENANT.
INSERT INTO job_target (resource_id, region, generation, task_kind, lane, correlation_id)
SELECT resource_id, region, desired_generation, task_kind, lane, correlation_id
FROM placement WHERE desired_generation > observed_generation AND task_kind IN (1, 7, 8, 9);

-- No statement can take a placement that is behind from its change, or remove it, without leaving a target behind: a
-- change would count as done because nothing is left of it.
CREATE FUNCTION placement_keeps_target() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM job_target AS t
        WHERE t.resource_id = OLD.resource_id AND t.region = OLD.region AND t.generation = OLD.desired_generation
    ) THEN
        RAISE EXCEPTION 'Placement % in % still has to reach generation % for change %, and nothing records it',
            OLD.resource_id, OLD.region, OLD.desired_generation, OLD.correlation_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER placement_taken_over AFTER UPDATE ON placement FOR EACH ROW
    WHEN (OLD.desired_generation > OLD.observed_generation AND OLD.correlation_id <> NEW.correlation_id)
    EXECUTE FUNCTION placement_keeps_target();
CREATE TRIGGER placement_removed AFTER DELETE ON placement FOR EACH ROW
    WHEN (OLD.desired_generation > OLD.observed_generation)
    EXECUTE FUNCTION placement_keeps_target();

CREATE FUNCTION audit_superseded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'superseded', jsonb_build_object(
        'correlation_id', n.correlation_id, 'placements', n.superseded, 'by', n.superseded_by)
    FROM fresh AS n INNER JOIN stale AS o ON o.correlation_id = n.correlation_id
    WHERE n.ended_at IS NOT NULL AND o.ended_at IS NULL AND n.converged_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_superseded AFTER UPDATE ON job REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_superseded();
