-- name: head_lost
-- Whether the trail has lost this record, or has another in its place; sealed records are durable before they are signed.
SELECT NOT EXISTS (SELECT FROM audit WHERE sequence = $1 AND hash = $2) AS lost;

-- name: went_back
-- No row where the region has told what it holds since this head was signed: a copy of an older head proves no more.
INSERT INTO went_back AS w (region, lost_sequence, lost_hash, signed_at, trail_end)
SELECT $1, $2, $3, $4, (SELECT coalesce(max(sequence), 0) FROM audit)
WHERE NOT EXISTS (
    SELECT FROM went_back AS t WHERE t.region = $1 AND t.told_at IS NOT NULL AND t.found_at >= $4)
ON CONFLICT (region, lost_sequence, lost_hash) DO NOTHING
RETURNING w.id;

-- name: going_back
-- The newest question that the region has not answered yet.
SELECT id FROM went_back WHERE region = $1 AND told_at IS NULL ORDER BY id DESC LIMIT 1;

-- name: tell_went_back
UPDATE went_back SET told_at = CASE WHEN $5 THEN now() END, revoked = revoked + $2, raised = raised + $3, unknown = unknown + $4
WHERE region = $1 AND told_at IS NULL;

-- name: held_resources
-- The named resources and the Links of their tenants; `placed`: it has, or had, a place in the region.
SELECT r.id, r.name, r.body, r.generation, r.effect_generation,
       EXISTS (SELECT FROM placement AS p WHERE p.resource_id = r.id AND p.region = $3)
       OR EXISTS (SELECT FROM departure AS d WHERE d.resource_id = r.id AND d.region = $3) AS placed
FROM resource AS r
WHERE r.name = ANY($1::text[]) OR (r.tenant = ANY($2::text[]) AND r.kind = 5 AND NOT r.retired)
ORDER BY r.name;

-- name: known_changes
SELECT correlation_id FROM job WHERE correlation_id = ANY($1::text[]);

-- name: lift_generations
-- Within the transaction: the next generation is above what regions hold.
UPDATE resource AS r SET generation = u.generation
FROM unnest($1::bigint[], $2::bigint[]) AS u (id, generation) WHERE r.id = u.id AND r.generation < u.generation;

-- name: raise_generations
-- Each keeps its change; what leaves a region goes on leaving, by the new generation.
WITH raised AS (
    UPDATE resource AS r SET
        body = u.body, generation = u.generation, effect_generation = u.generation, updated_at = now()
    FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) AS u (id, body, generation)
    WHERE r.id = u.id
), departed AS (
    UPDATE departure AS d SET generation = u.generation
    FROM unnest($1::bigint[], $3::bigint[]) AS u (id, generation), placement AS p
    WHERE d.resource_id = u.id AND p.resource_id = d.resource_id AND p.region = d.region AND p.leaving
)
UPDATE placement AS p SET
    task_kind = CASE WHEN p.leaving THEN p.task_kind ELSE u.task_kind END,
    lane = CASE WHEN p.leaving THEN p.lane ELSE u.lane END,
    desired_generation = u.generation,
    reason = '', message = '', withdrawn = false, attempt = 0, due_at = now(), updated_at = now()
FROM unnest($1::bigint[], $3::bigint[], $4::smallint[], $5::smallint[]) AS u (id, generation, task_kind, lane)
WHERE p.resource_id = u.id;

-- name: keep_floors
INSERT INTO generation_floor AS f (name, generation, killed, retired)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::boolean[], $4::boolean[])
ON CONFLICT (name) DO UPDATE SET
    generation = greatest(f.generation, excluded.generation),
    killed = f.killed OR excluded.killed, retired = f.retired OR excluded.retired;

-- name: floors
SELECT name, generation, killed, retired FROM generation_floor WHERE name = ANY($1::text[]);
