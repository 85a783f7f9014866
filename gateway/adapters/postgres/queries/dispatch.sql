-- name: claim
-- Row locks, not one for the lane: a replica that freezes in the middle must not stop the others. A lane with a fault
-- waits for its time, unless a stream of its region is open here ($3).
SELECT t.id, t.sequence, t.kind, t.region, t.tenant, t.generation, t.correlation_id, t.created_at, t.cancelled, t.attempt,
       t.resource_id, r.name, r.body, r.generation AS current_generation,
       f.region IS NOT NULL AS faulty,
       -- Overtaken, and to be carried out all the same.
       CASE WHEN t.generation < r.generation THEN EXISTS (
           SELECT FROM job_target AS g
           WHERE g.resource_id = t.resource_id AND g.region = t.region AND g.generation = t.generation AND g.state = 1)
       ELSE false END AS owed,
       EXISTS (
           SELECT FROM placement AS p
           WHERE p.resource_id = t.resource_id AND p.region = t.region AND p.leaving) AS leaving
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
-- Refusals of an hour that are alike are one. Of a caller that has too many different ones, the rest is one as well.
WITH given AS (
    SELECT decision_id, left(policy, 64) AS policy, left(principal, 512) AS principal, left(action, 256) AS action,
           left(reason, 64) AS reason, left(message, 1024) AS message, left(correlation_id, 64) AS correlation_id,
           left(engine, 128) AS engine
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
        AS u (decision_id, policy, principal, action, reason, message, correlation_id, engine)
), caller AS (
    SELECT g.principal, count(d.id) >= $9::bigint AS full
    FROM (SELECT DISTINCT principal FROM given) AS g
    LEFT JOIN denial AS d ON d.principal = g.principal AND d.hour = date_trunc('hour', now())
    GROUP BY g.principal
), told AS (
    SELECT g.decision_id, g.policy, g.principal, g.reason, g.message, g.engine,
           CASE WHEN c.full THEN '' ELSE g.action END AS action,
           CASE WHEN c.full THEN '' ELSE g.correlation_id END AS correlation_id
    FROM given AS g INNER JOIN caller AS c ON c.principal = g.principal
)
INSERT INTO denial (decision_id, policy, principal, action, reason, message, correlation_id, engine, count)
SELECT max(decision_id), policy, principal, action, reason, max(message), correlation_id, engine, count(*)
FROM told GROUP BY policy, principal, action, reason, correlation_id, engine
ON CONFLICT (hour, principal, policy, action, reason, correlation_id, engine) DO UPDATE SET
    -- A decision log may be delivered twice.
    count = denial.count + CASE WHEN denial.decision_id = excluded.decision_id THEN 0 ELSE excluded.count END,
    decision_id = excluded.decision_id, message = excluded.message, last_at = now();

-- name: insert_dead_letter
-- The newest of a region are kept, up to a number and a size; what went for it is counted.
WITH placed AS (
    SELECT id, row_number() OVER newest AS place, sum(octet_length(payload)) OVER newest AS bytes
    FROM dead_letter WHERE region = $1
    WINDOW newest AS (ORDER BY id DESC)
), gone AS (
    DELETE FROM dead_letter AS d USING placed AS p
    WHERE d.id = p.id AND (p.place >= $5::bigint OR p.bytes + octet_length($4::bytea) > $6::bigint)
    RETURNING d.id
), counted AS (
    INSERT INTO dead_letter_count AS c (region, hour, received, dropped)
    SELECT $1, date_trunc('hour', now()), 1, count(*) FROM gone
    ON CONFLICT (region) DO UPDATE SET
        received = CASE WHEN c.hour = excluded.hour THEN c.received + 1 ELSE 1 END, hour = excluded.hour,
        dropped = c.dropped + excluded.dropped
)
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
