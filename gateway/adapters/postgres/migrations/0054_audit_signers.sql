-- The certificates of who signed a head, once for all heads that the same certificates vouch for.
CREATE TABLE audit_signer (
    digest bytea PRIMARY KEY,
    certificates bytea[] NOT NULL
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_signer FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_signer EXECUTE FUNCTION audit_append_only();

-- Each certificate counts by its own digest, in order.
CREATE FUNCTION audit_signer_digest(certificates bytea[]) RETURNS bytea IMMUTABLE LANGUAGE sql AS $$
    SELECT sha256(coalesce(string_agg(sha256(one), '' ORDER BY place), ''))
    FROM unnest(certificates) WITH ORDINALITY AS u (one, place)
$$;

ALTER TABLE audit_head DISABLE TRIGGER append_only;
ALTER TABLE audit_head ADD COLUMN signer bytea;
INSERT INTO audit_signer (digest, certificates)
SELECT DISTINCT ON (audit_signer_digest(certificates)) audit_signer_digest(certificates), certificates FROM audit_head;
UPDATE audit_head SET signer = audit_signer_digest(certificates);
ALTER TABLE audit_head ALTER COLUMN signer SET NOT NULL, DROP COLUMN certificates;
ALTER TABLE audit_head ADD FOREIGN KEY (signer) REFERENCES audit_signer (digest);
ALTER TABLE audit_head ENABLE TRIGGER append_only;
