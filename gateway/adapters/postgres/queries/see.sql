-- name: resource
SELECT name, body, generation, correlation_id, updated_at FROM resource WHERE name = $1;

-- name: resources
SELECT name, body, generation, correlation_id, updated_at
FROM resource
WHERE kind = $1::smallint AND ($2 = '' OR tenant = $2) AND name > $3 AND ($5 OR NOT retired)
ORDER BY name LIMIT $4;

-- name: region_status
-- What a recovery drove again and the region has not answered about yet is as old as the recovery.
WITH newest AS (
    SELECT DISTINCT ON (region) region, stores, began_at, done_at FROM recovery ORDER BY region, began_at DESC
)
SELECT r.name, r.body, r.generation, r.correlation_id, r.updated_at, c.contacted_at,
       coalesce(c.open AND c.contacted_at > now() - interval '10 seconds', false) AS connected,
       coalesce(c.path, 0) AS path,
       coalesce(p.placements, 0) AS placements, coalesce(b.drifting, 0) AS drifting, coalesce(b.stalled, 0) AS stalled,
       coalesce(b.waiting, '{0,0,0}') AS waiting, b.behind_since, coalesce(e.revisions, '{}') AS revisions,
       n.stores, n.began_at, extract(EPOCH FROM now() - n.began_at)::float AS recovering_seconds,
       n.done_at IS NOT NULL AS serving, coalesce(b.unanswered, 0) AS unanswered
FROM resource AS r
LEFT JOIN (
    SELECT region, max(contacted_at) AS contacted_at, bool_or(open) AS open,
           min(path) FILTER (WHERE lane > 0 AND open) AS path
    FROM contact GROUP BY region
) AS c
    ON c.region = substr(r.name, 9)
LEFT JOIN (
    SELECT region, count(*) AS placements FROM placement GROUP BY region
) AS p ON p.region = substr(r.name, 9)
LEFT JOIN (
    SELECT p.region, count(*) AS drifting, count(*) FILTER (WHERE p.reason <> '' OR p.withdrawn) AS stalled,
           ARRAY[count(*) FILTER (WHERE p.lane = 0), count(*) FILTER (WHERE p.lane = 1), count(*) FILTER (WHERE p.lane = 2)]
               AS waiting,
           min(j.created_at) AS behind_since, count(*) FILTER (WHERE p.updated_at <= n.began_at) AS unanswered
    FROM placement AS p
    LEFT JOIN job AS j ON j.correlation_id = p.correlation_id
    LEFT JOIN newest AS n ON n.region = p.region
    WHERE p.desired_generation > p.observed_generation OR p.withdrawn
    GROUP BY p.region
) AS b ON b.region = substr(r.name, 9)
LEFT JOIN newest AS n ON n.region = substr(r.name, 9) AND (n.done_at IS NULL OR b.unanswered > 0)
LEFT JOIN (
    SELECT substring(name FROM '^opa-(.+)-(?:immediate|bulk)$') AS region,
           array_agg(DISTINCT revision ORDER BY revision) AS revisions
    FROM engine WHERE revision <> '' GROUP BY 1
) AS e ON e.region = substr(r.name, 9)
WHERE r.kind = 1 AND NOT r.retired
ORDER BY r.name;

-- name: placements
SELECT r.tenant, r.name, r.kind, p.region, p.desired_generation, p.observed_generation, p.reason, p.message,
       p.correlation_id, p.updated_at, p.key_state, p.key_version, p.withdrawn, p.leaving,
       CASE WHEN p.reason <> '' THEN p.parked_until END AS parked_until
FROM placement AS p INNER JOIN resource AS r ON r.id = p.resource_id
WHERE ($1 = '' OR r.tenant = $1) AND ($2 = '' OR p.region = $2) AND ($3 = '' OR r.name = $3)
    AND ($4 = '' OR p.correlation_id = $4) AND (NOT $5 OR p.desired_generation > p.observed_generation OR p.withdrawn)
    -- The placements of a tombstone are seen until it is everywhere; afterwards only by whoever asks for it.
    AND (NOT r.retired OR $3 <> '' OR $4 <> '' OR p.desired_generation > p.observed_generation)
    AND (r.name, p.region) > ($6, $7)
ORDER BY r.name, p.region LIMIT $8;

-- name: tasks
SELECT t.id, t.kind, t.lane, t.sequence, t.region, t.tenant, r.name, t.generation, t.state, t.reason, t.message,
       t.correlation_id, t.attempt, t.created_at, t.parked_until,
       coalesce(t.reported_at, t.dispatched_at, t.created_at) AS updated_at
FROM task AS t INNER JOIN resource AS r ON r.id = t.resource_id
WHERE ($1 = '' OR t.tenant = $1) AND ($2 = '' OR t.region = $2) AND ($3 = '' OR t.correlation_id = $3)
    AND t.sequence < $4
