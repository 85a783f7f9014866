-- How far the state of each process of a region is known to have been. It never goes back here.
CREATE TABLE state_mark (
    region text COLLATE "C" NOT NULL,
    -- The process, by its lowest lane.
    journal smallint NOT NULL,
    term bigint NOT NULL,
    epoch text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (region, journal)
);

-- A region whose state went back to an older copy, and when everything had been driven again.
CREATE TABLE recovery (
    region text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    stores text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    PRIMARY KEY (region, id)
);
CREATE INDEX recovery_open ON recovery (region) WHERE done_at IS NULL;
