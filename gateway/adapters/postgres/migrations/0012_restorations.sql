-- Requests to restore a killed tenant. `state` is orbital.v1.RestorationState; an open one past its end is expired,
-- whether the row says so yet or not.
CREATE TABLE restoration (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    -- The tenant's, as it was when somebody asked.
    generation bigint NOT NULL,
    links text[] NOT NULL,
    reason text NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    state smallint NOT NULL DEFAULT 1,
    decided_by text NOT NULL DEFAULT '',
    decided_at timestamptz,
    decline_reason text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX restoration_open ON restoration (tenant) WHERE state = 1;
CREATE INDEX restoration_newest ON restoration (asked_at);

CREATE FUNCTION audit_restoration() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'restoration', jsonb_build_object(
        'correlation_id', id, 'tenant', tenant, 'state', state, 'reason', reason, 'asked_by', asked_by,
        'expires_at', expires_at, 'decided_by', decided_by, 'decline_reason', decline_reason)
    FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_restoration_asked AFTER INSERT ON restoration REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_restoration();
CREATE TRIGGER audit_restoration_decided AFTER UPDATE ON restoration REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_restoration();
