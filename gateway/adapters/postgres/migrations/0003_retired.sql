-- Tombstones: what is retired stays, so that nothing that is late brings it back, and is not listed unless asked for.
ALTER TABLE resource ADD COLUMN retired boolean NOT NULL DEFAULT false;
