-- name: claim
-- Row locks, not one for the lane: a replica that freezes in the middle must not stop the others. A lane with a fault
-- waits for its time, unless a stream of its region is open here ($3).
SELECT t.id, t.sequence, t.kind, t.region, t.tenant, t.generation, t.correlation_id, t.created_at,
       t.resource_id, r.name, r.body, r.generation AS current_generation,
       f.region IS NOT NULL AS faulty,
       -- Overtaken, and to be carried out all the same.
       CASE WHEN t.generation < r.generation THEN EXISTS (
           SELECT FROM job_target AS g
           WHERE g.resource_id = t.resource_id AND g.region = t.region AND g.generation = t.generation AND g.state = 1)
       ELSE false END AS owed
FROM (
    SELECT * FROM task AS w
    WHERE w.pending AND w.lane = $1::smallint
        AND NOT EXISTS (SELECT FROM hold AS h WHERE h.region = w.region AND h.lane = $1::smallint)
        AND NOT EXISTS (
            SELECT FROM lane_fault AS f
            WHERE f.region = w.region AND f.lane = $1::smallint AND f.blocks AND f.retry_at > now()
                AND NOT f.region = ANY($3::text[]))
    ORDER BY w.sequence LIMIT $2 FOR NO KEY UPDATE OF w SKIP LOCKED
) AS t
INNER JOIN resource AS r ON r.id = t.resource_id
LEFT JOIN lane_fault AS f ON f.region = t.region AND f.lane = $1::smallint
ORDER BY t.sequence;

-- name: mark_published
UPDATE task SET state = 2, dispatched_at = now(), dispatch_decision = $2, reason = '', message = ''
WHERE id = ANY($1::uuid[]) AND state = 1;

-- name: mark_superseded
UPDATE task SET state = 6, reason = 'SUPERSEDED', reported_at = now() WHERE id = ANY($1::uuid[]);

-- name: mark_denied
WITH denied AS (
    UPDATE task AS t SET
        state = 4, reason = u.reason, message = u.message, dispatch_decision = $4, dispatched_at = now()
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u (id, reason, message)
    WHERE t.id = u.id
    RETURNING t.resource_id, t.region, t.generation, t.reason, t.message
)
UPDATE placement AS p SET
    reason = d.reason, message = d.message, due_at = now() + $5 * interval '1 second', updated_at = now()
FROM denied AS d
WHERE p.resource_id = d.resource_id AND p.region = d.region AND p.desired_generation = d.generation;

-- name: insert_denials
INSERT INTO denial (decision_id, policy, principal, action, reason, message, correlation_id, engine)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
ON CONFLICT DO NOTHING;

-- name: insert_dead_letter
INSERT INTO dead_letter (region, lane, reason, payload) VALUES ($1, $2::smallint, $3, $4);

-- name: contacts
INSERT INTO contact (region, lane, path, process, contacted_at, open)
SELECT region, lane, path, $4, now(), true FROM unnest($1::text[], $2::smallint[], $3::smallint[]) AS u (region, lane, path)
ON CONFLICT (region, lane) DO UPDATE SET
    path = excluded.path, process = excluded.process, contacted_at = excluded.contacted_at, open = true;

-- name: lose_contact
UPDATE contact SET open = false WHERE region = $1 AND lane = $2::smallint AND process = $3;

-- name: region_bodies
SELECT name, body FROM resource WHERE name = ANY($1::text[]);
