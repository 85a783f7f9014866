-- name: keep_decisions
WITH new AS (
    INSERT INTO decision (
        decision_id, engine, policy, principal, action, allowed, denied, reason, revision, correlation_ids, decided_at)
    SELECT u.decision_id, $1, u.policy, u.principal, u.action, u.allowed, u.denied, u.reason, u.revision,
           string_to_array(u.correlation_ids, ' '), u.decided_at
    FROM unnest(
        $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::integer[], $9::text[], $10::text[],
        $11::text[], $12::timestamptz[]
    ) AS u (decision_id, policy, principal, action, allowed, denied, reason, revision, correlation_ids, decided_at)
    -- A log that was not answered is delivered again.
    ON CONFLICT DO NOTHING
    RETURNING 1
)
INSERT INTO engine (name, instance, received) SELECT $1, $2, count(*) FROM new
ON CONFLICT (name) DO UPDATE SET
    received = excluded.received + CASE WHEN engine.instance = excluded.instance THEN engine.received ELSE 0 END,
    made = CASE WHEN engine.instance = excluded.instance THEN engine.made ELSE 0 END,
    lost = CASE WHEN engine.instance = excluded.instance THEN engine.lost ELSE 0 END,
    instance = excluded.instance;

-- name: keep_engine
WITH before AS (SELECT lost FROM engine WHERE name = $1)
INSERT INTO engine (name, instance, revision, error, made) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO UPDATE SET
    revision_at = CASE WHEN engine.revision = excluded.revision THEN engine.revision_at ELSE now() END,
    -- What was made by the status before has had the time to arrive.
    lost = CASE
        WHEN engine.instance <> excluded.instance THEN 0
        WHEN engine.heard_at < now() - interval '10 seconds' THEN greatest(engine.made - engine.received, 0)
        ELSE engine.lost END,
    received = CASE WHEN engine.instance = excluded.instance THEN engine.received ELSE 0 END,
    revision = excluded.revision, error = excluded.error, made = excluded.made, instance = excluded.instance,
    heard_at = now()
-- How many more did not arrive than were known of.
RETURNING greatest(lost - coalesce((SELECT b.lost FROM before AS b), 0), 0) AS newly_lost;

-- name: engines
-- Those of a region that is gone for good are not waited for.
SELECT e.name, e.revision, e.revision_at, e.heard_at, e.error, e.made, e.received, e.lost
FROM engine AS e
LEFT JOIN resource AS r ON r.name = 'regions/' || substring(e.name FROM '^opa-(.+)-(?:immediate|bulk)$') AND r.kind = 1
WHERE NOT coalesce(r.retired, false)
ORDER BY e.name;

-- name: decisions
SELECT decision_id, engine, policy, principal, action, allowed, denied, reason, revision, decided_at
FROM decision
WHERE ($1 = '' OR correlation_ids @> ARRAY[$1])
  AND ($3::timestamptz IS NULL OR (decided_at, decision_id || ' ' || engine) < ($3, $4::text COLLATE "C"))
ORDER BY decided_at DESC, decision_id || ' ' || engine DESC LIMIT $2;

-- name: prune_decisions
-- Probes are allowed many times a second, and nobody asks for that a day later.
DELETE FROM decision
WHERE decided_at < now() - $1::float8 * interval '1 day'
    OR (policy = 'probe' AND denied = 0 AND decided_at < now() - interval '1 hour');
