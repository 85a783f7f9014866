-- The audit trail. Triggers write it, in the transaction of whatever they record, so that no statement can forget to;
-- a record is sealed, which gives it its place in the chain, after its transaction.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    body text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sequence bigint UNIQUE,
    hash bytea
);
CREATE INDEX audit_open ON audit (id) WHERE sequence IS NULL;

-- The chain's end at some time, signed by the gateway.
CREATE TABLE audit_head (
    sequence bigint PRIMARY KEY,
    head bytea NOT NULL,
    key_id bytea NOT NULL,
    signature bytea NOT NULL,
    certificates bytea[] NOT NULL
);

CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'audit' THEN
        IF OLD.sequence IS NULL AND NEW.sequence IS NOT NULL
            AND (NEW.id, NEW.kind, NEW.body, NEW.recorded_at) = (OLD.id, OLD.kind, OLD.body, OLD.recorded_at) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'The audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_head FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_head EXECUTE FUNCTION audit_append_only();

-- An action that was accepted, and the end of its convergence.
CREATE FUNCTION audit_action() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'action', jsonb_build_object(
        'correlation_id', correlation_id, 'actor', actor, 'action', action, 'detail', detail,
        'decision_id', decision_id, 'process', process, 'placements', total)
    FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_action AFTER INSERT ON job REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_action();

CREATE FUNCTION audit_converged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'converged', jsonb_build_object('correlation_id', n.correlation_id)
    FROM fresh AS n INNER JOIN stale AS o ON o.correlation_id = n.correlation_id
    WHERE n.converged_at IS NOT NULL AND o.converged_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_converged AFTER UPDATE ON job REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_converged();

-- Tasks and their hops: a record for the tasks of a statement that are alike. A task's ID says resource, region and
-- generation; `state` is orbital.v1.TaskState.
CREATE FUNCTION audit_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'task', jsonb_build_object(
        'correlation_id', correlation_id, 'region', region, 'lane', lane, 'kind', kind, 'tasks', jsonb_agg(id))
    FROM fresh GROUP BY correlation_id, region, lane, kind;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_task AFTER INSERT ON task REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_task();

CREATE FUNCTION audit_hop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'hop', jsonb_build_object(
        'correlation_id', correlation_id, 'region', region, 'lane', lane, 'state', state, 'reason', reason,
        'dispatch_decision', dispatch_decision, 'execute_decision', execute_decision, 'tasks', jsonb_agg(id))
    FROM fresh GROUP BY correlation_id, region, lane, state, reason, dispatch_decision, execute_decision;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_hop AFTER UPDATE ON task REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_hop();

CREATE FUNCTION audit_denial() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'denial', jsonb_build_object(
        'decision_id', decision_id, 'policy', policy, 'principal', principal, 'action', action, 'reason', reason,
        'correlation_id', correlation_id, 'engine', engine)
    FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_denial AFTER INSERT ON denial REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_denial();

CREATE FUNCTION audit_receipt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'receipt', jsonb_build_object(
        'task_id', task_id, 'region', region, 'correlation_id', correlation_id, 'resource', resource,
        'generation', generation, 'sha256', encode(sha256(body), 'hex'))
    FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_receipt AFTER INSERT ON receipt REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_receipt();

CREATE FUNCTION audit_certificate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'certificate', jsonb_build_object(
        'name', name, 'key_id', encode(key_id, 'hex'), 'ends_at', ends_at,
        'sha256', encode(sha256(certificate), 'hex'))
    FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_certificate AFTER INSERT ON certificate REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_certificate();

-- Flags as they are raised, change and clear; `status` is orbital.v1.HealthStatus.
CREATE FUNCTION audit_flag_raised() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'flag', jsonb_build_object(
        'region', region, 'component', component, 'status', status, 'reason', reason, 'change', 'raised')
    FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_flag_raised AFTER INSERT ON flag REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_flag_raised();

CREATE FUNCTION audit_flag_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'flag', jsonb_build_object(
        'region', n.region, 'component', n.component, 'status', n.status, 'reason', n.reason, 'change', 'changed')
    FROM fresh AS n INNER JOIN stale AS o ON o.region = n.region AND o.component = n.component
    WHERE (n.status, n.reason) <> (o.status, o.reason);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_flag_changed AFTER UPDATE ON flag REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_flag_changed();

CREATE FUNCTION audit_flag_cleared() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'flag', jsonb_build_object(
        'region', region, 'component', component, 'status', status, 'reason', reason, 'change', 'cleared')
    FROM stale;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_flag_cleared AFTER DELETE ON flag REFERENCING OLD TABLE AS stale
    FOR EACH STATEMENT EXECUTE FUNCTION audit_flag_cleared();

CREATE FUNCTION audit_security_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'security_event', jsonb_build_object(
        'region', region, 'subject', subject, 'reason', reason, 'message', message, 'principal', principal)
    FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_security_event AFTER INSERT ON security_event REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_security_event();

CREATE FUNCTION audit_dead_letter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (kind, body)
    SELECT 'dead_letter', jsonb_build_object(
        'region', region, 'lane', lane, 'reason', reason, 'sha256', encode(sha256(payload), 'hex'))
    FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_dead_letter AFTER INSERT ON dead_letter REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_dead_letter();
