-- What the gateways' role may do, given by the owner after each migration. `{writer}` and `{database}` are quoted names.
REVOKE CREATE ON SCHEMA public FROM PUBLIC, {writer};
GRANT USAGE ON SCHEMA public TO {writer};
-- A temporary table would be found before the trail's.
REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC, {writer};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {writer};
REVOKE ALL ON migration, audit, audit_head, audit_signer FROM {writer};
REVOKE DELETE ON receipt, certificate, job FROM {writer};
GRANT SELECT ON migration, audit, audit_head, audit_signer TO {writer};
-- Sealing: whatever else is asked of a record, its trigger refuses.
GRANT UPDATE (sequence, hash) ON audit TO {writer};
GRANT INSERT ON audit_head, audit_signer TO {writer};
-- Records are written by the owner's triggers alone, and by no name that somebody else may have put in between.
DO $$ DECLARE found text; BEGIN
    FOR found IN
        SELECT p.oid::regprocedure::text FROM pg_proc AS p INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname = 'public' AND p.prorettype = 'trigger'::regtype
    LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp', found);
    END LOOP;
END $$;
