-- Registrations, and the functions that change them. A registration is a row in `leases`, which heartbeats touch, and
-- one in `registrations`, which they don't. The lease is the lock: whoever changes either locks it first, in the order
-- of identities. Points in time are microseconds since the epoch, by this server's clock.

CREATE SEQUENCE __schema__.revision;
-- No revision is used twice, not even by a schema that was dropped and made again.
SELECT setval('__schema__.revision', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);

CREATE FUNCTION __schema__.now_micros() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

CREATE TABLE __schema__.leases (
    namespace integer NOT NULL,
    identity text COLLATE "C" NOT NULL,
    registration_id text NOT NULL,
    expires_at bigint,
    -- expires_at in units of 2^25 microseconds, so that most heartbeats change nothing that is indexed.
    bucket integer,
    PRIMARY KEY (namespace, identity)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX leases_by_expiry ON __schema__.leases (namespace, bucket) WHERE bucket IS NOT NULL;

CREATE TABLE __schema__.registrations (
    namespace integer NOT NULL,
    identity text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    registered_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    registration_id text NOT NULL,
    address text NOT NULL,
    owner text NOT NULL,
    document jsonb NOT NULL,
    metadata bytea NOT NULL,
    PRIMARY KEY (namespace, identity)
);

-- How many leases each namespace has, in several rows so that writers don't wait for one another.
CREATE TABLE __schema__.counters (
    namespace integer NOT NULL,
    shard integer NOT NULL,
    leases bigint NOT NULL,
    PRIMARY KEY (namespace, shard)
) WITH (fillfactor = 50);

CREATE FUNCTION __schema__.count_leases(p_namespace integer, p_change bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO __schema__.counters AS c (namespace, shard, leases)
    SELECT p_namespace, pg_backend_pid() % 16, p_change WHERE p_change <> 0
    ON CONFLICT (namespace, shard) DO UPDATE SET leases = c.leases + excluded.leases
$$;

-- How many registrations are live. Leases that have expired are few, and an index finds them.
CREATE FUNCTION __schema__.count_live(p_namespace integer) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_now bigint := __schema__.now_micros();
BEGIN
    RETURN coalesce((SELECT sum(leases) FROM __schema__.counters WHERE namespace = p_namespace), 0)
        - (SELECT count(*) FROM __schema__.leases
           WHERE namespace = p_namespace AND bucket <= (v_now >> 25) AND expires_at <= v_now);
END
$$;

-- Writes registrations, each identity at most once. `p_kinds` are preconditions: 0 anything, 1 absent, 2 at a revision.
-- `p_ttls` are microseconds, null for never, -1 to keep the expiry. `p_documents` are null where the metadata itself can
-- be read as JSONB. `p_actor` is who does it, null where nothing is audited.
CREATE FUNCTION __schema__.set_registrations(
    p_namespace integer,
    p_limit bigint,
    p_actor text,
    p_identities text[],
    p_kinds smallint[],
    p_revisions bigint[],
    p_ttls bigint[],
    p_registration_ids text[],
    p_addresses text[],
    p_owners text[],
    p_metadata bytea[],
    p_documents jsonb[]
) RETURNS TABLE (
    place bigint,
    outcome text,
    revision bigint,
    registered_at bigint,
    updated_at bigint,
    expires_at bigint,
    old_registration_id text,
    old_address text
) LANGUAGE plpgsql SET plan_cache_mode = auto AS $$
#variable_conflict use_column
DECLARE
    v_now bigint;
    v_size integer := cardinality(p_identities);
    v_left integer := v_size;
    v_open boolean[] := array_fill(true, ARRAY[v_size]);
    v_new bigint[];
    v_revisions bigint[];
    v_expiries bigint[];
    v_count bigint := 0;
    v_room bigint;
    v_place bigint;
BEGIN
    IF p_limit IS NOT NULL THEN
        PERFORM 1 FROM __schema__.namespaces WHERE number = p_namespace FOR NO KEY UPDATE;
        v_room := p_limit - __schema__.count_live(p_namespace);
        IF v_room < v_size THEN
            PERFORM 1 FROM __schema__.leases l
                WHERE l.namespace = p_namespace AND l.identity = ANY(p_identities) ORDER BY l.identity FOR UPDATE;
            v_now := __schema__.now_micros();
            v_room := p_limit - __schema__.count_live(p_namespace);
            FOR place IN
                SELECT i.place FROM unnest(p_identities, p_kinds) WITH ORDINALITY AS i (identity, kind, place)
                WHERE i.kind < 2 AND NOT EXISTS (
                    SELECT FROM __schema__.leases l
                    WHERE l.namespace = p_namespace AND l.identity = i.identity
                        AND (l.expires_at IS NULL OR l.expires_at > v_now)
                )
                ORDER BY i.place OFFSET greatest(v_room, 0)
            LOOP
                v_open[place] := false;
                v_left := v_left - 1;
                outcome := 'quota_exceeded';
                RETURN NEXT;
            END LOOP;
        END IF;
    END IF;

    FOR attempt IN 1..10 LOOP
        EXIT WHEN v_left = 0;
        -- Those that aren't there. Revisions are drawn when the leases are ours.
        v_now := __schema__.now_micros();
        WITH item AS MATERIALIZED (
            SELECT * FROM unnest(
                v_open, p_identities, p_kinds, p_ttls, p_registration_ids, p_addresses, p_owners, p_metadata,
                p_documents
            ) WITH ORDINALITY AS i (
                open, identity, kind, ttl, registration_id, address, owner, metadata, document, place
            )
            WHERE i.open AND i.kind < 2
        ), lease AS (
            INSERT INTO __schema__.leases (namespace, identity, registration_id, expires_at, bucket)
            SELECT p_namespace, identity, registration_id, v_now + ttl, (v_now + ttl) >> 25 FROM item ORDER BY identity
            ON CONFLICT DO NOTHING
            RETURNING identity, expires_at
        ), stored AS (
            INSERT INTO __schema__.registrations (
                namespace, identity, revision, registered_at, updated_at, registration_id, address, owner, document,
                metadata
            )
            SELECT p_namespace, identity, nextval('__schema__.revision'), v_now, v_now, registration_id, address, owner,
                coalesce(document, convert_from(metadata, 'UTF8')::jsonb), metadata
            FROM lease JOIN item USING (identity)
            RETURNING identity, revision, registration_id
        ), noted AS (
            INSERT INTO __schema__.audit (namespace, kind, actor, identity, registration_id, revision)
            SELECT p_namespace, 'register', p_actor, identity, registration_id, revision FROM stored
            WHERE p_actor IS NOT NULL
        )
        SELECT coalesce(array_agg(item.place), '{}'), array_agg(stored.revision), array_agg(lease.expires_at)
            INTO v_new, v_revisions, v_expiries
            FROM stored JOIN item USING (identity) JOIN lease USING (identity);
        v_count := v_count + cardinality(v_new);
        v_left := v_left - cardinality(v_new);
        RETURN QUERY SELECT n.place, 'stored', n.revision, v_now, v_now, n.expires_at, NULL::text, NULL::text
            FROM unnest(v_new, v_revisions, v_expiries) AS n (place, revision, expires_at);
        EXIT WHEN v_left = 0;
        FOREACH v_place IN ARRAY v_new LOOP
            v_open[v_place] := false;
        END LOOP;

        -- Those that are. Nobody else changes them once their leases are locked.
        PERFORM 1 FROM __schema__.leases l
            WHERE l.namespace = p_namespace AND l.identity = ANY(p_identities) ORDER BY l.identity FOR UPDATE;
        v_now := __schema__.now_micros();
        FOR place, outcome, revision, registered_at, updated_at, expires_at, old_registration_id, old_address IN
            WITH item AS MATERIALIZED (
                SELECT i.*, l.registration_id AS old_registration_id, r.address AS old_address,
                    l.expires_at IS NULL OR l.expires_at > v_now AS live,
                    CASE
                        WHEN kind = 1 AND (l.expires_at IS NULL OR l.expires_at > v_now) THEN 'already_exists'
                        WHEN kind = 2 AND l.expires_at <= v_now THEN 'not_found'
                        WHEN kind = 2 AND r.revision <> i.wanted THEN 'conflict'
                        ELSE 'stored'
                    END AS outcome
                FROM unnest(
                    v_open, p_identities, p_kinds, p_revisions, p_ttls, p_registration_ids, p_addresses, p_owners,
                    p_metadata, p_documents
                ) WITH ORDINALITY AS i (
                    open, identity, kind, wanted, ttl, registration_id, address, owner, metadata, document, place
                )
                JOIN __schema__.leases l ON l.namespace = p_namespace AND l.identity = i.identity
                JOIN __schema__.registrations r ON r.namespace = p_namespace AND r.identity = i.identity
                WHERE i.open
            ), lease AS (
                UPDATE __schema__.leases l SET
                    registration_id = item.registration_id,
                    expires_at = CASE WHEN ttl = -1 THEN l.expires_at ELSE v_now + ttl END,
                    bucket = CASE WHEN ttl = -1 THEN l.bucket ELSE (v_now + ttl) >> 25 END
                FROM item
                WHERE l.namespace = p_namespace AND l.identity = item.identity AND item.outcome = 'stored'
                RETURNING l.identity, l.expires_at
            ), stored AS (
                UPDATE __schema__.registrations r SET
                    revision = nextval('__schema__.revision'),
                    registered_at = CASE WHEN kind = 2 THEN r.registered_at ELSE v_now END,
                    updated_at = v_now,
                    registration_id = item.registration_id,
                    address = item.address,
                    owner = item.owner,
                    document = coalesce(item.document, convert_from(item.metadata, 'UTF8')::jsonb),
                    metadata = item.metadata
                FROM item
                WHERE r.namespace = p_namespace AND r.identity = item.identity AND item.outcome = 'stored'
                RETURNING r.identity, r.revision, r.registered_at, r.updated_at
            ), noted AS (
                INSERT INTO __schema__.audit (namespace, kind, actor, identity, registration_id, revision)
                SELECT p_namespace, CASE WHEN item.kind = 2 THEN 'update' ELSE 'register' END, p_actor, item.identity,
                    item.registration_id, stored.revision
                FROM stored JOIN item USING (identity) WHERE p_actor IS NOT NULL
            )
            SELECT item.place, item.outcome, stored.revision, stored.registered_at, stored.updated_at,
                lease.expires_at, CASE WHEN live THEN item.old_registration_id END,
                CASE WHEN live THEN item.old_address END
            FROM item LEFT JOIN stored USING (identity) LEFT JOIN lease USING (identity)
        LOOP
            v_open[place] := false;
            v_left := v_left - 1;
            RETURN NEXT;
        END LOOP;

        -- What is to be changed and isn't there, is not found. What was there and has just gone is tried again.
        FOR place IN
            SELECT i.place FROM unnest(v_open, p_kinds) WITH ORDINALITY AS i (open, kind, place) WHERE open AND kind = 2
        LOOP
            v_open[place] := false;
            v_left := v_left - 1;
            outcome := 'not_found';
            RETURN NEXT;
        END LOOP;
    END LOOP;
    IF v_left > 0 THEN
        RAISE EXCEPTION 'the registrations keep coming and going' USING ERRCODE = 'serialization_failure';
    END IF;
    PERFORM __schema__.count_leases(p_namespace, v_count);
END
$$;

-- Removes registrations, each identity at most once. `p_registration_ids` are null for whichever there is.
CREATE FUNCTION __schema__.delete_registrations(
    p_namespace integer, p_actor text, p_identities text[], p_registration_ids text[]
) RETURNS TABLE (place bigint, outcome text, registration_id text, address text) LANGUAGE plpgsql
SET plan_cache_mode = auto AS $$
#variable_conflict use_column
DECLARE
    v_now bigint;
    v_count bigint := 0;
BEGIN
    PERFORM 1 FROM __schema__.leases l
        WHERE l.namespace = p_namespace AND l.identity = ANY(p_identities) ORDER BY l.identity FOR UPDATE;
    v_now := __schema__.now_micros();
    FOR place, outcome, registration_id, address IN
        WITH item AS MATERIALIZED (
            SELECT i.place, i.identity,
                CASE
                    WHEN l.identity IS NULL OR l.expires_at <= v_now THEN 'not_found'
                    WHEN i.fence <> l.registration_id THEN 'stale'
                    ELSE 'deleted'
                END AS outcome
            FROM unnest(p_identities, p_registration_ids) WITH ORDINALITY AS i (identity, fence, place)
            LEFT JOIN __schema__.leases l ON l.namespace = p_namespace AND l.identity = i.identity
        ), lease AS (
            DELETE FROM __schema__.leases l USING item
            WHERE l.namespace = p_namespace AND l.identity = item.identity AND item.outcome = 'deleted'
        ), removed AS (
            DELETE FROM __schema__.registrations r USING item
            WHERE r.namespace = p_namespace AND r.identity = item.identity AND item.outcome = 'deleted'
            RETURNING r.identity, r.registration_id, r.address, r.revision
        ), noted AS (
            INSERT INTO __schema__.audit (namespace, kind, actor, identity, registration_id, revision)
            SELECT p_namespace, 'unregister', p_actor, identity, registration_id, revision FROM removed
            WHERE p_actor IS NOT NULL
        )
        SELECT item.place, item.outcome, removed.registration_id, removed.address
        FROM item LEFT JOIN removed USING (identity)
    LOOP
        v_count := v_count + (outcome = 'deleted')::integer;
        RETURN NEXT;
    END LOOP;
    PERFORM __schema__.count_leases(p_namespace, -v_count);
END
$$;

-- Removes up to `p_count` registrations that have expired, passing over those that somebody else has in hand.
CREATE FUNCTION __schema__.pop_expired(p_namespace integer, p_actor text, p_count bigint) RETURNS TABLE (
    identity text, metadata bytea, registration_id text, revision bigint, registered_at bigint, updated_at bigint,
    expires_at bigint, address text, owner text
) LANGUAGE plpgsql SET plan_cache_mode = auto AS $$
#variable_conflict use_column
DECLARE
    v_now bigint := __schema__.now_micros();
    v_identities text[];
BEGIN
    v_identities := ARRAY(
        SELECT l.identity FROM __schema__.leases l
        WHERE l.namespace = p_namespace AND l.bucket <= (v_now >> 25) AND l.expires_at <= v_now
        LIMIT p_count FOR UPDATE SKIP LOCKED
    );
    IF v_identities = '{}' THEN
        RETURN;
    END IF;
    PERFORM __schema__.count_leases(p_namespace, -cardinality(v_identities)::bigint);
    RETURN QUERY
        WITH lease AS (
            DELETE FROM __schema__.leases l WHERE l.namespace = p_namespace AND l.identity = ANY(v_identities)
            RETURNING l.identity, l.expires_at
        ), removed AS (
            DELETE FROM __schema__.registrations r WHERE r.namespace = p_namespace AND r.identity = ANY(v_identities)
            RETURNING r.*
        ), noted AS (
            INSERT INTO __schema__.audit (namespace, kind, actor, identity, registration_id, revision)
            SELECT p_namespace, 'expire', p_actor, identity, registration_id, revision FROM removed
            WHERE p_actor IS NOT NULL
        )
        SELECT r.identity, r.metadata, r.registration_id, r.revision, r.registered_at, r.updated_at, l.expires_at,
            r.address, r.owner
        FROM removed r JOIN lease l USING (identity);
END
$$;

-- A text that orders as the version does (numbers by value, then prerelease identifiers), null for what isn't a version.
-- The same as `version_key` of the plugin's `versions` module.
CREATE FUNCTION __schema__.version_key(p_text text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    v_parts text[] := regexp_match(
        p_text,
        '^[vV]?([0-9]{1,18}(?:\.[0-9]{1,18})*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?'
        '(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$'
    );
    v_numbers text[];
    v_key text := '';
    v_word text;
BEGIN
    IF v_parts IS NULL THEN
        RETURN NULL;
    END IF;
    v_numbers := string_to_array(v_parts[1], '.');
    WHILE cardinality(v_numbers) > 0 AND ltrim(v_numbers[cardinality(v_numbers)], '0') = '' LOOP
        v_numbers := v_numbers[1:cardinality(v_numbers) - 1];
    END LOOP;
    FOREACH v_word IN ARRAY v_numbers LOOP
        v_key := v_key || '1' || lpad(v_word, 18, '0');
    END LOOP;
    IF v_parts[2] IS NULL THEN
        RETURN v_key || '01';
    END IF;
    v_key := v_key || '00';
    FOREACH v_word IN ARRAY string_to_array(v_parts[2], '.') LOOP
        IF v_word ~ '^[0-9]{1,18}$' THEN
            v_key := v_key || '1' || lpad(v_word, 18, '0');
        ELSE
            v_key := v_key || '2' || v_word || ' ';
        END IF;
    END LOOP;
    RETURN v_key || '0';
END
$$;

-- A place on the Earth as a point of longitude and latitude, null for what isn't an object with both in range. Not
-- STRICT, so that it's put into the query and not called.
CREATE FUNCTION __schema__.place(p_value jsonb) RETURNS point LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN jsonb_typeof(p_value -> 'lat') = 'number' AND jsonb_typeof(p_value -> 'lon') = 'number' THEN
            CASE
                WHEN (p_value -> 'lat')::numeric BETWEEN -90 AND 90 AND (p_value -> 'lon')::numeric BETWEEN -180 AND 180
                THEN point((p_value -> 'lon')::float8, (p_value -> 'lat')::float8)
            END
    END
$$;
