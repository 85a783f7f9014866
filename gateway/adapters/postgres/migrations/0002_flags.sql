-- When a region's checker was last heard, and which versions it saw.
CREATE TABLE checker (
    region text COLLATE "C" PRIMARY KEY,
    sent_at timestamptz NOT NULL,
    heard_at timestamptz NOT NULL,
    versions jsonb NOT NULL
) WITH (fillfactor = 70);

-- What is not as it should be in a region. The body is a serialized orbital.v1.Flag.
CREATE TABLE flag (
    region text COLLATE "C" NOT NULL,
    component text COLLATE "C" NOT NULL,
    status smallint NOT NULL,
    reason text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (region, component)
) WITH (fillfactor = 70);
