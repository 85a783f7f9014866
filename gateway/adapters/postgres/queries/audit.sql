-- name: audit_lock
-- One gateway seals at a time.
SELECT pg_try_advisory_xact_lock($1);

-- name: audit_end
SELECT sequence, hash FROM audit WHERE sequence IS NOT NULL ORDER BY sequence DESC LIMIT 1;

-- name: audit_open
SELECT id, kind, body, recorded_at FROM audit WHERE sequence IS NULL ORDER BY id LIMIT $1;

-- name: seal
UPDATE audit AS a SET sequence = u.sequence, hash = u.hash
FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS u (id, sequence, hash)
WHERE a.id = u.id;

-- name: audit_page
SELECT sequence, kind, body, recorded_at, hash FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2;

-- name: keep_audit_head
INSERT INTO audit_head (sequence, head, key_id, signature, certificates) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING;

-- name: audit_heads
SELECT head, key_id, signature, certificates FROM audit_head
WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence;

-- name: newest_audit_head
SELECT head, key_id, signature, certificates FROM audit_head ORDER BY sequence DESC LIMIT 1;
