-- The database was restored from a backup: a region proved by a signed head of the trail that the trail has lost records.
CREATE TABLE went_back (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region text COLLATE "C" NOT NULL,
    -- The head that is not in the trail any more, and where the trail ended when that was found.
    lost_sequence bigint NOT NULL,
    lost_hash bytea NOT NULL,
    signed_at timestamptz NOT NULL,
    trail_end bigint NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    -- When the region had told all that it holds, and what came of it.
    told_at timestamptz,
    revoked integer NOT NULL DEFAULT 0,
    raised integer NOT NULL DEFAULT 0,
    unknown integer NOT NULL DEFAULT 0,
    UNIQUE (region, lost_sequence, lost_hash)
);

-- What regions hold under names that the restored database does not know: generations begin above it.
CREATE TABLE generation_floor (
    name text COLLATE "C" PRIMARY KEY,
    generation bigint NOT NULL CHECK (generation > 0),
    killed boolean NOT NULL,
    retired boolean NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION audit_went_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'went_back', jsonb_build_object(
        'region', region, 'lost_sequence', lost_sequence, 'lost_hash', encode(lost_hash, 'hex'),
        'signed_at', signed_at, 'trail_end', trail_end, 'told_at', told_at, 'revoked', revoked, 'raised', raised,
        'unknown', unknown)
    -- Between the two, counts grow page by page.
    FROM fresh WHERE TG_OP = 'INSERT' OR told_at IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_went_back_found AFTER INSERT ON went_back REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_went_back();
CREATE TRIGGER audit_went_back_told AFTER UPDATE ON went_back REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_went_back();
