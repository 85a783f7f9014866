-- name: lock_declarations
SELECT pg_advisory_xact_lock($1);

-- name: request_answer
SELECT action, response FROM job WHERE actor = $1 AND request_id = $2;

-- name: regions
SELECT id, name, body, generation FROM resource WHERE kind = 1;

-- name: hold_tenants
-- A kill waits for the declarations of its tenant, and they for it: neither plans on what the other replaces.
SELECT id FROM resource WHERE kind = 2 AND ($1::text[] IS NULL OR tenant = ANY($1)) ORDER BY name FOR SHARE;

-- name: estate_all
SELECT id, name, kind, tenant, parent, body, generation, effect_generation FROM resource WHERE kind <> 1;

-- name: estate_of
SELECT id, name, kind, tenant, parent, body, generation, effect_generation
FROM resource WHERE tenant = ANY($1::text[]) AND kind <> 1;

-- name: holding_tenants
-- Which tenants' Links name one of these L1 keys.
SELECT DISTINCT tenant FROM resource WHERE kind = 5 AND NOT retired AND l1 = ANY($1::text[]);

-- name: holders
SELECT id, name, body, generation, effect_generation
FROM resource WHERE kind = 5 AND NOT retired AND l1 = ANY($1::text[]) ORDER BY id;

-- name: links_without_l1
SELECT id, body FROM resource WHERE kind = 5 AND l1 IS NULL;

-- name: fill_l1
UPDATE resource AS r SET l1 = u.l1 FROM unnest($1::bigint[], $2::text[]) AS u (id, l1) WHERE r.id = u.id;

-- name: placements_of
-- Where resources are, and where they were before they left.
SELECT resource_id, region, observed_generation, desired_generation, leaving, false AS gone
FROM placement WHERE resource_id = ANY($1::bigint[])
UNION ALL
SELECT d.resource_id, d.region, d.generation, d.generation, true, true
FROM departure AS d
WHERE d.resource_id = ANY($1::bigint[]) AND NOT EXISTS (
    SELECT FROM placement AS p WHERE p.resource_id = d.resource_id AND p.region = d.region);

-- name: placed
SELECT resource_id, region, leaving FROM placement WHERE resource_id = ANY($1::bigint[]);

-- name: upsert_resources
INSERT INTO resource (name, kind, tenant, parent, body, generation, effect_generation, retired, l1, correlation_id)
SELECT *, $10::text
FROM unnest(
    $1::text[], $2::smallint[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::bigint[], $8::boolean[],
    $9::text[])
ON CONFLICT (name) DO UPDATE SET
    body = excluded.body,
    generation = excluded.generation,
    effect_generation = excluded.effect_generation,
    retired = excluded.retired,
    l1 = excluded.l1,
    correlation_id = excluded.correlation_id,
    updated_at = now()
WHERE resource.generation = excluded.generation - 1
RETURNING id, name;

-- name: upsert_placements
INSERT INTO placement (resource_id, region, task_kind, lane, desired_generation, leaving, correlation_id)
SELECT *, $7::text
FROM unnest($1::bigint[], $2::text[], $3::smallint[], $4::smallint[], $5::bigint[], $6::boolean[])
ON CONFLICT (resource_id, region) DO UPDATE SET
    -- What comes back begins anew.
    observed_generation = CASE WHEN placement.leaving AND NOT excluded.leaving THEN 0 ELSE placement.observed_generation END,
    leaving = excluded.leaving,
    task_kind = excluded.task_kind,
    lane = excluded.lane,
    desired_generation = excluded.desired_generation,
    correlation_id = excluded.correlation_id,
    reason = '', message = '', withdrawn = false, attempt = 0, due_at = now(), updated_at = now();

-- name: keep_departures
INSERT INTO departure (resource_id, region, generation)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[])
ON CONFLICT (resource_id, region) DO UPDATE SET generation = excluded.generation, left_at = now();

-- name: remove_left
-- A placement goes once it is proven that nothing of it is left there, whatever else was asked of it meanwhile.
DELETE FROM placement AS p
WHERE p.leaving AND p.desired_generation <= p.observed_generation AND NOT EXISTS (
    SELECT FROM job_target AS t WHERE t.resource_id = p.resource_id AND t.region = p.region AND t.state = 1);

-- name: insert_job
INSERT INTO job (correlation_id, actor, action, detail, decision_id, process, request_id, response, total, converged_at, ended_at)
VALUES (
    $1, $2, $3, $4, $5, $6, nullif($7, ''), $8, $9, CASE WHEN $9 = 0 THEN now() END, CASE WHEN $9 = 0 THEN now() END);

-- name: claim_tenant
-- In a statement of its own: what the next one reads then includes what a declaration has just added.
SELECT id FROM resource WHERE kind = 2 AND tenant = $1 FOR UPDATE;

-- name: claim_tenants
SELECT id FROM resource WHERE kind = 2 AND tenant = ANY($1::text[]) ORDER BY name FOR UPDATE;

-- name: lock_links
SELECT id, name, body, generation, effect_generation
FROM resource WHERE tenant = ANY($1::text[]) AND kind = 5 AND NOT retired ORDER BY name FOR UPDATE;

-- name: lock_tenant
SELECT id, name, kind, tenant, parent, body, generation, effect_generation
FROM resource WHERE tenant = $1 AND kind IN (2, 5) ORDER BY kind, name FOR UPDATE;

-- name: tenant_reach
-- $2 is the System of the one Link that is meant; without one, the whole tenant is.
SELECT
    (SELECT count(*) FROM resource
     WHERE tenant = $1 AND kind = 4 AND NOT retired AND ($2 = '' OR parent = $2)) AS services,
    (SELECT coalesce(array_agg(DISTINCT p.region ORDER BY p.region), '{}')
     FROM placement AS p INNER JOIN resource AS r ON r.id = p.resource_id
     WHERE r.tenant = $1 AND ($2 = '' OR (r.kind = 5 AND r.parent = $2))) AS regions;

-- name: drive_everywhere
UPDATE placement AS p SET
    task_kind = u.task_kind, lane = u.lane, desired_generation = u.generation, correlation_id = $5,
    reason = '', message = '', withdrawn = false, attempt = 0, due_at = now(), updated_at = now()
FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::smallint[]) AS u (resource_id, generation, task_kind, lane)
WHERE p.resource_id = u.resource_id AND (NOT p.leaving OR u.task_kind = ANY($6::smallint[]));

-- name: wake
SELECT pg_notify('orbital_lane', unnest($1::text[]));
