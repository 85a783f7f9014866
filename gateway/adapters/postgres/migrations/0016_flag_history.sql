-- What became of the flags of one region, newest first, without reading the whole trail.
CREATE INDEX audit_flag ON audit ((body::jsonb ->> 'region'), id) WHERE kind = 'flag';
