-- Requests that take two people, of every kind: what one person asked for, and what another one decided. `state` is
-- orbital.v1.ApprovalState; an open one past its end is expired, whether the row says so yet or not. `detail` is the
-- message of its kind, as JSON.
CREATE TABLE approval (
    id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('restoration', 'decommission', 'removal')),
    subject text COLLATE "C" NOT NULL,
    -- What exactly is asked for, where the subject does not say it; of another one it is not approved.
    digest text NOT NULL DEFAULT '',
    detail jsonb NOT NULL,
    -- The call that waits, where it is one.
    request bytea NOT NULL DEFAULT '',
    reason text NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    state smallint NOT NULL DEFAULT 1,
    decided_by text NOT NULL DEFAULT '',
    decided_at timestamptz,
    decline_reason text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX approval_open ON approval (kind, subject, digest) WHERE state = 1;
CREATE INDEX approval_newest ON approval (asked_at, id);

INSERT INTO approval (
    id, kind, subject, detail, reason, asked_by, asked_at, expires_at, state, decided_by, decided_at, decline_reason)
SELECT id, 'restoration', 'tenants/' || tenant,
       jsonb_build_object('tenant', tenant, 'generation', generation, 'links', links),
       reason, asked_by, asked_at, expires_at, state, decided_by, decided_at, decline_reason
FROM restoration
UNION ALL
SELECT id, 'decommission', 'regions/' || region,
       jsonb_strip_nulls(jsonb_build_object(
           'region', region, 'placements', placements, 'tenants', tenants, 'unproven', unproven,
           'last_contact_at', to_char(contacted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'serve_until', to_char(serve_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))),
       reason, asked_by, asked_at, expires_at, state, decided_by, decided_at, decline_reason
FROM decommission;

CREATE FUNCTION audit_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT kind, detail || jsonb_build_object(
        'correlation_id', id, 'subject', subject, 'digest', digest, 'state', state, 'reason', reason,
        'asked_by', asked_by, 'expires_at', expires_at, 'decided_by', decided_by, 'decline_reason', decline_reason)
    FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_approval_asked AFTER INSERT ON approval REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_approval();
CREATE TRIGGER audit_approval_decided AFTER UPDATE ON approval REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_approval();

ALTER TABLE lost_placement DROP CONSTRAINT lost_placement_decommission_id_fkey;
ALTER TABLE lost_placement RENAME COLUMN decommission_id TO approval_id;
ALTER TABLE lost_placement ADD FOREIGN KEY (approval_id) REFERENCES approval (id);
DROP TABLE restoration, decommission;
DROP FUNCTION audit_restoration, audit_decommission;
