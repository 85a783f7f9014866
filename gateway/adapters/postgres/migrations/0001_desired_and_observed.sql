-- Desired state. The body is a serialized orbital.v1.Resource without its output-only fields.
CREATE TABLE resource (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    kind smallint NOT NULL,
    tenant text COLLATE "C" NOT NULL DEFAULT '',
    -- The system of a service or a link.
    parent text COLLATE "C" NOT NULL DEFAULT '',
    body bytea NOT NULL,
    generation bigint NOT NULL CHECK (generation > 0),
    -- The last generation that changed key material or permission to use it; later ones changed metadata alone.
    effect_generation bigint NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX resource_tenant ON resource (tenant, name);
CREATE INDEX resource_kind ON resource (kind, name);
-- A system has at most one link (kind 5).
CREATE UNIQUE INDEX resource_one_link ON resource (parent) WHERE kind = 5;

-- The convergence of one change.
CREATE TABLE job (
    correlation_id text COLLATE "C" PRIMARY KEY,
    actor text NOT NULL,
    action text NOT NULL,
    detail text NOT NULL DEFAULT '',
    decision_id text NOT NULL DEFAULT '',
    process text NOT NULL,
    request_id text,
    response bytea,
    total integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    converged_at timestamptz
);
CREATE UNIQUE INDEX job_request ON job (actor, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX job_open ON job (created_at) WHERE converged_at IS NULL;

-- One resource in one region.
CREATE TABLE placement (
    resource_id bigint NOT NULL REFERENCES resource (id),
    region text COLLATE "C" NOT NULL,
    -- The kind and lane of the task that will close the drift.
    task_kind smallint NOT NULL,
    lane smallint NOT NULL,
    desired_generation bigint NOT NULL,
    observed_generation bigint NOT NULL DEFAULT 0,
    key_state smallint NOT NULL DEFAULT 0,
    key_version integer NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    correlation_id text COLLATE "C" NOT NULL,
    -- The last generation that a task was made for, how often, and when to make it again.
    driven_generation bigint NOT NULL DEFAULT 0,
    attempt integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (resource_id, region)
) WITH (fillfactor = 70);
CREATE INDEX placement_due ON placement (lane, due_at) WHERE desired_generation > observed_generation;
CREATE INDEX placement_drift ON placement (correlation_id) WHERE desired_generation > observed_generation;

CREATE TABLE task (
    id uuid PRIMARY KEY,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    resource_id bigint NOT NULL,
    region text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    kind smallint NOT NULL,
    lane smallint NOT NULL,
    generation bigint NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    -- orbital.v1.TaskState
    state smallint NOT NULL DEFAULT 1,
    attempt integer NOT NULL DEFAULT 1,
    reason text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    dispatch_decision text NOT NULL DEFAULT '',
    execute_decision text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    dispatched_at timestamptz,
    received_at timestamptz,
    decided_at timestamptz,
    executed_at timestamptz,
    reported_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX task_pending ON task (lane, sequence) WHERE state = 1;
CREATE INDEX task_job ON task (correlation_id, sequence);

-- When a region was last heard of, on which lane.
CREATE TABLE contact (
    region text COLLATE "C" NOT NULL,
    lane smallint NOT NULL,
    process text NOT NULL,
    contacted_at timestamptz NOT NULL,
    -- False once the stream has ended; a process that died leaves it true, and the time tells.
    open boolean NOT NULL,
    PRIMARY KEY (region, lane)
);

CREATE TABLE dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region text NOT NULL,
    lane smallint NOT NULL,
    reason text NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE denial (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decision_id text NOT NULL,
    policy text NOT NULL,
    principal text NOT NULL DEFAULT '',
    action text NOT NULL DEFAULT '',
    reason text NOT NULL,
    message text NOT NULL DEFAULT '',
    correlation_id text NOT NULL DEFAULT '',
    engine text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX denial_correlation ON denial (correlation_id) WHERE correlation_id <> '';
-- A decision log may be delivered twice.
CREATE UNIQUE INDEX denial_once ON denial (decision_id, action, reason);
