-- name: store_signals
-- A list that overtakes a newer one is not taken, unless the region's clock was set back. No time is later than ours: a
-- clock that is ahead and is corrected would silence the region for as long.
INSERT INTO checker (region, sent_at, heard_at, versions, period, certificate_ends_at)
SELECT region, least(to_timestamp(sent_at), now()), now(), versions::jsonb, period, to_timestamp(certificate_end)
FROM unnest($1::text[], $2::double precision[], $3::text[], $4::double precision[], $5::double precision[])
    AS u (region, sent_at, versions, period, certificate_end)
ON CONFLICT (region) DO UPDATE SET
    sent_at = excluded.sent_at, heard_at = excluded.heard_at, versions = excluded.versions, period = excluded.period,
    certificate_ends_at = excluded.certificate_ends_at
WHERE excluded.sent_at >= checker.sent_at OR excluded.sent_at < checker.sent_at - interval '1 minute'
RETURNING region;

-- name: clear_flags
DELETE FROM flag AS f
WHERE f.region = ANY($1::text[])
    AND NOT EXISTS (
        SELECT FROM unnest($2::text[], $3::text[]) AS u (region, component)
        WHERE u.region = f.region AND u.component = f.component
    );

-- name: raise_flags
INSERT INTO flag (region, component, status, reason, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::bytea[])
ON CONFLICT (region, component) DO UPDATE SET
    status = excluded.status, reason = excluded.reason, body = excluded.body
WHERE flag.body IS DISTINCT FROM excluded.body;

-- name: flags
-- A flag of a silent checker says what was; `silent` says that it is no longer known. Nobody is silent for longer than
-- signals have been listened to.
SELECT substr(r.name, 9) AS region, c.heard_at, c.period, c.certificate_ends_at, f.component, f.status, f.reason, f.body,
       coalesce(
           least(extract(epoch FROM now() - c.heard_at)::double precision, $2::double precision) > $3 * c.period + $4,
           true) AS silent,
       now() AS asked_at
FROM resource AS r
LEFT JOIN checker AS c ON c.region = substr(r.name, 9)
LEFT JOIN flag AS f ON f.region = c.region
WHERE r.kind = 1 AND NOT r.retired AND ($1 = '' OR r.name = 'regions/' || $1)
ORDER BY r.name, f.component;

-- name: flag_changes
SELECT body::jsonb ->> 'component' AS component, body::jsonb ->> 'change' AS change,
       (body::jsonb ->> 'status')::int AS status, body::jsonb ->> 'reason' AS reason, recorded_at, id
FROM audit
WHERE kind = 'flag' AND body::jsonb ->> 'region' = $1 AND ($2::timestamptz IS NULL OR recorded_at >= $2)
    AND id < $4
ORDER BY id DESC LIMIT $3;

-- name: checker_versions
SELECT region, versions FROM checker;

-- name: hold_lanes
INSERT INTO hold (region, lane, reason, message, decision_id)
SELECT * FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::text[])
ON CONFLICT (region, lane) DO UPDATE SET
    reason = excluded.reason, message = excluded.message, decision_id = excluded.decision_id;

-- name: release_lanes
-- Whoever dispatches what waited is woken.
WITH released AS (
    DELETE FROM hold AS h
    WHERE h.region = ANY($1::text[])
        AND NOT EXISTS (
            SELECT FROM unnest($2::text[], $3::smallint[]) AS u (region, lane)
            WHERE u.region = h.region AND u.lane = h.lane
        )
    RETURNING h.lane
)
SELECT pg_notify('orbital_lane', lane::text || ' released') FROM (SELECT DISTINCT lane FROM released) AS r;

-- name: holds
SELECT region, lane, reason, message, since FROM hold ORDER BY region, lane;
