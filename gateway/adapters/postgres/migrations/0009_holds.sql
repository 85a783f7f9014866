-- Lanes that are not dispatched to, because policy says so of their region's health.
CREATE TABLE hold (
    region text COLLATE "C" NOT NULL,
    lane smallint NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    decision_id text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (region, lane)
);
