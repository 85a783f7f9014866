-- When a task of lane 0, which takes every path at once, first reached its region by each of them.
CREATE TABLE arrival (
    task_id    uuid        NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    path       smallint    NOT NULL,
    arrived_at timestamptz NOT NULL,
    PRIMARY KEY (task_id, path)
);
