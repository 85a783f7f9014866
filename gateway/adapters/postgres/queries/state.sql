-- name: keep_marks
INSERT INTO state_mark AS known (region, journal, term, epoch, sequence)
SELECT * FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::text[], $5::bigint[])
ON CONFLICT (region, journal) DO UPDATE SET
    term = excluded.term, epoch = excluded.epoch, sequence = excluded.sequence
WHERE excluded.term > known.term
    OR (excluded.term = known.term AND excluded.epoch = known.epoch AND excluded.sequence > known.sequence);

-- name: marks
SELECT region, journal, term, epoch, sequence FROM state_mark WHERE region = ANY($1::text[]) ORDER BY region, journal;

-- name: begin_recovery
-- No row where this recovery is known already. Of a region's recoveries the newest are kept.
WITH old AS (
    DELETE FROM recovery AS r WHERE r.region = $1 AND r.id IN (
        SELECT o.id FROM recovery AS o WHERE o.region = $1 ORDER BY o.began_at DESC OFFSET $4)
)
INSERT INTO recovery (region, id, stores) VALUES ($1, $2, $3) ON CONFLICT (region, id) DO NOTHING RETURNING began_at;

-- name: recent_recoveries
SELECT count(*) FROM recovery WHERE region = $1 AND began_at > now() - interval '1 minute';

-- name: placed_in_region
SELECT p.resource_id, r.body, r.effect_generation
FROM placement AS p INNER JOIN resource AS r ON r.id = p.resource_id
WHERE p.region = $1 ORDER BY p.resource_id FOR NO KEY UPDATE OF p;

-- name: drive_again
-- What the region was seen to hold is worth nothing: every placement drifts again, by what its newest desire takes.
UPDATE placement AS p SET
    task_kind = u.task_kind, lane = u.lane, observed_generation = 0, attempt = 0, due_at = now(), updated_at = now()
FROM unnest($2::bigint[], $3::smallint[], $4::smallint[]) AS u (resource_id, task_kind, lane)
WHERE p.region = $1 AND p.resource_id = u.resource_id;

-- name: wake_lanes
SELECT pg_notify('orbital_lane', lane::text) FROM unnest($1::smallint[]) AS lane;

-- name: end_recoveries
-- Over once every revocation, purge and emergency rotation is done, and the region has answered about each tenant and
-- about whatever it destroyed before: an older copy may have brought that back. The rest of a copy may be older than is
-- desired, and is driven on as any drift is.
UPDATE recovery AS r SET done_at = now()
WHERE r.region = ANY($1::text[]) AND r.done_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM placement AS p INNER JOIN resource AS d ON d.id = p.resource_id
    WHERE p.region = r.region AND p.desired_generation > p.observed_generation
        AND (p.task_kind = ANY($2::smallint[])
            OR (p.updated_at <= r.began_at AND (
                d.kind = 2 OR EXISTS (SELECT 1 FROM receipt AS e WHERE e.region = p.region AND e.resource = d.name)))));

-- name: ended_recoveries
SELECT region, id FROM recovery WHERE region = ANY($1::text[]) AND done_at IS NOT NULL ORDER BY began_at DESC LIMIT 1000;