ORDER BY t.sequence DESC LIMIT $5;

-- name: dead_letters
SELECT id, region, lane, reason, octet_length(payload) AS size_bytes, created_at,
       (SELECT count(*) FROM dead_letter) AS total,
       (SELECT coalesce(sum(dropped), 0)::bigint FROM dead_letter_count) AS dropped
FROM dead_letter WHERE id < $2 ORDER BY id DESC LIMIT $1;

-- name: denials
-- By when they were first: what is repeated meanwhile keeps its place among the pages.
SELECT id, decision_id, policy, principal, action, reason, message, correlation_id, engine, created_at, last_at, count
FROM denial WHERE ($1 = '' OR correlation_id = $1) AND id < $3 ORDER BY id DESC LIMIT $2;

-- name: job
SELECT correlation_id, actor, action, detail, decision_id, process, total, created_at, converged_at, ended_at, superseded,
       superseded_by,
       (SELECT count(*) FROM job_target AS t WHERE t.correlation_id = $1 AND t.state = 4) AS given_up,
       ARRAY(SELECT DISTINCT t.region FROM job_target AS t WHERE t.correlation_id = $1 AND t.state = 4 ORDER BY t.region)
           AS lost_regions
FROM job WHERE correlation_id = $1;

-- name: jobs
-- Whoever calls may bring a correlation ID, which then says nothing of time.
SELECT j.correlation_id, j.actor, j.action, j.detail, j.total, j.created_at, j.converged_at, j.ended_at, j.superseded,
       j.superseded_by,
       (SELECT count(*) FROM job_target AS t WHERE t.correlation_id = j.correlation_id AND t.state = 4) AS given_up,
       '{}'::text[] AS lost_regions,
       CASE WHEN j.ended_at IS NULL THEN b.behind ELSE 0 END AS behind
FROM (
    SELECT * FROM job
    WHERE ($1::timestamptz IS NULL OR (created_at, correlation_id) < ($1, $2))
        AND ($3 = '' OR split_part(action, ' ', 1) = $3)
    ORDER BY created_at DESC, correlation_id DESC LIMIT $4
) AS j
LEFT JOIN LATERAL (
    SELECT count(*) AS behind FROM (
        SELECT p.resource_id, p.region FROM placement AS p
        WHERE p.correlation_id = j.correlation_id AND p.desired_generation > p.observed_generation
        UNION
        SELECT t.resource_id, t.region FROM job_target AS t WHERE t.correlation_id = j.correlation_id AND t.state = 1
    ) AS w
) AS b ON j.ended_at IS NULL
ORDER BY j.created_at DESC, j.correlation_id DESC;

-- name: job_regions
-- What is behind, and what a later change has taken over before it was done.
SELECT w.region, count(*) FILTER (WHERE w.state = 1) AS behind, count(*) FILTER (WHERE w.state = 3) AS superseded,
       max(w.reason) FILTER (WHERE w.state = 1) AS reason, count(*) FILTER (WHERE w.state = 1 AND w.parked) AS parked,
       coalesce(array_agg(DISTINCT w.superseded_by) FILTER (WHERE w.state = 3), '{}') AS superseded_by,
       max(c.contacted_at) AS contacted_at,
       coalesce(bool_or(c.open AND c.contacted_at > now() - interval '10 seconds'), false) AS connected
FROM (
    SELECT p.region, p.lane, p.reason, p.reason <> '' AND p.parked_until IS NOT NULL AS parked, 1 AS state,
           '' AS superseded_by
    FROM placement AS p
    WHERE p.correlation_id = $1 AND p.desired_generation > p.observed_generation
    UNION ALL
    SELECT t.region, t.lane, coalesce(p.reason, ''), false, t.state, t.superseded_by
    FROM job_target AS t
    LEFT JOIN placement AS p ON p.resource_id = t.resource_id AND p.region = t.region
    WHERE t.correlation_id = $1 AND t.state <> 2
        AND NOT coalesce(p.correlation_id = $1 AND p.desired_generation > p.observed_generation, false)
) AS w
LEFT JOIN contact AS c ON c.region = w.region AND c.lane = w.lane
GROUP BY w.region ORDER BY w.region;

-- name: trace_tasks
SELECT t.id, r.name, t.region, t.kind, t.lane, t.generation, t.state, t.reason, t.message,
       t.dispatch_decision, t.execute_decision,
       t.created_at, t.dispatched_at, t.received_at, t.decided_at, t.executed_at, t.reported_at
FROM task AS t INNER JOIN resource AS r ON r.id = t.resource_id
WHERE t.correlation_id = $1 ORDER BY t.sequence LIMIT $2;

-- name: trace_arrivals
SELECT a.task_id, a.path, a.arrived_at
FROM arrival AS a INNER JOIN task AS t ON t.id = a.task_id
WHERE t.correlation_id = $1 ORDER BY a.task_id, a.arrived_at LIMIT 60000;
