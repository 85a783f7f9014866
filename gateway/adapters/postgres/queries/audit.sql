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
WITH signer AS (
    INSERT INTO audit_signer (digest, certificates) VALUES (audit_signer_digest($5), $5) ON CONFLICT DO NOTHING
)
INSERT INTO audit_head (sequence, head, key_id, signature, signer) VALUES ($1, $2, $3, $4, audit_signer_digest($5))
ON CONFLICT DO NOTHING;

-- name: audit_heads
SELECT h.head, h.key_id, h.signature, s.certificates
FROM audit_head AS h INNER JOIN audit_signer AS s ON s.digest = h.signer
WHERE h.sequence > $1 AND h.sequence <= $2 ORDER BY h.sequence;

-- name: newest_audit_head
SELECT h.head, h.key_id, h.signature, s.certificates
FROM audit_head AS h INNER JOIN audit_signer AS s ON s.digest = h.signer
ORDER BY h.sequence DESC LIMIT 1;
