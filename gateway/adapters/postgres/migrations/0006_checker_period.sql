-- Within how many seconds each checker promised to speak again.
ALTER TABLE checker ADD COLUMN period double precision NOT NULL DEFAULT 2;
