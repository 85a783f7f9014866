-- name: observe_edges
-- A list that overtakes a newer one is not taken, unless the region's clock was set back. No time is later than ours: a
-- clock that is ahead and is corrected would silence the region for as long.
INSERT INTO edge_observation (region, sent_at, heard_at, body)
SELECT region, least(to_timestamp(sent_at), now()), now(), body
FROM unnest($1::text[], $2::double precision[], $3::bytea[]) AS u (region, sent_at, body)
ON CONFLICT (region) DO UPDATE SET
    sent_at = excluded.sent_at, heard_at = excluded.heard_at, body = excluded.body
WHERE excluded.sent_at >= edge_observation.sent_at
    OR excluded.sent_at < edge_observation.sent_at - interval '1 minute';

-- name: edges
SELECT region, heard_at, body, heard_at < now() - make_interval(secs => $2) AS silent, now() AS asked_at
FROM edge_observation WHERE $1 = '' OR region = $1 ORDER BY region;
