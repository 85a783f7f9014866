-- What was forged, altered, replayed or used after its end. Events of an hour that are alike are one, so that a flood
-- of them cannot fill the disk.
CREATE TABLE security_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region text COLLATE "C" NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    principal text NOT NULL DEFAULT '',
    hour timestamptz NOT NULL,
    count bigint NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (region, subject, reason, message, principal, hour)
);
CREATE INDEX security_event_last ON security_event (last_at);
