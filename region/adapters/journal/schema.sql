-- The region's journal. `settled` is 0 while a task is pending, 2 while it is parked until `due_at`, and 1 afterwards:
-- then `body` is its report, before it is the task.
CREATE TABLE IF NOT EXISTS tasks (
    row         INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    lane        INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    resource    TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    received_at REAL    NOT NULL,
    settled     INTEGER NOT NULL DEFAULT 0,
    outcome     INTEGER NOT NULL DEFAULT 0,
    settled_at  REAL    NOT NULL DEFAULT 0,
    due_at      REAL    NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 0,
    reason      TEXT    NOT NULL DEFAULT '',
    awaits      TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS tasks_pending ON tasks (lane, sequence) WHERE settled = 0;
CREATE INDEX IF NOT EXISTS tasks_parked ON tasks (lane, due_at) WHERE settled = 2;
CREATE INDEX IF NOT EXISTS tasks_parked_resource ON tasks (resource) WHERE settled = 2;
CREATE INDEX IF NOT EXISTS tasks_awaiting ON tasks (awaits) WHERE awaits <> '';

-- How often a task failed by itself, until it is done.
CREATE TABLE IF NOT EXISTS failing (
    task_id  TEXT    PRIMARY KEY,
    failures INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS held (
    resource   TEXT    PRIMARY KEY,
    generation INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    body       BLOB    NOT NULL
) WITHOUT ROWID;

-- What the gateway has not accepted yet. The numbers only grow, so that a range can be forgotten.
CREATE TABLE IF NOT EXISTS reports (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    lane   INTEGER NOT NULL,
    report BLOB    NOT NULL
);
CREATE INDEX IF NOT EXISTS reports_lane ON reports (lane, id);

-- One a task, kept for good: whatever is delivered again is answered by the same.
CREATE TABLE IF NOT EXISTS receipts (
    task_id TEXT PRIMARY KEY,
    receipt BLOB NOT NULL
) WITHOUT ROWID;

-- When a task of lane 0 first came by each path.
CREATE TABLE IF NOT EXISTS arrivals (
    task_id TEXT    NOT NULL,
    path    INTEGER NOT NULL,
    at      REAL    NOT NULL,
    PRIMARY KEY (task_id, path)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS facts (
    name  TEXT PRIMARY KEY,
    value REAL NOT NULL
) WITHOUT ROWID;

-- Heads of the gateway's audit trail, as they were handed over. Two of one sequence would be evidence, so both stay.
CREATE TABLE IF NOT EXISTS audit_heads (
    sequence INTEGER NOT NULL,
    head     BLOB    NOT NULL,
    PRIMARY KEY (sequence, head)
) WITHOUT ROWID;

-- How far the state of this process is (`own`), and how far the control plane has confirmed it (`confirmed`).
CREATE TABLE IF NOT EXISTS marks (
    name     TEXT PRIMARY KEY,
    term     INTEGER NOT NULL,
    epoch    TEXT    NOT NULL,
    sequence INTEGER NOT NULL
) WITHOUT ROWID;

-- What could not be read or sent, with its reason: it stops nothing behind it. The newest thousand are kept.
CREATE TABLE IF NOT EXISTS aside (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    lane   INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    body   BLOB    NOT NULL,
    reason TEXT    NOT NULL,
    at     REAL    NOT NULL
);
