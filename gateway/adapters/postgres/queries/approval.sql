-- name: approvals
-- Newest first. A page begins after the row that $5 and $6 name.
SELECT id, kind, subject, detail::text AS detail, reason, asked_by, asked_at, expires_at, decided_by, decided_at,
       decline_reason, CASE WHEN state = 1 AND expires_at <= now() THEN 4 ELSE state END AS state
FROM approval
WHERE $1 IN ('', id) AND $2 IN ('', kind) AND $7 IN ('', subject) AND (NOT $3::boolean OR (state = 1 AND expires_at > now()))
  AND ($5::timestamptz IS NULL OR (asked_at, id) < ($5, $6))
ORDER BY asked_at DESC, id DESC
LIMIT $4;

-- name: approval_request
SELECT digest, request FROM approval WHERE id = $1;

-- name: expire_approval
UPDATE approval SET state = 4
WHERE kind = $1 AND subject = $2 AND digest = $3 AND state = 1 AND expires_at <= now();

-- name: open_approval
SELECT id, asked_by FROM approval WHERE kind = $1 AND subject = $2 AND digest = $3 AND state = 1;

-- name: ask_approval
INSERT INTO approval (id, kind, subject, digest, detail, request, reason, asked_by, expires_at)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8, now() + $9 * interval '1 second');

-- name: close_approval
UPDATE approval SET
    state = $2::smallint, decided_by = $3, decided_at = now(), decline_reason = $4, detail = $5::text::jsonb
WHERE id = $1 AND state = 1 AND expires_at > now()
RETURNING id;
