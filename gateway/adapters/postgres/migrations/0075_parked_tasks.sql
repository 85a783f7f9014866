-- Tasks that keep failing are parked by their regions, and people retry or cancel them. `parked_until` is when the region
-- tries again by itself; a task that was cancelled says so whenever it is sent.
ALTER TABLE task ADD COLUMN parked_until timestamptz;
ALTER TABLE task ADD COLUMN cancelled boolean NOT NULL DEFAULT false;
-- Changes when a task is parked or parked no more, and with nothing else: see 0020.
ALTER TABLE task ADD COLUMN parked boolean GENERATED ALWAYS AS (state = 7) STORED;
CREATE INDEX task_parked ON task (sequence) WHERE parked;
-- It counts as long as the placement has a reason.
ALTER TABLE placement ADD COLUMN parked_until timestamptz;
