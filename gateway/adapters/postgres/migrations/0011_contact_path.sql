-- By which path the region says that this lane's tasks come; 0 while it does not say.
ALTER TABLE contact ADD COLUMN path smallint NOT NULL DEFAULT 0;
