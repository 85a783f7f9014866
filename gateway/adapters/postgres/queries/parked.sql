-- name: parked_tasks
SELECT t.id, t.kind, t.lane, t.sequence, t.region, t.tenant, r.name, t.generation, t.state, t.reason, t.message,
       t.correlation_id, t.attempt, t.created_at, t.parked_until,
       coalesce(t.reported_at, t.dispatched_at, t.created_at) AS updated_at
FROM task AS t INNER JOIN resource AS r ON r.id = t.resource_id
WHERE t.parked AND ($1 = '' OR t.tenant = $1) AND ($2 = '' OR t.region = $2) AND t.sequence < $3
    AND ($5 = '' OR replace(t.id::text, '-', '') = $5)
ORDER BY t.sequence DESC LIMIT $4;

-- name: tasks_to_change
SELECT t.id, t.state, t.kind, t.lane, t.region, t.resource_id, r.name, t.generation, r.generation AS current_generation
FROM task AS t INNER JOIN resource AS r ON r.id = t.resource_id
WHERE t.id = ANY($1::uuid[]);

-- name: drive_changed
-- Driven again should the region stay silent; what a cancelled one says stays until a newer change, or a retry.
UPDATE placement AS p SET
    reason = $4, message = $5, parked_until = NULL, due_at = now() + interval '30 seconds', updated_at = now()
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS u (resource_id, region, generation)
WHERE p.resource_id = u.resource_id AND p.region = u.region AND p.desired_generation = u.generation
    AND p.observed_generation < p.desired_generation;

-- name: send_again
UPDATE task SET
    state = 1, attempt = attempt + 1, reason = $3, message = $4, cancelled = $5, parked_until = NULL
WHERE id = ANY($1::uuid[]) AND state = ANY($2::smallint[]) RETURNING id;
