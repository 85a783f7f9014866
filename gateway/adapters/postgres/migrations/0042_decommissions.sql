-- Requests to take a region out for good. `state` is orbital.v1.DecommissionState; an open one past its end is expired,
-- whether the row says so yet or not. The numbers are those of the moment when it was taken out.
CREATE TABLE decommission (
    id text COLLATE "C" PRIMARY KEY,
    region text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    state smallint NOT NULL DEFAULT 1,
    decided_by text NOT NULL DEFAULT '',
    decided_at timestamptz,
    decline_reason text NOT NULL DEFAULT '',
    placements integer NOT NULL DEFAULT 0,
    tenants integer NOT NULL DEFAULT 0,
    unproven integer NOT NULL DEFAULT 0,
    contacted_at timestamptz,
    serve_until timestamptz
);
CREATE UNIQUE INDEX decommission_open ON decommission (region) WHERE state = 1;
CREATE INDEX decommission_newest ON decommission (asked_at);

-- What was placed in a region when it was taken out: what it proved last, and until when it may serve.
CREATE TABLE lost_placement (
    decommission_id text COLLATE "C" NOT NULL REFERENCES decommission (id),
    resource_id bigint NOT NULL REFERENCES resource (id),
    observed_generation bigint NOT NULL,
    desired_generation bigint NOT NULL,
    key_state smallint NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (decommission_id, resource_id)
);
CREATE INDEX lost_placement_resource ON lost_placement (resource_id);

CREATE FUNCTION audit_decommission() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'decommission', jsonb_build_object(
        'correlation_id', id, 'region', region, 'state', state, 'reason', reason, 'asked_by', asked_by,
        'expires_at', expires_at, 'decided_by', decided_by, 'decline_reason', decline_reason,
        'placements', placements, 'unproven', unproven, 'serve_until', serve_until)
    FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_decommission_asked AFTER INSERT ON decommission REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_decommission();
CREATE TRIGGER audit_decommission_decided AFTER UPDATE ON decommission REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_decommission();

COMMENT ON COLUMN job_target.state IS '1 open, 2 fulfilled, 3 superseded, 4 given up with its region';
