-- What is wrong with a region's lane at the broker. `blocks`: nothing is published on it before `retry_at`. `shared`:
-- not this lane is at fault, but the broker.
CREATE TABLE lane_fault (
    region text COLLATE "C" NOT NULL,
    lane smallint NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    blocks boolean NOT NULL,
    shared boolean NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    since timestamptz NOT NULL DEFAULT now(),
    retry_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (region, lane)
) WITH (fillfactor = 70);

-- What a process of the gateway says of the parts that it needs, again and again while it is so.
CREATE TABLE process_flag (
    process text COLLATE "C" NOT NULL,
    component text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    heard_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (process, component)
) WITH (fillfactor = 70);
