-- A System has at most one Link that is not retired, so that one can take the place of another.
DROP INDEX resource_one_link;
CREATE UNIQUE INDEX resource_one_link ON resource (parent) WHERE kind = 5 AND NOT retired;

-- The L1 key that a Link names, "provider:name"; null in what an older release stored, until the gateway fills it in.
ALTER TABLE resource ADD COLUMN l1 text COLLATE "C";
CREATE INDEX resource_l1 ON resource (l1) WHERE kind = 5 AND NOT retired;
