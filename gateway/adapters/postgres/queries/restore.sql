-- name: restorations
SELECT
    n.*,
    CASE WHEN n.state = 1 THEN (
        SELECT count(*) FROM resource AS r WHERE r.tenant = n.tenant AND r.kind = 4 AND NOT r.retired
    ) ELSE 0 END AS services,
    CASE WHEN n.state = 1 THEN (
        SELECT coalesce(array_agg(DISTINCT p.region ORDER BY p.region), '{}')
        FROM placement AS p INNER JOIN resource AS r ON r.id = p.resource_id
        WHERE r.tenant = n.tenant
    ) ELSE '{}' END AS regions
FROM (
    SELECT id, tenant, generation, links, reason, asked_by, asked_at, expires_at, decided_by, decided_at,
           decline_reason, CASE WHEN state = 1 AND expires_at <= now() THEN 4 ELSE state END AS state
    FROM restoration
    WHERE $1 IN ('', id)
    ORDER BY asked_at DESC
    LIMIT $2
) AS n
ORDER BY n.asked_at DESC;

-- name: expire_restoration
UPDATE restoration SET state = 4 WHERE tenant = $1 AND state = 1 AND expires_at <= now();

-- name: open_restoration
SELECT id FROM restoration WHERE tenant = $1 AND state = 1;

-- name: ask_restoration
INSERT INTO restoration (id, tenant, generation, links, reason, asked_by, expires_at)
VALUES ($1, $2, $3, $4::text[], $5, $6, now() + $7 * interval '1 second');

-- name: close_restoration
UPDATE restoration SET state = $2::smallint, decided_by = $3, decided_at = now(), decline_reason = $4
WHERE id = $1 AND state = 1 AND expires_at > now()
RETURNING id;
