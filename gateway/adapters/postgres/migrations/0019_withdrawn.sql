-- True while a region itself has taken back what it had done, because the owner of an L1 refused it.
ALTER TABLE placement ADD COLUMN withdrawn boolean NOT NULL DEFAULT false;
