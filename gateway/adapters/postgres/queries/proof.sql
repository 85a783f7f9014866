-- name: keep_receipts
-- The first one of a task stays, unless only a later one could be verified.
INSERT INTO receipt (task_id, region, correlation_id, resource, generation, kind, body, verified)
SELECT * FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::smallint[], $7::bytea[], $8::boolean[])
ON CONFLICT (task_id, region) DO UPDATE SET
    correlation_id = excluded.correlation_id, resource = excluded.resource, generation = excluded.generation,
    kind = excluded.kind, body = excluded.body, verified = true
WHERE excluded.verified AND NOT receipt.verified;

-- name: proof_tasks
SELECT t.id, t.region, r.name, t.generation, t.kind, t.state, coalesce(nullif(t.message, ''), t.reason) AS message,
       e.body AS receipt
FROM task AS t
INNER JOIN resource AS r ON r.id = t.resource_id
LEFT JOIN receipt AS e ON e.task_id = t.id AND e.region = t.region
WHERE t.correlation_id = $1 AND (t.kind = ANY($2::smallint[]) OR e.body IS NOT NULL);

-- name: proof_targets
-- What each region has to prove, by which receipt it did, and what is known of it where it did not.
SELECT t.region, r.name, t.generation, t.task_kind AS kind, t.state AS target, t.superseded_by, t.created_at AS since,
       coalesce(nullif(p.message, ''), p.reason, '') AS message, e.task_id AS receipt_task, e.body AS receipt,
       w.body AS tenant, c.contacted_at,
       coalesce(c.open AND c.contacted_at > now() - interval '10 seconds', false) AS connected
FROM job_target AS t
INNER JOIN resource AS r ON r.id = t.resource_id
LEFT JOIN placement AS p ON p.resource_id = t.resource_id AND p.region = t.region
LEFT JOIN receipt AS e ON e.task_id = t.fulfilled_by AND e.region = t.region
LEFT JOIN resource AS w ON w.kind = 2 AND w.tenant = r.tenant AND r.tenant <> ''
LEFT JOIN (
    SELECT region, max(contacted_at) AS contacted_at, bool_or(open) AS open FROM contact GROUP BY region
) AS c ON c.region = t.region
WHERE t.correlation_id = $1 AND t.task_kind = ANY($2::smallint[]);

-- name: proof_more
-- What no task brought about: the owner of an L1 refused it.
SELECT e.task_id AS id, e.region, e.resource AS name, e.generation, e.kind, 3 AS state, '' AS message, e.body AS receipt
FROM receipt AS e
WHERE e.correlation_id = $1 AND NOT EXISTS (SELECT 1 FROM task AS t WHERE t.id = e.task_id AND t.region = e.region);

-- name: proof_placements
SELECT p.region, r.name, p.desired_generation AS generation, p.task_kind AS kind, 1 AS state, '' AS message,
       NULL::bytea AS receipt
FROM placement AS p INNER JOIN resource AS r ON r.id = p.resource_id
WHERE p.correlation_id = $1 AND p.task_kind = ANY($2::smallint[]);

-- name: keep_certificate
INSERT INTO certificate (key_id, name, certificate, chain, begins_at, ends_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING;

-- name: certificates
SELECT key_id, name, certificate, chain, begins_at, ends_at
FROM certificate WHERE key_id = ANY($1::bytea[]) ORDER BY ends_at;
