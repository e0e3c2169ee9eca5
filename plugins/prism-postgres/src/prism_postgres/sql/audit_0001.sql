-- What was done by whom, appended by the transactions that do it. A partition for each month; the retention drops whole
-- ones, and nothing else removes or changes an entry.

CREATE SEQUENCE __schema__.audit_sequence;

CREATE TABLE __schema__.audit (
    sequence bigint NOT NULL DEFAULT nextval('__schema__.audit_sequence'),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    namespace integer NOT NULL,
    kind text NOT NULL,
    actor text NOT NULL,
    identity text COLLATE "C" NOT NULL DEFAULT '',
    registration_id text NOT NULL DEFAULT '',
    revision bigint,
    message_id text NOT NULL DEFAULT '',
    filter text,
    targets bigint,
    outcomes text,
    detail text NOT NULL DEFAULT '',
    PRIMARY KEY (namespace, sequence, at)
) PARTITION BY RANGE (at);

CREATE INDEX audit_by_identity ON __schema__.audit (namespace, identity, sequence) WHERE identity <> '';
CREATE INDEX audit_by_message ON __schema__.audit (namespace, message_id) WHERE message_id <> '';

-- Takes what comes when nobody has made the month's partition in time: no write waits for maintenance.
CREATE TABLE __schema__.audit_default PARTITION OF __schema__.audit DEFAULT;

CREATE FUNCTION __schema__.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is only appended to: % refused', TG_OP USING ERRCODE = 'insufficient_privilege',
        HINT = 'Entries are removed by the retention alone, a month at a time.';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON __schema__.audit
    FOR EACH ROW EXECUTE FUNCTION __schema__.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON __schema__.audit
    FOR EACH STATEMENT EXECUTE FUNCTION __schema__.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON __schema__.audit_default
    FOR EACH STATEMENT EXECUTE FUNCTION __schema__.refuse_change();

-- Makes the partitions of this month and of so many more, and returns the names of the new ones. A month that has
-- entries in the default partition already stays there.
CREATE FUNCTION __schema__.make_audit_partitions(p_months integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    v_start timestamptz;
    v_name text;
BEGIN
    FOR i IN 0..p_months LOOP
        v_start := (date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + make_interval(months => i))
            AT TIME ZONE 'UTC';
        v_name := 'audit_' || to_char(v_start AT TIME ZONE 'UTC', 'YYYYMM');
        CONTINUE WHEN to_regclass('__schema__.' || v_name) IS NOT NULL;
        PERFORM pg_advisory_xact_lock(hashtextextended('prism audit __schema__', 0));
        CONTINUE WHEN to_regclass('__schema__.' || v_name) IS NOT NULL;
        CONTINUE WHEN EXISTS (
            SELECT FROM __schema__.audit_default
            WHERE at >= v_start AND at < (v_start AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
        );
        EXECUTE format(
            'CREATE TABLE __schema__.%I PARTITION OF __schema__.audit FOR VALUES FROM (%L) TO (%L)',
            v_name, v_start, (v_start AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
        );
        EXECUTE format(
            'CREATE TRIGGER no_truncate BEFORE TRUNCATE ON __schema__.%I FOR EACH STATEMENT '
            'EXECUTE FUNCTION __schema__.refuse_change()', v_name
        );
        RETURN NEXT v_name;
    END LOOP;
END
$$;

-- The partitions that no audited namespace of this schema keeps any more, the oldest first; or would, if the namespace
-- kept its audit for `p_days`.
CREATE FUNCTION __schema__.outlived_audit_partitions(p_namespace integer DEFAULT 0, p_days integer DEFAULT NULL)
RETURNS SETOF text LANGUAGE sql STABLE AS $$
    WITH noted AS (
        SELECT audit_days AS days FROM __schema__.namespaces WHERE number <> p_namespace OR p_days IS NULL
        UNION ALL
        SELECT p_days
    ), kept AS (
        SELECT CASE WHEN bool_or(days = 0) THEN NULL ELSE max(days) END AS days FROM noted WHERE days IS NOT NULL
    )
    SELECT c.relname::text
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid, kept
    WHERE i.inhparent = '__schema__.audit'::regclass AND c.relname ~ '^audit_[0-9]{6}$'
        AND (to_date(substr(c.relname, 7), 'YYYYMM') + interval '1 month') AT TIME ZONE 'UTC'
            <= clock_timestamp() - make_interval(days => kept.days)
    ORDER BY 1
$$;

-- Drops them and returns their names.
CREATE FUNCTION __schema__.drop_outlived_audit() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    v_name text;
BEGIN
    FOR v_name IN SELECT * FROM __schema__.outlived_audit_partitions() LOOP
        EXECUTE format('DROP TABLE IF EXISTS __schema__.%I', v_name);
        RETURN NEXT v_name;
    END LOOP;
END
$$;
