-- Decisions from the engines' logs. A decision over a batch is one row.
CREATE TABLE decision (
    decision_id text COLLATE "C" NOT NULL,
    engine text COLLATE "C" NOT NULL,
    policy text NOT NULL,
    principal text NOT NULL DEFAULT '',
    action text NOT NULL DEFAULT '',
    allowed integer NOT NULL,
    denied integer NOT NULL,
    reason text NOT NULL DEFAULT '',
    revision text NOT NULL DEFAULT '',
    correlation_ids text[] NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (decision_id, engine)
);
CREATE INDEX decision_time ON decision (decided_at);
CREATE INDEX decision_correlation ON decision USING gin (correlation_ids);

-- Policy engines. `instance` changes with every start, and the counts begin again with it.
CREATE TABLE engine (
    name text COLLATE "C" PRIMARY KEY,
    instance text NOT NULL,
    revision text NOT NULL DEFAULT '',
    revision_at timestamptz NOT NULL DEFAULT now(),
    heard_at timestamptz NOT NULL DEFAULT now(),
    error text NOT NULL DEFAULT '',
    made bigint NOT NULL DEFAULT 0,
    received bigint NOT NULL DEFAULT 0,
    lost bigint NOT NULL DEFAULT 0
);
