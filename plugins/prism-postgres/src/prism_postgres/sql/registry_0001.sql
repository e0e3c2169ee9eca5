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

-- The functions below go from array to array, item by item in its place, and look up rows by their keys: their plans are
-- generic ones, which take every array for a short one. Nothing in them joins two arrays.

-- Writes registrations, each identity at most once. `p_kinds` are preconditions: 0 anything, 1 absent, 2 at a revision.
-- `p_ttls` are microseconds, null for never, -1 to keep the expiry. `p_documents` are null where the metadata itself can
-- be read as JSONB. `p_actor` is who does it, null where nothing is audited. A column from `p_kinds` on that is one value
-- throughout may have it once.
CREATE FUNCTION __schema__.set_registrations(
    p_namespace integer,
    p_limit bigint,
    p_actor text,
    p_identities text[],
    p_registration_ids text[],
    p_metadata bytea[],
    p_kinds smallint[],
    p_revisions bigint[],
    p_ttls bigint[],
    p_addresses text[],
    p_owners text[],
    p_documents jsonb[]
) RETURNS TABLE (
    outcome text,
    revision bigint,
    registered_at bigint,
    updated_at bigint,
    expires_at bigint,
    old_registration_id text,
    old_address text
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_size integer := cardinality(p_identities);
    v_now bigint;
    v_found bigint;
    v_new bigint;
    v_inserted bigint;
    v_place bigint;
    v_outcomes text[];
    v_revisions bigint[];
    v_exists boolean[] := array_fill(false, ARRAY[v_size]);
    v_live boolean[] := v_exists;
    v_old_revisions bigint[];
    v_old_registered_at bigint[];
    v_old_expires_at bigint[];
    v_old_registration_ids text[];
    v_old_addresses text[];
BEGIN
    IF cardinality(p_kinds) < v_size THEN
        p_kinds := array_fill(p_kinds[1], ARRAY[v_size]);
    END IF;
    IF cardinality(p_revisions) < v_size THEN
        p_revisions := array_fill(p_revisions[1], ARRAY[v_size]);
    END IF;
    IF cardinality(p_ttls) < v_size THEN
        p_ttls := array_fill(p_ttls[1], ARRAY[v_size]);
    END IF;
    IF cardinality(p_addresses) < v_size THEN
        p_addresses := array_fill(p_addresses[1], ARRAY[v_size]);
    END IF;
    IF cardinality(p_owners) < v_size THEN
        p_owners := array_fill(p_owners[1], ARRAY[v_size]);
    END IF;
    IF cardinality(p_documents) < v_size THEN
        p_documents := array_fill(p_documents[1], ARRAY[v_size]);
    END IF;
    IF p_limit IS NOT NULL THEN
        PERFORM 1 FROM __schema__.namespaces WHERE number = p_namespace FOR NO KEY UPDATE;
    END IF;

    -- What is there is locked in the order of identities, so that no two of us wait for each other.
    SELECT count(*) INTO v_found FROM (
        SELECT FROM __schema__.leases l WHERE l.namespace = p_namespace AND l.identity = ANY(p_identities)
        ORDER BY l.identity FOR UPDATE
    ) AS locked;
    v_now := __schema__.now_micros();
    IF v_found > 0 THEN
        SELECT
            array_agg(l.identity IS NOT NULL ORDER BY i.place),
            array_agg(l.identity IS NOT NULL AND (l.expires_at IS NULL OR l.expires_at > v_now) ORDER BY i.place),
            array_agg(r.revision ORDER BY i.place),
            array_agg(r.registered_at ORDER BY i.place),
            array_agg(l.expires_at ORDER BY i.place),
            array_agg(l.registration_id ORDER BY i.place),
            array_agg(r.address ORDER BY i.place)
        INTO v_exists, v_live, v_old_revisions, v_old_registered_at, v_old_expires_at, v_old_registration_ids,
            v_old_addresses
        FROM unnest(p_identities) WITH ORDINALITY AS i (identity, place)
        LEFT JOIN __schema__.leases l ON l.namespace = p_namespace AND l.identity = i.identity
        LEFT JOIN __schema__.registrations r ON r.namespace = p_namespace AND r.identity = i.identity;
        IF cardinality(array_positions(v_exists, true)) <> v_found THEN
            -- It's seen, and not locked: it came between the two statements.
            RAISE EXCEPTION 'an identity has just been registered by another' USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;
    SELECT array_agg(
        CASE
            WHEN live AND kind = 1 THEN 'already_exists'
            WHEN NOT live AND kind = 2 THEN 'not_found'
            WHEN kind = 2 AND old_revision <> wanted THEN 'conflict'
            ELSE 'stored'
        END ORDER BY place
    ) INTO v_outcomes
    FROM unnest(p_kinds, p_revisions, v_live, v_old_revisions)
        WITH ORDINALITY AS i (kind, wanted, live, old_revision, place);

    IF p_limit IS NOT NULL THEN
        -- Nobody else adds any now. The first ones that fit are let in.
        FOR v_place IN
            SELECT i.place FROM unnest(v_outcomes, v_live) WITH ORDINALITY AS i (outcome, live, place)
            WHERE i.outcome = 'stored' AND NOT i.live
            ORDER BY i.place OFFSET greatest(p_limit - __schema__.count_live(p_namespace), 0)
        LOOP
            v_outcomes[v_place] := 'quota_exceeded';
        END LOOP;
    END IF;

    SELECT count(*) INTO v_new FROM unnest(v_outcomes, v_exists) AS i (outcome, there)
        WHERE i.outcome = 'stored' AND NOT i.there;
    IF v_new > 0 THEN
        INSERT INTO __schema__.leases (namespace, identity, registration_id, expires_at, bucket)
            SELECT p_namespace, i.identity, i.registration_id, v_now + i.ttl, (v_now + i.ttl) >> 25
            FROM unnest(v_outcomes, v_exists, p_identities, p_registration_ids, p_ttls)
                AS i (outcome, there, identity, registration_id, ttl)
            WHERE i.outcome = 'stored' AND NOT i.there
            ORDER BY i.identity
            ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS v_inserted = ROW_COUNT;
        IF v_inserted <> v_new THEN
            RAISE EXCEPTION 'an identity has just been registered by another' USING ERRCODE = 'serialization_failure';
        END IF;
        PERFORM __schema__.count_leases(p_namespace, v_new);
    END IF;

    -- Revisions are drawn when every lease is ours, so that those of an identity always rise.
    v_revisions := ARRAY(
        SELECT CASE WHEN i.outcome = 'stored' THEN nextval('__schema__.revision') END
        FROM unnest(v_outcomes) WITH ORDINALITY AS i (outcome, place) ORDER BY i.place
    );
    IF v_new > 0 THEN
        INSERT INTO __schema__.registrations (
            namespace, identity, revision, registered_at, updated_at, registration_id, address, owner, document,
            metadata
        )
        SELECT p_namespace, i.identity, i.revision, v_now, v_now, i.registration_id, i.address, i.owner,
            coalesce(i.document, convert_from(i.metadata, 'UTF8')::jsonb), i.metadata
        FROM unnest(
            v_outcomes, v_exists, v_revisions, p_identities, p_registration_ids, p_addresses, p_owners, p_metadata,
            p_documents
        ) AS i (outcome, there, revision, identity, registration_id, address, owner, metadata, document)
        WHERE i.outcome = 'stored' AND NOT i.there;
    END IF;
    IF v_found > 0 THEN
        UPDATE __schema__.leases l SET
            registration_id = i.registration_id,
            expires_at = CASE WHEN i.ttl = -1 THEN l.expires_at ELSE v_now + i.ttl END,
            bucket = CASE WHEN i.ttl = -1 THEN l.bucket ELSE (v_now + i.ttl) >> 25 END
        FROM unnest(v_outcomes, v_exists, p_identities, p_registration_ids, p_ttls)
            AS i (outcome, there, identity, registration_id, ttl)
        WHERE i.outcome = 'stored' AND i.there AND l.namespace = p_namespace AND l.identity = i.identity;

        UPDATE __schema__.registrations r SET
            revision = i.revision,
            registered_at = CASE WHEN i.kind = 2 THEN r.registered_at ELSE v_now END,
            updated_at = v_now,
            registration_id = i.registration_id,
            address = i.address,
            owner = i.owner,
            document = coalesce(i.document, convert_from(i.metadata, 'UTF8')::jsonb),
            metadata = i.metadata
        FROM unnest(
            v_outcomes, v_exists, v_revisions, p_kinds, p_identities, p_registration_ids, p_addresses, p_owners,
            p_metadata, p_documents
        ) AS i (outcome, there, revision, kind, identity, registration_id, address, owner, metadata, document)
        WHERE i.outcome = 'stored' AND i.there AND r.namespace = p_namespace AND r.identity = i.identity;
    END IF;
    IF p_actor IS NOT NULL THEN
        -- What had expired and was still there is gone now, and the sweep will not find it.
        INSERT INTO __schema__.audit (namespace, kind, actor, identity, registration_id, revision)
            SELECT p_namespace, 'expire', p_actor, i.identity, i.registration_id, i.revision
            FROM unnest(v_outcomes, v_exists, v_live, p_identities, v_old_registration_ids, v_old_revisions)
                AS i (outcome, there, live, identity, registration_id, revision)
            WHERE i.outcome = 'stored' AND i.there AND NOT i.live;
        INSERT INTO __schema__.audit (namespace, kind, actor, identity, registration_id, revision)
            SELECT p_namespace, CASE WHEN i.kind = 2 THEN 'update' ELSE 'register' END, p_actor, i.identity,
                i.registration_id, i.revision
            FROM unnest(v_outcomes, p_kinds, p_identities, p_registration_ids, v_revisions)
                AS i (outcome, kind, identity, registration_id, revision)
            WHERE i.outcome = 'stored';
    END IF;

    RETURN QUERY
        SELECT i.outcome, i.revision, CASE WHEN i.kind = 2 THEN i.old_registered_at ELSE v_now END, v_now,
            CASE WHEN i.ttl = -1 THEN i.old_expires_at ELSE v_now + i.ttl END,
            CASE WHEN i.live THEN i.old_registration_id END, CASE WHEN i.live THEN i.old_address END
        FROM unnest(
            v_outcomes, v_revisions, p_kinds, p_ttls, v_live, v_old_registered_at, v_old_expires_at,
            v_old_registration_ids, v_old_addresses
        ) WITH ORDINALITY AS i (
            outcome, revision, kind, ttl, live, old_registered_at, old_expires_at, old_registration_id, old_address,
            place
        )
        ORDER BY i.place;
END
$$;

-- Moves the expiry of live leases, each identity at most once. `p_fences` are null for whichever registration there is;
-- `p_ttls` that are the same throughout may be given once.
-- Answers with the moment that the times to live count from, and the places of those that were renewed, null for all.
-- The identities are given in their order, and these settings leave plans alone that lock leases in it: key look-ups one
-- after another. A lock of its own beforehand, as the other functions have it, would write every lease twice; so that is
-- done only where somebody else holds one. Else what expires while we wait would come back to life.
CREATE FUNCTION __schema__.renew_leases(
    p_namespace integer, p_identities text[], p_fences text[], p_ttls bigint[], OUT moment bigint, OUT renewed bigint[]
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
SET lock_timeout = '10ms'
AS $$
BEGIN
    IF cardinality(p_ttls) < cardinality(p_identities) THEN
        p_ttls := array_fill(p_ttls[1], ARRAY[cardinality(p_identities)]);
    END IF;
    FOR attempt IN 1..2 LOOP
        BEGIN
            IF attempt = 2 THEN
                PERFORM set_config('lock_timeout', '0', true);
                PERFORM 1 FROM __schema__.leases l
                    WHERE l.namespace = p_namespace AND l.identity = ANY(p_identities) ORDER BY l.identity FOR UPDATE;
            END IF;
            moment := __schema__.now_micros();
            WITH moved AS (
                UPDATE __schema__.leases l SET expires_at = moment + i.ttl, bucket = (moment + i.ttl) >> 25
                FROM unnest(p_identities, p_fences, p_ttls) WITH ORDINALITY AS i (identity, fence, ttl, place)
                WHERE l.namespace = p_namespace AND l.identity = i.identity
                    AND (i.fence IS NULL OR l.registration_id = i.fence)
                    AND (l.expires_at IS NULL OR l.expires_at > moment)
                RETURNING i.place
            )
            SELECT coalesce(array_agg(moved.place), '{}') INTO renewed FROM moved;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
    END LOOP;
    IF cardinality(renewed) = cardinality(p_identities) THEN
        renewed := NULL;
    END IF;
END
$$;

-- Removes registrations, each identity at most once. `p_fences` are null for whichever registration there is.
CREATE FUNCTION __schema__.delete_registrations(
    p_namespace integer, p_actor text, p_identities text[], p_fences text[]
) RETURNS TABLE (outcome text, registration_id text, address text) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_now bigint;
    v_found bigint;
    v_seen bigint;
    v_removed bigint;
    v_outcomes text[];
    v_registration_ids text[];
    v_addresses text[];
    v_revisions bigint[];
BEGIN
    SELECT count(*) INTO v_found FROM (
        SELECT FROM __schema__.leases l WHERE l.namespace = p_namespace AND l.identity = ANY(p_identities)
        ORDER BY l.identity FOR UPDATE
    ) AS locked;
    v_now := __schema__.now_micros();
    SELECT
        array_agg(
            CASE
                WHEN l.identity IS NULL OR l.expires_at <= v_now THEN 'not_found'
                WHEN i.fence <> l.registration_id THEN 'stale'
                ELSE 'deleted'
            END ORDER BY i.place
        ),
        array_agg(l.registration_id ORDER BY i.place),
        array_agg(r.address ORDER BY i.place),
        array_agg(r.revision ORDER BY i.place),
        count(l.identity)
    INTO v_outcomes, v_registration_ids, v_addresses, v_revisions, v_seen
    FROM unnest(p_identities, p_fences) WITH ORDINALITY AS i (identity, fence, place)
    LEFT JOIN __schema__.leases l ON l.namespace = p_namespace AND l.identity = i.identity
    LEFT JOIN __schema__.registrations r ON r.namespace = p_namespace AND r.identity = i.identity;
    IF v_seen <> v_found THEN
        RAISE EXCEPTION 'an identity has just been registered by another' USING ERRCODE = 'serialization_failure';
    END IF;

    DELETE FROM __schema__.leases l USING unnest(v_outcomes, p_identities) AS i (outcome, identity)
        WHERE i.outcome = 'deleted' AND l.namespace = p_namespace AND l.identity = i.identity;
    GET DIAGNOSTICS v_removed = ROW_COUNT;
    DELETE FROM __schema__.registrations r USING unnest(v_outcomes, p_identities) AS i (outcome, identity)
        WHERE i.outcome = 'deleted' AND r.namespace = p_namespace AND r.identity = i.identity;
    IF p_actor IS NOT NULL THEN
        INSERT INTO __schema__.audit (namespace, kind, actor, identity, registration_id, revision)
            SELECT p_namespace, 'unregister', p_actor, i.identity, i.registration_id, i.revision
            FROM unnest(v_outcomes, p_identities, v_registration_ids, v_revisions)
                AS i (outcome, identity, registration_id, revision)
            WHERE i.outcome = 'deleted';
    END IF;
    PERFORM __schema__.count_leases(p_namespace, -v_removed);
    RETURN QUERY
        SELECT i.outcome, i.registration_id, i.address
        FROM unnest(v_outcomes, v_registration_ids, v_addresses)
            WITH ORDINALITY AS i (outcome, registration_id, address, place)
        ORDER BY i.place;
END
$$;

-- Removes up to `p_count` registrations that have expired, passing over those that somebody else has in hand.
CREATE FUNCTION __schema__.pop_expired(p_namespace integer, p_actor text, p_count bigint) RETURNS TABLE (
    identity text, metadata bytea, registration_id text, revision bigint, registered_at bigint, updated_at bigint,
    expires_at bigint, address text, owner text
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
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
    RETURN QUERY
        SELECT r.identity, r.metadata, r.registration_id, r.revision, r.registered_at, r.updated_at, l.expires_at,
            r.address, r.owner
        FROM unnest(v_identities) AS i (identity)
        JOIN __schema__.leases l ON l.namespace = p_namespace AND l.identity = i.identity
        JOIN __schema__.registrations r ON r.namespace = p_namespace AND r.identity = i.identity;
    IF p_actor IS NOT NULL THEN
        INSERT INTO __schema__.audit (namespace, kind, actor, identity, registration_id, revision)
            SELECT p_namespace, 'expire', p_actor, r.identity, r.registration_id, r.revision
            FROM unnest(v_identities) AS i (identity)
            JOIN __schema__.registrations r ON r.namespace = p_namespace AND r.identity = i.identity;
    END IF;
    DELETE FROM __schema__.leases l USING unnest(v_identities) AS i (identity)
        WHERE l.namespace = p_namespace AND l.identity = i.identity;
    DELETE FROM __schema__.registrations r USING unnest(v_identities) AS i (identity)
        WHERE r.namespace = p_namespace AND r.identity = i.identity;
    PERFORM __schema__.count_leases(p_namespace, -cardinality(v_identities)::bigint);
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
