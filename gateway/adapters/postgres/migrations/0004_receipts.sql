-- Receipts as regions signed them: one a task, the first that came. Neither table is ever changed or emptied.
CREATE TABLE receipt (
    task_id uuid PRIMARY KEY,
    region text COLLATE "C" NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    resource text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    kind smallint NOT NULL,
    -- A serialized orbital.v1.SignedReceipt.
    body bytea NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX receipt_job ON receipt (correlation_id);

-- The certificates of the keys that sign receipts and proofs, DER.
CREATE TABLE certificate (
    key_id bytea NOT NULL,
    name text COLLATE "C" NOT NULL,
    certificate bytea NOT NULL,
    chain bytea[] NOT NULL,
    begins_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (key_id, ends_at)
);
