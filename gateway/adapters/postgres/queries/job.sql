-- name: insert_targets
-- Of the revocations among the placements of a change.
INSERT INTO job_target (resource_id, region, generation, task_kind, lane, correlation_id)
SELECT u.resource_id, u.region, u.generation, u.task_kind, u.lane, $6
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::smallint[], $5::smallint[])
    AS u (resource_id, region, generation, task_kind, lane);

-- name: displace
-- What these placements still owe to earlier changes, before a later one takes them over: a revocation stays open, any
-- other change is superseded. A revocation is recorded already; from now on it may have to be driven by itself.
WITH behind AS (
    SELECT p.*, p.driven_generation = p.desired_generation AS driven
    FROM unnest($1::bigint[], $2::text[]) AS u (resource_id, region)
    INNER JOIN placement AS p ON p.resource_id = u.resource_id AND p.region = u.region
    WHERE p.desired_generation > p.observed_generation
    FOR NO KEY UPDATE OF p
)
INSERT INTO job_target AS t (
    resource_id, region, generation, task_kind, lane, correlation_id, state, superseded_by, attempt, due_at, ended_at)
SELECT b.resource_id, b.region, b.desired_generation, b.task_kind, b.lane, b.correlation_id,
       CASE WHEN b.task_kind = ANY($4::smallint[]) THEN 1 ELSE 3 END,
       CASE WHEN b.task_kind = ANY($4) THEN '' ELSE $3 END,
       CASE WHEN b.driven THEN b.attempt ELSE 0 END, CASE WHEN b.driven THEN b.due_at ELSE now() END,
       CASE WHEN b.task_kind = ANY($4) THEN NULL ELSE now() END
FROM behind AS b
ON CONFLICT (resource_id, region, generation) DO UPDATE SET attempt = excluded.attempt, due_at = excluded.due_at
RETURNING t.correlation_id;

-- name: supersede_targets
-- What a later change takes back on purpose is not brought about any more.
UPDATE job_target AS t SET state = 3, superseded_by = $3, ended_at = now()
FROM unnest($1::bigint[], $2::text[]) AS u (resource_id, region)
WHERE t.resource_id = u.resource_id AND t.region = u.region AND t.state = 1 AND t.task_kind = ANY($4::smallint[])
RETURNING t.correlation_id;

-- name: fulfil
-- A receipt speaks for its own generation and for every earlier one of the resource in that region.
UPDATE job_target AS t SET state = 2, fulfilled_by = u.task_id, ended_at = now()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[])
    AS u (task_id, region, resource, generation, correlation_id)
INNER JOIN resource AS r ON r.name = u.resource
WHERE t.resource_id = r.id AND t.region = u.region AND t.generation <= u.generation AND t.state = 1
    -- A receipt of a change that a restored database has lost proves nothing of another change.
    AND EXISTS (SELECT FROM job AS j WHERE j.correlation_id = u.correlation_id)
RETURNING t.correlation_id;

-- name: overdue_targets
-- Revocations that nothing else drives: their placement was taken over by work of another kind, or says that it is done
-- and brought no receipt.
SELECT t.resource_id, t.region, t.task_kind, t.lane, t.generation, t.correlation_id, t.attempt, r.name, r.tenant
FROM job_target AS t
INNER JOIN resource AS r ON r.id = t.resource_id
LEFT JOIN placement AS p ON p.resource_id = t.resource_id AND p.region = t.region
WHERE t.state = 1 AND t.lane = $1::smallint AND t.due_at <= now()
    AND NOT coalesce(p.desired_generation > p.observed_generation AND p.task_kind = t.task_kind, false)
    AND (t.attempt = 0 OR EXISTS (
        SELECT 1 FROM contact AS c
        WHERE c.region = t.region AND c.lane = t.lane AND c.open AND c.contacted_at > now() - interval '10 seconds'))
ORDER BY t.due_at, t.resource_id
LIMIT $2
FOR NO KEY UPDATE OF t SKIP LOCKED;

-- name: mark_targets_driven
UPDATE job_target AS t SET attempt = t.attempt + 1, due_at = now() + u.seconds * interval '1 second'
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::float8[]) AS u (resource_id, region, generation, seconds)
WHERE t.resource_id = u.resource_id AND t.region = u.region AND t.generation = u.generation;

-- name: converge
-- A change ends when none of its placements is behind and none of its targets is open: converged if all were fulfilled.
WITH closed AS (
    UPDATE job AS j SET
        ended_at = now(), converged_at = CASE WHEN s.superseded > 0 THEN NULL ELSE now() END,
        superseded = s.superseded, superseded_by = s.superseded_by
    FROM (
        SELECT c.correlation_id, count(t.resource_id) AS superseded,
               coalesce(array_agg(DISTINCT t.superseded_by) FILTER (WHERE t.state = 3), '{}') AS superseded_by
        FROM unnest($1::text[]) AS c (correlation_id)
        LEFT JOIN job_target AS t ON t.correlation_id = c.correlation_id AND t.state = 3
        GROUP BY c.correlation_id
    ) AS s
    WHERE j.correlation_id = s.correlation_id AND j.ended_at IS NULL
        AND NOT EXISTS (
            SELECT 1 FROM placement AS p
            WHERE p.correlation_id = j.correlation_id AND p.desired_generation > p.observed_generation)
        AND NOT EXISTS (SELECT 1 FROM job_target AS t WHERE t.correlation_id = j.correlation_id AND t.state = 1)
    RETURNING j.correlation_id
)
SELECT pg_notify('orbital_job', correlation_id) FROM closed;

-- name: unended
-- The safety net: changes that may have ended unnoticed, since two that end one another do not see each other.
SELECT j.correlation_id FROM job AS j
WHERE j.ended_at IS NULL AND j.created_at < now() - interval '1 second'
    AND NOT EXISTS (
        SELECT 1 FROM placement AS p
        WHERE p.correlation_id = j.correlation_id AND p.desired_generation > p.observed_generation)
    AND NOT EXISTS (SELECT 1 FROM job_target AS t WHERE t.correlation_id = j.correlation_id AND t.state = 1)
LIMIT 1000;
