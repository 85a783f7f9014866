-- name: drifts
-- Behind and due: a generation that nobody drove yet, or a silent one whose region can hear us.
SELECT p.resource_id, p.region, p.task_kind, p.lane, p.desired_generation, p.correlation_id, p.attempt,
       p.driven_generation, p.observed_generation, r.name, r.tenant
FROM placement AS p
INNER JOIN resource AS r ON r.id = p.resource_id
WHERE p.desired_generation > p.observed_generation
    AND p.lane = $1::smallint
    AND p.due_at <= now()
    AND (p.attempt = 0 OR EXISTS (
        SELECT 1 FROM contact AS c
        WHERE c.region = p.region AND c.lane = p.lane AND c.open AND c.contacted_at > now() - interval '10 seconds'))
ORDER BY p.due_at, p.resource_id
LIMIT $2
FOR NO KEY UPDATE OF p SKIP LOCKED;

-- name: supersede
UPDATE task SET state = 6, reason = 'SUPERSEDED', reported_at = now()
WHERE id = ANY($1::uuid[]) AND state IN (1, 2, 7)
    -- A revocation is carried out whatever came after it.
    AND NOT EXISTS (
        SELECT FROM job_target AS g
        WHERE g.resource_id = task.resource_id AND g.region = task.region AND g.generation = task.generation AND g.state = 1);

-- name: insert_tasks
INSERT INTO task (id, resource_id, region, tenant, kind, lane, generation, correlation_id)
SELECT * FROM unnest(
    $1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::smallint[], $6::smallint[], $7::bigint[], $8::text[])
ON CONFLICT (id) DO UPDATE SET
    state = 1, attempt = task.attempt + 1, kind = excluded.kind, lane = excluded.lane,
    correlation_id = excluded.correlation_id;

-- name: mark_driven
UPDATE placement AS p SET
    driven_generation = p.desired_generation, attempt = p.attempt + 1, due_at = now() + u.seconds * interval '1 second'
FROM unnest($1::bigint[], $2::text[], $3::float8[]) AS u (resource_id, region, seconds)
WHERE p.resource_id = u.resource_id AND p.region = u.region;

-- name: give_grace
-- A region that comes back reads its queue first: what is silent is driven again only after that.
WITH targets AS (
    UPDATE job_target SET due_at = now() + $3 * interval '1 second'
    WHERE region = $1 AND lane = $2::smallint AND state = 1 AND attempt > 0 AND due_at < now() + $3 * interval '1 second'
)
UPDATE placement SET due_at = now() + $3 * interval '1 second'
WHERE region = $1 AND lane = $2::smallint AND desired_generation > observed_generation
    AND attempt > 0 AND due_at < now() + $3 * interval '1 second';

-- name: rehydrate
WITH silent AS (
    UPDATE placement SET due_at = now()
    WHERE region = $1 AND lane = $2::smallint AND desired_generation > observed_generation AND attempt > 0
    RETURNING lane
), targets AS (
    UPDATE job_target SET due_at = now()
    WHERE region = $1 AND lane = $2::smallint AND state = 1 AND attempt > 0
    RETURNING lane
)
SELECT pg_notify('orbital_lane', min(lane)::text)
FROM (SELECT lane FROM silent UNION ALL SELECT lane FROM targets) AS s HAVING count(*) > 0;

-- name: waiting_hops
-- The oldest of what each lane is to detect and to claim, among the first so many: what nobody may take yet is left out.
SELECT l.lane, extract(epoch FROM now() - d.due_at)::float8 AS due_age, d.due_at::text AS due,
       extract(epoch FROM now() - c.created_at)::float8 AS pending_age, c.id::text AS pending
FROM unnest($1::smallint[]) AS l (lane)
LEFT JOIN LATERAL (
    SELECT w.due_at FROM (
        SELECT p.region, p.lane, p.attempt, p.due_at FROM placement AS p
        WHERE p.desired_generation > p.observed_generation AND p.lane = l.lane AND p.due_at <= now()
        ORDER BY p.due_at LIMIT $2) AS w
    WHERE w.attempt = 0 OR EXISTS (
        SELECT FROM contact AS o
        WHERE o.region = w.region AND o.lane = w.lane AND o.open AND o.contacted_at > now() - interval '10 seconds')
    ORDER BY w.due_at LIMIT 1) AS d ON true
LEFT JOIN LATERAL (
    SELECT w.id, w.created_at FROM (
        SELECT t.id, t.region, t.created_at, t.sequence FROM task AS t
        WHERE t.pending AND t.lane = l.lane ORDER BY t.sequence LIMIT $2) AS w
    WHERE NOT EXISTS (SELECT FROM hold AS h WHERE h.region = w.region AND h.lane = l.lane)
        AND NOT EXISTS (SELECT FROM lane_fault AS f WHERE f.region = w.region AND f.lane = l.lane AND f.blocks)
    ORDER BY w.sequence LIMIT 1) AS c ON true;
