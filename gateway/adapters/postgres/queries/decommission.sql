-- name: region_hold
-- What stands in a region, and when it was last heard of.
SELECT (SELECT count(*) FROM placement AS p WHERE p.region = $1) AS placements,
       (SELECT count(DISTINCT r.tenant) FROM placement AS p INNER JOIN resource AS r ON r.id = p.resource_id
        WHERE p.region = $1 AND r.tenant <> '') AS tenants,
       (SELECT count(*) FROM job_target AS t WHERE t.region = $1 AND t.state = 1) AS unproven,
       (SELECT max(c.contacted_at) FROM contact AS c WHERE c.region = $1) AS contacted_at,
       (SELECT coalesce(bool_or(c.open AND c.contacted_at > now() - interval '10 seconds'), false)
        FROM contact AS c WHERE c.region = $1) AS connected;

-- name: region_tenants
SELECT r.body FROM placement AS p INNER JOIN resource AS r ON r.id = p.resource_id WHERE p.region = $1 AND r.kind = 2;

-- name: region_body
SELECT id, name, body, generation, effect_generation FROM resource WHERE name = 'regions/' || $1 FOR UPDATE;

-- name: lose_placements
INSERT INTO lost_placement (approval_id, resource_id, observed_generation, desired_generation, key_state, updated_at)
SELECT $2, resource_id, observed_generation, desired_generation, key_state, updated_at FROM placement WHERE region = $1;

-- name: give_up_placements
-- What its changes still wanted of the region is not brought about any more.
INSERT INTO job_target (
    resource_id, region, generation, task_kind, lane, correlation_id, state, superseded_by, ended_at)
SELECT resource_id, region, desired_generation, task_kind, lane, correlation_id, 4, $2, now()
FROM placement WHERE region = $1 AND desired_generation > observed_generation
ON CONFLICT (resource_id, region, generation) DO NOTHING
RETURNING correlation_id;

-- name: give_up_targets
UPDATE job_target SET state = 4, superseded_by = $2, ended_at = now() WHERE region = $1 AND state = 1
RETURNING correlation_id;

-- name: remove_placements
DELETE FROM placement WHERE region = $1;

-- name: keep_lost_generations
-- Should the region come back, what returns is of a later generation than what was lost.
INSERT INTO departure (resource_id, region, generation)
SELECT resource_id, region, desired_generation FROM placement WHERE region = $1
ON CONFLICT (resource_id, region) DO UPDATE SET generation = excluded.generation, left_at = now();

-- name: give_up_tasks
UPDATE task SET state = 6, reason = 'REGION_DECOMMISSIONED', message = 'The region was decommissioned.', reported_at = now()
WHERE region = $1 AND state IN (1, 2);

-- name: forget_region
-- What is known of how it is: nobody watches it any more.
WITH flags AS (DELETE FROM flag WHERE region = $1),
     checkers AS (DELETE FROM checker WHERE region = $1),
     holds AS (DELETE FROM hold WHERE region = $1),
     edges AS (DELETE FROM edge_observation WHERE region = $1)
DELETE FROM contact WHERE region = $1;

-- name: retired_regions
SELECT substr(name, 9) AS region FROM resource WHERE kind = 1 AND retired;

-- name: occupied_regions
-- How much stands in each of these regions; what was retired for good and is gone there does not count.
SELECT p.region, count(*) AS placements
FROM placement AS p INNER JOIN resource AS r ON r.id = p.resource_id
WHERE p.region = ANY($1::text[]) AND NOT (r.retired AND p.desired_generation <= p.observed_generation)
GROUP BY p.region;

-- name: lost_resources
-- What stood in a region when it was taken out.
SELECT r.name AS resource, l.observed_generation, l.desired_generation, l.key_state
FROM lost_placement AS l INNER JOIN resource AS r ON r.id = l.resource_id
WHERE l.approval_id = $1 ORDER BY r.name LIMIT $2;

-- name: tenant_lost
-- Regions that are gone for good and had something of a tenant.
SELECT DISTINCT d.detail ->> 'region' AS region
FROM lost_placement AS l
INNER JOIN approval AS d ON d.id = l.approval_id
INNER JOIN resource AS r ON r.id = l.resource_id
WHERE r.tenant = $1 ORDER BY region;

-- name: proof_lost
-- What stood in regions that are gone for good, of the resources that a change is about.
SELECT d.id, d.detail ->> 'region' AS region, d.reason, d.asked_by, d.decided_by, d.decided_at,
       (d.detail ->> 'last_contact_at')::timestamptz AS contacted_at,
       (d.detail ->> 'serve_until')::timestamptz AS serve_until, r.name,
       l.observed_generation, l.desired_generation, l.key_state
FROM (SELECT DISTINCT resource_id FROM job_target WHERE correlation_id = $1) AS t
INNER JOIN lost_placement AS l ON l.resource_id = t.resource_id
INNER JOIN approval AS d ON d.id = l.approval_id
INNER JOIN resource AS r ON r.id = l.resource_id
ORDER BY region, r.name;
