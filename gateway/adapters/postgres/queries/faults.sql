-- name: keep_lane_faults
-- Tried again after a wait that doubles: lane 0 after two seconds at most, the others after thirty.
INSERT INTO lane_fault AS f (region, lane, reason, message, blocks, shared, retry_at)
SELECT region, lane, reason, message, blocks, shared, now() + interval '0.5 seconds'
FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::bool[], $6::bool[])
    AS u (region, lane, reason, message, blocks, shared)
ON CONFLICT (region, lane) DO UPDATE SET
    reason = excluded.reason, message = excluded.message, blocks = excluded.blocks, shared = excluded.shared,
    since = CASE WHEN f.reason = excluded.reason THEN f.since ELSE excluded.since END,
    attempts = f.attempts + 1,
    retry_at = now() + interval '0.5 seconds' * least(
        CASE WHEN excluded.lane = 0 THEN 4 ELSE 60 END, power(2, least(f.attempts, 10)));

-- name: clear_lane_faults
DELETE FROM lane_fault WHERE lane = $1::smallint AND region = ANY($2::text[]);

-- name: lane_faults_to_check
-- Those whose time has come and where nothing waits: what waits is published, and that tells.
SELECT f.region FROM lane_fault AS f
WHERE f.lane = $1::smallint AND f.retry_at <= now()
    AND NOT EXISTS (SELECT FROM task AS t WHERE t.pending AND t.lane = $1::smallint AND t.region = f.region)
ORDER BY f.retry_at LIMIT $2;

-- name: next_lane_fault
SELECT extract(epoch FROM min(retry_at) - now())::float8 AS seconds FROM lane_fault WHERE lane = $1::smallint;

-- name: lane_faults
SELECT region, lane, reason, message, blocks, since, retry_at FROM lane_fault
WHERE NOT shared AND ($1 = '' OR region = $1)
ORDER BY region, blocks DESC, lane;

-- name: mark_stuck
-- They stay pending. Those of which it was said before are not written again.
WITH stuck AS (
    UPDATE task AS t SET reason = u.reason, message = u.message
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u (id, reason, message)
    WHERE t.id = u.id AND t.state = 1 AND (t.reason, t.message) IS DISTINCT FROM (u.reason, u.message)
    RETURNING t.resource_id, t.region, t.generation, t.reason, t.message
)
UPDATE placement AS p SET reason = s.reason, message = s.message, updated_at = now()
FROM stuck AS s
WHERE p.resource_id = s.resource_id AND p.region = s.region AND p.desired_generation = s.generation;

-- name: call_direct
SELECT pg_notify('orbital_lane', '0 direct');

-- name: keep_process_flag
INSERT INTO process_flag AS f (process, component, reason, message) VALUES ($1, $2, $3, $4)
ON CONFLICT (process, component) DO UPDATE SET
    since = CASE WHEN f.reason = excluded.reason THEN f.since ELSE excluded.since END,
    reason = excluded.reason, message = excluded.message, heard_at = now();

-- name: clear_process_flag
DELETE FROM process_flag WHERE process = $1 AND component = $2;

-- name: process_flags
-- What a process has not repeated is not known any more.
SELECT process, component, reason, message, since FROM process_flag
WHERE heard_at > now() - interval '10 seconds'
ORDER BY component, since;
