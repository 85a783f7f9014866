-- name: finish_tasks
-- coalesce hides the state from the planner: where all analysed tasks are done it would expect one row, not thousands.
UPDATE task AS t SET
    state = u.state, reason = u.reason, message = u.message, execute_decision = u.decision_id,
    received_at = to_timestamp(u.received_at), decided_at = to_timestamp(u.decided_at),
    executed_at = to_timestamp(u.executed_at), reported_at = now(),
    parked_until = CASE WHEN u.state = 7 THEN now() + u.pause * interval '1 second' END
FROM unnest(
    $1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[],
    $7::float8[], $8::float8[], $9::float8[], $10::float8[], $11::bigint[]
) AS u (id, region, state, reason, message, decision_id, received_at, decided_at, executed_at, pause, attempt)
WHERE t.id = u.id AND t.region = u.region AND coalesce(t.state, 0) <> 3
    -- Unless it is done or overtaken, what came of an earlier attempt says nothing of the one that is under way. That one
    -- may be reported before it is marked as published.
    AND (u.state IN (3, 6) OR u.attempt >= t.attempt);

-- name: observe
UPDATE placement AS p SET
    observed_generation = greatest(p.observed_generation, u.observed_generation),
    key_state = CASE WHEN u.done AND u.observed_generation >= p.observed_generation THEN u.key_state ELSE p.key_state END,
    key_version = CASE WHEN u.done AND u.observed_generation >= p.observed_generation
        THEN u.key_version ELSE p.key_version END,
    reason = u.reason,
    -- Who cancelled it is known here alone.
    message = CASE WHEN u.reason = 'CANCELLED' AND p.reason = u.reason THEN p.message ELSE u.message END,
    parked_until = CASE WHEN u.pause > 0 THEN now() + u.pause * interval '1 second' END,
    -- Taken back by the region itself, until it says that it is done again.
    withdrawn = CASE WHEN u.done THEN u.withdrawn ELSE p.withdrawn END,
    due_at = CASE WHEN u.generation = p.desired_generation AND u.seconds > 0
        THEN now() + u.seconds * interval '1 second' ELSE p.due_at END,
    updated_at = now()
FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bool[], $6::smallint[], $7::integer[],
    $8::text[], $9::text[], $10::float8[], $11::bool[], $12::text[], $13::float8[]
) AS u (
    resource, region, generation, observed_generation, done, key_state, key_version, reason, message, seconds, withdrawn,
    correlation_id, pause)
INNER JOIN resource AS r ON r.name = u.resource
WHERE p.resource_id = r.id AND p.region = u.region
    AND u.observed_generation <= p.desired_generation
    -- What an older task says does not speak for a newer desire.
    AND (u.generation = p.desired_generation OR u.observed_generation > p.observed_generation)
    -- A change that a restored database has lost had the same generation: what it brought about is another thing.
    AND (u.correlation_id IN (p.correlation_id, '')
        OR EXISTS (SELECT FROM job AS j WHERE j.correlation_id = u.correlation_id))
RETURNING p.correlation_id;

-- name: keep_arrivals
INSERT INTO arrival (task_id, path, arrived_at)
SELECT u.task_id, u.path, to_timestamp(u.arrived_at)
FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::float8[]) AS u (task_id, region, path, arrived_at)
INNER JOIN task AS t ON t.id = u.task_id AND t.region = u.region
ON CONFLICT (task_id, path) DO NOTHING;
