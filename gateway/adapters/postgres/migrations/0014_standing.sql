-- Regions whose identity was revoked. What was issued before the two last times stays refused after the region has
-- enrolled again; they are null until then.
CREATE TABLE revocation (
    region text COLLATE "C" PRIMARY KEY,
    reason text NOT NULL,
    actor text NOT NULL,
    decision_id text NOT NULL,
    revoked_at timestamptz NOT NULL DEFAULT now(),
    certificate_from timestamptz,
    token_from timestamptz
);

-- Tokens that turn into an identity, by their SHA-256.
CREATE TABLE invitation (
    token bytea PRIMARY KEY,
    region text COLLATE "C" NOT NULL,
    actor text NOT NULL,
    decision_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL,
    used_at timestamptz
);

CREATE FUNCTION revocation_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT CASE WHEN certificate_from IS NULL THEN 'revocation' ELSE 'reinstated' END, jsonb_build_object(
        'region', region, 'actor', actor, 'reason', reason, 'decision_id', decision_id)
    FROM fresh;
    PERFORM pg_notify('orbital_standing', '');
    RETURN NULL;
END $$;
CREATE TRIGGER revocation_made AFTER INSERT ON revocation REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION revocation_changed();
CREATE TRIGGER revocation_changed AFTER UPDATE ON revocation REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION revocation_changed();

CREATE FUNCTION audit_invitation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT CASE WHEN used_at IS NULL THEN 'invitation' ELSE 'enrolment' END, jsonb_build_object(
        'region', region, 'actor', actor, 'decision_id', decision_id, 'ends_at', ends_at)
    FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_invitation_made AFTER INSERT ON invitation REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_invitation();
CREATE TRIGGER audit_invitation_changed AFTER UPDATE ON invitation REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_invitation();
