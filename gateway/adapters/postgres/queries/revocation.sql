-- name: revocations
SELECT region, reason, actor, revoked_at, certificate_from, token_from FROM revocation;

-- name: revoke_region
-- Nothing comes back when it is revoked already.
INSERT INTO revocation (region, reason, actor, decision_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (region) DO UPDATE SET
    reason = excluded.reason, actor = excluded.actor, decision_id = excluded.decision_id, revoked_at = now(),
    certificate_from = NULL, token_from = NULL
WHERE revocation.certificate_from IS NOT NULL
RETURNING revoked_at;

-- name: restore_region
UPDATE revocation SET certificate_from = $2, token_from = $3 WHERE region = $1;

-- name: invite
INSERT INTO invitation (token, region, actor, decision_id, ends_at) VALUES ($1, $2, $3, $4, $5);

-- name: end_invitations
-- Those of a region that is revoked.
UPDATE invitation SET ends_at = now() WHERE region = $1 AND used_at IS NULL AND ends_at > now();

-- name: take_invitation
-- Whoever comes second finds it used: the row is locked until the first is done.
SELECT region, used_at IS NOT NULL AS used, ends_at <= now() AS ended FROM invitation WHERE token = $1 FOR UPDATE;

-- name: use_invitation
UPDATE invitation SET used_at = now() WHERE token = $1;
