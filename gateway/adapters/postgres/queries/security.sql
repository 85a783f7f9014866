-- name: keep_security_event
INSERT INTO security_event (region, subject, reason, message, principal, hour)
VALUES ($1, $2, $3, $4, $5, date_trunc('hour', now()))
ON CONFLICT (region, subject, reason, principal, hour) DO UPDATE SET
    message = excluded.message, count = security_event.count + 1, last_at = now();

-- name: security_events
SELECT id, region, subject, reason, message, principal, count, first_at, last_at
FROM security_event WHERE id < $2 ORDER BY id DESC LIMIT $1;
