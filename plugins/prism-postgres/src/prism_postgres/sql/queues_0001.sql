-- Queues: a message is stored once, however many queues it is in. Points in time are microseconds since the epoch, by
-- this server's clock. Positions order what is done to queues: every put and every creation takes one.
--
-- Who locks what: puts share a queue's row (FOR KEY SHARE), creations and counting take it for themselves among each
-- other (FOR NO KEY UPDATE), removals from everybody (FOR UPDATE), all in the order of names; then a put locks its
-- message. Whoever hands out, settles or tidies locks entries alone, and passes over those that another has in hand.

CREATE SEQUENCE __schema__.queue_positions;
-- No position comes twice, not even in a schema that was dropped and made again: a token of old must stay worthless.
SELECT setval('__schema__.queue_positions', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
CREATE SEQUENCE __schema__.queue_numbers;
SELECT setval('__schema__.queue_numbers', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);

CREATE FUNCTION __schema__.queue_clock() RETURNS bigint LANGUAGE sql VOLATILE
    RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

CREATE TABLE __schema__.queues (
    namespace integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    -- Never used twice, so that a queue made anew shares nothing with its namesake.
    number bigint NOT NULL,
    -- The position at which it was last created.
    wanted bigint NOT NULL,
    -- Up to this position there is room without counting: each put takes a position, and at most one place.
    room_until bigint NOT NULL,
    -- What was put in before this position was removed as if it had never been there.
    emptied bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (namespace, name)
) WITH (fillfactor = 80);

-- Wide, and written once. Nothing but the sweep changes a row, and the payload lies elsewhere where it is large.
CREATE TABLE __schema__.messages (
    number bigint PRIMARY KEY,
    namespace integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    payload bytea NOT NULL,
    content_type text NOT NULL,
    sent_at bigint NOT NULL,
    delivery text NOT NULL,
    sender text NOT NULL,
    stored_at bigint NOT NULL,
    -- When the sweep looks at it, and whether it found it in no queue the last time.
    check_at bigint NOT NULL,
    idle boolean NOT NULL DEFAULT false,
    UNIQUE (namespace, id)
) WITH (toast_tuple_target = 256, fillfactor = 90);
CREATE INDEX messages_by_check ON __schema__.messages (check_at);

-- Which queues a message was put into, those that had it already among them: what makes a repetition harmless, and how
-- the sweep finds a message's entries without an index of their own.
CREATE TABLE __schema__.puts (
    position bigint PRIMARY KEY,
    namespace integer NOT NULL,
    message bigint NOT NULL,
    dies_at bigint NOT NULL,
    queues bigint[] NOT NULL
);
CREATE INDEX puts_by_message ON __schema__.puts (message);

-- What queues hold. Narrow, with one index that no update touches, and room on the page for the lease: handing out
-- is an update in place, and the ack that follows a deletion.
CREATE TABLE __schema__.entries (
    queue bigint NOT NULL,
    position bigint NOT NULL,
    -- NULL for a gap, which stands for `dropped` messages.
    message bigint,
    dies_at bigint NOT NULL,
    visible_at bigint NOT NULL DEFAULT 0,
    dropped integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    -- Which lease it is, rising: an older lease settles nothing.
    lease integer NOT NULL DEFAULT 0,
    -- Whether it was handed out and not given back; it is leased while that holds and `visible_at` is to come.
    out boolean NOT NULL DEFAULT false,
    PRIMARY KEY (queue, position)
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

CREATE TABLE __schema__.dead_letters (
    queue bigint NOT NULL,
    number bigint NOT NULL,
    position bigint NOT NULL,
    message bigint NOT NULL,
    attempts integer NOT NULL,
    died_at bigint NOT NULL,
    PRIMARY KEY (queue, number)
);
CREATE INDEX dead_letters_by_message ON __schema__.dead_letters (message);

-- Queues that are gone, whose entries are still to be removed.
CREATE TABLE __schema__.removed_queues (queue bigint PRIMARY KEY);

-- Brings queues up to the moment: attempts that are used up, messages that have timed out, and gaps next to each other.
-- What is leased, or in somebody else's hands at this moment, is left alone.
CREATE FUNCTION __schema__.tidy_queues(p_numbers bigint[], p_attempts integer, p_dead integer)
RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan SET enable_seqscan = off SET enable_nestloop = on SET enable_hashjoin = on
SET enable_mergejoin = on SET jit = off AS $$
DECLARE
    v_now bigint := __schema__.queue_clock();
    v_numbers bigint[];
    v_positions bigint[];
BEGIN
    SELECT array_agg(queue), array_agg(position) INTO v_numbers, v_positions FROM (
        SELECT e.queue, e.position FROM unnest(p_numbers) AS q JOIN __schema__.entries e ON e.queue = q
        WHERE e.message IS NOT NULL AND e.attempts >= p_attempts AND e.visible_at <= v_now
        FOR UPDATE OF e SKIP LOCKED
    ) AS spent;
    IF v_numbers IS NOT NULL THEN
        WITH gone AS (
            DELETE FROM __schema__.entries e USING unnest(v_numbers, v_positions) AS s (queue, position)
            WHERE e.queue = s.queue AND e.position = s.position
            RETURNING e.queue, e.position, e.message, e.attempts
        )
        INSERT INTO __schema__.dead_letters (queue, number, position, message, attempts, died_at)
            SELECT queue, nextval('__schema__.queue_numbers'), position, message, attempts, v_now
            FROM (SELECT * FROM gone ORDER BY queue, position) AS g;
        DELETE FROM __schema__.dead_letters d USING (
            SELECT l.queue, l.number, row_number() OVER (PARTITION BY l.queue ORDER BY l.number DESC) AS place
            FROM (SELECT DISTINCT n FROM unnest(v_numbers) AS n) AS q JOIN __schema__.dead_letters l ON l.queue = q.n
        ) AS r
        WHERE d.queue = r.queue AND d.number = r.number AND r.place > p_dead;
    END IF;

    -- What becomes, or is, a gap; its neighbours must be gaps in our hands too for it to become one with them.
    SELECT array_agg(queue), array_agg(position) INTO v_numbers, v_positions FROM (
        SELECT e.queue, e.position FROM unnest(p_numbers) AS q JOIN __schema__.entries e ON e.queue = q
        WHERE (e.message IS NULL OR e.dies_at <= v_now) AND NOT (e.out AND e.visible_at > v_now)
        FOR UPDATE OF e SKIP LOCKED
    ) AS lost;
    IF v_numbers IS NULL THEN
        RETURN;
    END IF;
    UPDATE __schema__.entries e SET
        message = NULL, dropped = 1, attempts = 0, lease = e.lease + 1, out = false, visible_at = 0
        FROM unnest(v_numbers, v_positions) AS l (queue, position)
        WHERE e.queue = l.queue AND e.position = l.position AND e.message IS NOT NULL;
    WITH seen AS (
        SELECT e.queue, e.position, e.dropped, l.queue IS NOT NULL AS ours,
            row_number() OVER (PARTITION BY e.queue ORDER BY e.position)
            - row_number() OVER (PARTITION BY e.queue, l.queue IS NOT NULL ORDER BY e.position) AS run
        FROM (SELECT DISTINCT n FROM unnest(v_numbers) AS n) AS q
        JOIN __schema__.entries e ON e.queue = q.n
        LEFT JOIN unnest(v_numbers, v_positions) AS l (queue, position)
            ON l.queue = e.queue AND l.position = e.position
    ), runs AS (
        SELECT queue, run, max(position) AS kept, sum(dropped) AS dropped FROM seen WHERE ours
        GROUP BY queue, run HAVING count(*) > 1
    ), gone AS (
        DELETE FROM __schema__.entries e USING seen s JOIN runs r ON r.queue = s.queue AND r.run = s.run
        WHERE s.ours AND s.position < r.kept AND e.queue = s.queue AND e.position = s.position
    )
    UPDATE __schema__.entries e SET dropped = r.dropped, visible_at = 0, out = false, lease = e.lease + 1
        FROM runs r WHERE e.queue = r.queue AND e.position = r.kept;
END
$$;

-- Makes room for one message in queues that may have none, and finds out up to which position that stays so. The
-- oldest makes room: of those that are not leased, unless all are.
CREATE FUNCTION __schema__.make_room(
    p_namespace integer, p_names text[], p_position bigint, p_length integer, p_attempts integer, p_dead integer
) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_nestloop = on SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    v_now bigint;
    v_names text[];
    v_queue bigint;
    v_name text;
    v_count integer;
    v_stale boolean;
    v_oldest bigint;
    v_newest bigint;
    v_dropped integer;
    v_neighbour record;
BEGIN
    SELECT array_agg(name) INTO v_names FROM (
        SELECT q.name FROM __schema__.queues q
        WHERE q.namespace = p_namespace AND q.name = ANY(p_names) ORDER BY q.name FOR NO KEY UPDATE
    ) AS locked;
    v_now := __schema__.queue_clock();
    FOR v_name, v_queue, v_count, v_stale IN
        SELECT q.name, q.number, count(e.message),
            coalesce(bool_or(
                e.message IS NOT NULL AND (
                    e.dies_at <= v_now OR (e.attempts >= p_attempts AND e.visible_at <= v_now)
                )
            ), false)
        FROM __schema__.queues q LEFT JOIN __schema__.entries e ON e.queue = q.number
        WHERE q.namespace = p_namespace AND q.name = ANY(v_names)
        GROUP BY q.name, q.number
    LOOP
        IF v_count >= p_length AND v_stale THEN
            PERFORM __schema__.tidy_queues(ARRAY[v_queue], p_attempts, p_dead);
            SELECT count(e.message) INTO v_count FROM __schema__.entries e WHERE e.queue = v_queue;
        END IF;
        WHILE v_count >= p_length LOOP
            SELECT e.position INTO v_oldest FROM __schema__.entries e
                WHERE e.queue = v_queue AND e.message IS NOT NULL AND NOT (e.out AND e.visible_at > v_now)
                ORDER BY e.position LIMIT 1 FOR UPDATE;
            IF NOT FOUND THEN
                SELECT e.position INTO v_oldest FROM __schema__.entries e
                    WHERE e.queue = v_queue AND e.message IS NOT NULL ORDER BY e.position LIMIT 1 FOR UPDATE;
            END IF;
            EXIT WHEN v_oldest IS NULL;
            v_newest := v_oldest;
            v_dropped := 1;
            FOR v_neighbour IN
                (SELECT e.position FROM __schema__.entries e WHERE e.queue = v_queue AND e.position < v_oldest
                    ORDER BY e.position DESC LIMIT 1)
                UNION ALL
                (SELECT e.position FROM __schema__.entries e WHERE e.queue = v_queue AND e.position > v_oldest
                    ORDER BY e.position LIMIT 1)
            LOOP
                DELETE FROM __schema__.entries e
                    WHERE e.queue = v_queue AND e.position = v_neighbour.position AND e.message IS NULL
                        AND NOT (e.out AND e.visible_at > v_now)
                    RETURNING e.dropped, e.position INTO v_neighbour;
                IF FOUND THEN
                    v_dropped := v_dropped + v_neighbour.dropped;
                    v_newest := greatest(v_newest, v_neighbour.position);
                END IF;
            END LOOP;
            UPDATE __schema__.entries e SET
                position = v_newest, message = NULL, dropped = v_dropped, attempts = 0, lease = e.lease + 1,
                out = false, visible_at = 0
                WHERE e.queue = v_queue AND e.position = v_oldest;
            v_count := v_count - 1;
        END LOOP;
        UPDATE __schema__.queues q SET room_until = p_position + p_length - v_count - 1
            WHERE q.namespace = p_namespace AND q.name = v_name;
    END LOOP;
END
$$;

-- Makes queues, and notes of those that are there that they were asked for.
CREATE FUNCTION __schema__.create_queues(p_namespace integer, p_names text[], p_length integer) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_position bigint := nextval('__schema__.queue_positions');
BEGIN
    INSERT INTO __schema__.queues AS q (namespace, name, number, wanted, room_until)
        SELECT p_namespace, name, nextval('__schema__.queue_numbers'), v_position, v_position + p_length
        FROM (SELECT DISTINCT n COLLATE "C" AS name FROM unnest(p_names) AS n ORDER BY 1) AS wanted
        ON CONFLICT (namespace, name) DO UPDATE SET wanted = greatest(q.wanted, v_position);
END
$$;

-- A position between all that was done and all that is to come.
CREATE FUNCTION __schema__.queue_mark() RETURNS bigint LANGUAGE sql VOLATILE
    RETURN (SELECT last_value + is_called::integer FROM __schema__.queue_positions);

-- Appends one message to many queues, each named once. Returns those that there aren't; NULL is none.
CREATE FUNCTION __schema__.enqueue(
    p_namespace integer, p_names text[], p_id text, p_payload bytea, p_content_type text, p_sent_at bigint,
    p_delivery text, p_sender text, p_ttl bigint, p_window bigint, p_length integer, p_attempts integer, p_dead integer
) RETURNS text[] LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_nestloop = off SET jit = off AS $$
DECLARE
    v_now bigint;
    v_dies_at bigint;
    v_position bigint := nextval('__schema__.queue_positions');
    v_message bigint;
    v_is_new boolean;
    v_numbers bigint[];
    v_names text[];
    v_crowded text[];
    v_emptied bigint[];
    v_new bigint[];
BEGIN
    SELECT array_agg(number), array_agg(name), array_agg(emptied),
            array_agg(name) FILTER (WHERE room_until < v_position)
        INTO v_numbers, v_names, v_emptied, v_crowded
        FROM (
            SELECT q.number, q.name, q.emptied, q.room_until FROM __schema__.queues q
            WHERE q.namespace = p_namespace AND q.name = ANY(p_names) ORDER BY q.name FOR KEY SHARE
        ) AS found;
    IF v_numbers IS NULL THEN
        RETURN p_names;
    END IF;
    v_now := __schema__.queue_clock();
    v_dies_at := coalesce(v_now + p_ttl, 4611686018427387904);

    LOOP
        INSERT INTO __schema__.messages (
                number, namespace, id, payload, content_type, sent_at, delivery, sender, stored_at, check_at
            )
            VALUES (
                nextval('__schema__.queue_numbers'), p_namespace, p_id, p_payload, p_content_type, p_sent_at,
                p_delivery, p_sender, v_now, least(v_now + p_window, v_dies_at + 1000000)
            )
            ON CONFLICT (namespace, id) DO NOTHING
            RETURNING number INTO v_message;
        v_is_new := FOUND;
        EXIT WHEN v_is_new;
        SELECT m.number INTO v_message FROM __schema__.messages m
            WHERE m.namespace = p_namespace AND m.id = p_id FOR UPDATE;
        EXIT WHEN FOUND;
    END LOOP;

    v_new := v_numbers;
    IF NOT v_is_new THEN
        -- From here on nobody else puts this message anywhere, and all that did has been committed.
        UPDATE __schema__.messages m SET idle = false, check_at = least(m.check_at, v_dies_at + 1000000)
            WHERE m.number = v_message AND (m.idle OR m.check_at > v_dies_at + 1000000);
        v_new := ARRAY(
            SELECT f.number FROM unnest(v_numbers, v_emptied) AS f (number, emptied)
            LEFT JOIN (
                SELECT k.queue, max(p.position) AS position
                FROM __schema__.puts p, unnest(p.queues) AS k (queue) WHERE p.message = v_message GROUP BY k.queue
            ) AS known ON known.queue = f.number AND known.position >= f.emptied
            WHERE known.queue IS NULL
        );
    END IF;

    IF cardinality(v_new) < cardinality(v_numbers) AND v_crowded IS NOT NULL THEN
        v_crowded := ARRAY(
            SELECT f.name FROM unnest(v_numbers, v_names) AS f (number, name)
            JOIN unnest(v_new) AS n ON n = f.number JOIN unnest(v_crowded) AS c ON c = f.name
        );
    END IF;
    IF v_crowded <> '{}' THEN
        PERFORM __schema__.make_room(p_namespace, v_crowded, v_position, p_length, p_attempts, p_dead);
    END IF;
    INSERT INTO __schema__.entries (queue, position, message, dies_at)
        SELECT n, v_position, v_message, v_dies_at FROM unnest(v_new) AS n;
    INSERT INTO __schema__.puts (position, namespace, message, dies_at, queues)
        VALUES (v_position, p_namespace, v_message, v_dies_at, v_numbers);
    IF cardinality(v_names) = cardinality(p_names) THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(SELECT n FROM unnest(p_names) AS n EXCEPT SELECT n FROM unnest(v_names) AS n);
END
$$;

-- Hands out up to `p_limit` of the oldest visible messages and gaps of each queue. A message's content is in the first
-- of its rows alone.
CREATE FUNCTION __schema__.dequeue(
    p_namespace integer, p_names text[], p_limit integer, p_visibility bigint, p_attempts integer, p_dead integer
) RETURNS TABLE (
    place bigint, queue bigint, "position" bigint, lease integer, attempts integer, message bigint, dropped integer,
    id text, payload bytea, content_type text, sent_at bigint, delivery text, sender text
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_now bigint;
    v_numbers bigint[];
    v_queue_places bigint[];
    v_places bigint[];
    v_queues bigint[];
    v_positions bigint[];
    v_stale bigint[];
BEGIN
    SELECT array_agg(q.number), array_agg(n.place) INTO v_numbers, v_queue_places
        FROM unnest(p_names) WITH ORDINALITY AS n (name, place)
        JOIN __schema__.queues q ON q.namespace = p_namespace AND q.name = n.name;
    IF v_numbers IS NULL THEN
        RETURN;
    END IF;
    FOR round IN 1..2 LOOP
        v_now := __schema__.queue_clock();
        SELECT array_agg(n.place), array_agg(visible.queue), array_agg(visible.position),
            array_agg(DISTINCT visible.queue) FILTER (
                WHERE visible.message IS NOT NULL AND (visible.dies_at <= v_now OR visible.attempts >= p_attempts)
            )
            INTO v_places, v_queues, v_positions, v_stale
            FROM unnest(v_numbers, v_queue_places) AS n (number, place) CROSS JOIN LATERAL (
                SELECT e.queue, e.position, e.message, e.dies_at, e.attempts FROM __schema__.entries e
                WHERE e.queue = n.number AND e.visible_at <= v_now
                ORDER BY e.position LIMIT p_limit FOR UPDATE SKIP LOCKED
            ) AS visible;
        IF v_queues IS NULL THEN
            RETURN;
        END IF;
        EXIT WHEN v_stale IS NULL;
        PERFORM __schema__.tidy_queues(v_stale, p_attempts, p_dead);
    END LOOP;
    RETURN QUERY
        WITH taken AS (
            UPDATE __schema__.entries e SET
                out = true, lease = e.lease + 1, attempts = e.attempts + 1, visible_at = v_now + p_visibility
            FROM unnest(v_places, v_queues, v_positions) AS v (place, queue, position)
            WHERE e.queue = v.queue AND e.position = v.position
            RETURNING v.place, e.queue, e.position, e.lease, e.attempts, e.message, e.dropped
        ), numbered AS (
            SELECT t.*, row_number() OVER (PARTITION BY t.message) AS copy FROM taken t
        )
        SELECT t.place, t.queue, t.position, t.lease, t.attempts, t.message, t.dropped,
            m.id, m.payload, m.content_type, m.sent_at, m.delivery, m.sender
        FROM numbered t
        LEFT JOIN __schema__.messages m ON m.number = t.message AND t.copy = 1;
END
$$;

-- Ends or extends leases, each named once, in the order of queues and positions. `p_duration` is a delay or a
-- visibility. Returns the places of those that took effect.
CREATE FUNCTION __schema__.settle(
    p_action text, p_queues bigint[], p_positions bigint[], p_leases integer[], p_duration bigint
) RETURNS bigint[] LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off AS $$
DECLARE
    v_now bigint := __schema__.queue_clock();
    v_settled bigint[];
BEGIN
    IF p_action = 'ack' THEN
        WITH settled AS (
            DELETE FROM __schema__.entries e
            USING unnest(p_queues, p_positions, p_leases) WITH ORDINALITY AS l (queue, position, lease, place)
            WHERE e.queue = l.queue AND e.position = l.position AND e.lease = l.lease AND e.out
                AND e.visible_at > v_now
            RETURNING l.place
        )
        SELECT array_agg(place) INTO v_settled FROM settled;
    ELSE
        WITH settled AS (
            UPDATE __schema__.entries e SET
                visible_at = v_now + p_duration,
                out = p_action = 'extend',
                lease = e.lease + (p_action <> 'extend')::integer,
                attempts = e.attempts - (p_action = 'release')::integer
            FROM unnest(p_queues, p_positions, p_leases) WITH ORDINALITY AS l (queue, position, lease, place)
            WHERE e.queue = l.queue AND e.position = l.position AND e.lease = l.lease AND e.out
                AND e.visible_at > v_now
            RETURNING l.place
        )
        SELECT array_agg(place) INTO v_settled FROM settled;
    END IF;
    RETURN v_settled;
END
$$;

-- How many messages queues hold, what has timed out or been given up not among them.
CREATE FUNCTION __schema__.queue_depths(p_namespace integer, p_names text[], p_attempts integer)
RETURNS TABLE (place bigint, depth bigint) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off AS $$
DECLARE
    v_now bigint := __schema__.queue_clock();
BEGIN
    RETURN QUERY
        SELECT n.place, count(*)
        FROM unnest(p_names) WITH ORDINALITY AS n (name, place)
        JOIN __schema__.queues q ON q.namespace = p_namespace AND q.name = n.name
        JOIN __schema__.entries e ON e.queue = q.number
        WHERE e.message IS NOT NULL AND (
            (e.out AND e.visible_at > v_now)
            OR (e.dies_at > v_now AND NOT (e.attempts >= p_attempts AND e.visible_at <= v_now))
        )
        GROUP BY n.place;
END
$$;

-- The oldest dead letters of a queue, with what has only just become one.
CREATE FUNCTION __schema__.read_dead_letters(
    p_namespace integer, p_name text, p_limit integer, p_attempts integer, p_dead integer
) RETURNS TABLE (
    attempts integer, died_at bigint, id text, payload bytea, content_type text, sent_at bigint, delivery text,
    sender text
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_queue bigint;
BEGIN
    SELECT q.number INTO v_queue FROM __schema__.queues q WHERE q.namespace = p_namespace AND q.name = p_name;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM __schema__.tidy_queues(ARRAY[v_queue], p_attempts, p_dead);
    RETURN QUERY
        SELECT d.attempts, d.died_at, m.id, m.payload, m.content_type, m.sent_at, m.delivery, m.sender
        FROM __schema__.dead_letters d JOIN __schema__.messages m ON m.number = d.message
        WHERE d.queue = v_queue ORDER BY d.number LIMIT p_limit;
END
$$;

-- Puts dead letters back at the end of their queue as new. Returns how many there were.
CREATE FUNCTION __schema__.replay_dead_letters(
    p_namespace integer, p_name text, p_ids text[], p_ttl bigint, p_length integer, p_attempts integer, p_dead integer
) RETURNS integer LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off AS $$
DECLARE
    v_queue bigint;
    v_messages bigint[];
    v_message bigint;
    v_position bigint;
    v_dies_at bigint;
BEGIN
    SELECT q.number INTO v_queue FROM __schema__.queues q
        WHERE q.namespace = p_namespace AND q.name = p_name FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    PERFORM __schema__.tidy_queues(ARRAY[v_queue], p_attempts, p_dead);
    WITH back AS (
        DELETE FROM __schema__.dead_letters d USING __schema__.messages m
        WHERE d.queue = v_queue AND m.number = d.message AND m.id = ANY(p_ids)
        RETURNING d.number, d.message
    )
    SELECT array_agg(message ORDER BY number) INTO v_messages FROM back;
    FOREACH v_message IN ARRAY coalesce(v_messages, '{}') LOOP
        v_position := nextval('__schema__.queue_positions');
        v_dies_at := coalesce(__schema__.queue_clock() + p_ttl, 4611686018427387904);
        PERFORM __schema__.make_room(p_namespace, ARRAY[p_name], v_position, p_length, p_attempts, p_dead);
        INSERT INTO __schema__.entries (queue, position, message, dies_at)
            VALUES (v_queue, v_position, v_message, v_dies_at);
        INSERT INTO __schema__.puts (position, namespace, message, dies_at, queues)
            VALUES (v_position, p_namespace, v_message, v_dies_at, ARRAY[v_queue]);
        UPDATE __schema__.messages m SET check_at = v_dies_at + 1000000
            WHERE m.number = v_message AND m.check_at > v_dies_at + 1000000;
    END LOOP;
    RETURN coalesce(cardinality(v_messages), 0);
END
$$;

-- Removes queues, or with `p_before` what was there before that position: a queue that was created, or got a message,
-- since then stays, without what is older. Returns whether removed queues have left something to remove.
CREATE FUNCTION __schema__.delete_queues(p_namespace integer, p_names text[], p_before bigint)
RETURNS boolean LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off AS $$
DECLARE
    v_numbers bigint[];
    v_names text[];
    v_kept bigint[] := '{}';
    v_since_queues bigint[];
    v_since_messages bigint[];
    v_spared_queues bigint[];
    v_spared_positions bigint[];
    v_left boolean;
BEGIN
    SELECT array_agg(number), array_agg(name), coalesce(array_agg(number) FILTER (WHERE wanted >= p_before), '{}')
        INTO v_numbers, v_names, v_kept
        FROM (
            SELECT q.number, q.name, q.wanted FROM __schema__.queues q
            WHERE q.namespace = p_namespace AND q.name = ANY(p_names) ORDER BY q.name FOR UPDATE
        ) AS locked;
    IF v_numbers IS NULL THEN
        RETURN false;
    END IF;
    IF p_before IS NOT NULL THEN
        SELECT coalesce(array_agg(k.queue), '{}'), coalesce(array_agg(p.message), '{}')
            INTO v_since_queues, v_since_messages
            FROM __schema__.puts p CROSS JOIN LATERAL unnest(p.queues) AS k (queue)
            WHERE p.position >= p_before AND p.namespace = p_namespace AND k.queue = ANY(v_numbers);
        v_kept := ARRAY(
            SELECT unnest(v_kept) UNION SELECT unnest(v_since_queues) UNION
            SELECT n FROM unnest(v_numbers) AS n CROSS JOIN LATERAL (
                SELECT FROM __schema__.entries e WHERE e.queue = n AND e.position >= p_before LIMIT 1
            ) AS entry
        );
        -- What was put in again since then stays where it is.
        SELECT coalesce(array_agg(s.queue), '{}'), coalesce(array_agg(old.position), '{}')
            INTO v_spared_queues, v_spared_positions
            FROM unnest(v_since_queues, v_since_messages) AS s (queue, message) CROSS JOIN LATERAL (
                SELECT e.position FROM __schema__.entries e
                WHERE e.queue = s.queue AND e.position < p_before AND e.message = s.message
                UNION ALL
                SELECT d.position FROM __schema__.dead_letters d
                WHERE d.queue = s.queue AND d.position < p_before AND d.message = s.message
            ) AS old;
        DELETE FROM __schema__.entries e USING unnest(v_kept) AS k (queue)
            WHERE e.queue = k.queue AND e.position < p_before AND NOT EXISTS (
                SELECT FROM unnest(v_spared_queues, v_spared_positions) AS s (queue, position)
                WHERE s.queue = e.queue AND s.position = e.position
            );
        DELETE FROM __schema__.dead_letters d USING unnest(v_kept) AS k (queue)
            WHERE d.queue = k.queue AND d.position < p_before AND NOT EXISTS (
                SELECT FROM unnest(v_spared_queues, v_spared_positions) AS s (queue, position)
                WHERE s.queue = d.queue AND s.position = d.position
            );
        UPDATE __schema__.queues q SET emptied = greatest(q.emptied, p_before)
            FROM unnest(v_names, v_numbers) AS n (name, number)
            WHERE n.number = ANY(v_kept) AND q.namespace = p_namespace AND q.name = n.name;
    END IF;
    WITH gone AS (
        DELETE FROM __schema__.queues q
        USING unnest(v_names, v_numbers) AS n (name, number)
        WHERE n.number <> ALL(v_kept) AND q.namespace = p_namespace AND q.name = n.name
        RETURNING q.number
    ), leaving AS (
        INSERT INTO __schema__.removed_queues (queue)
        SELECT g.number FROM gone g CROSS JOIN LATERAL (
            SELECT FROM (
                (SELECT FROM __schema__.entries e WHERE e.queue = g.number LIMIT 1)
                UNION ALL
                (SELECT FROM __schema__.dead_letters d WHERE d.queue = g.number LIMIT 1)
            ) AS something LIMIT 1
        ) AS waste
        RETURNING queue
    )
    SELECT count(*) > 0 INTO v_left FROM leaving;
    RETURN v_left;
END
$$;

-- Removes up to `p_count` of what removed queues have left. Returns whether there is more.
CREATE FUNCTION __schema__.reap_queues(p_count integer) RETURNS boolean LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off AS $$
DECLARE
    v_numbers bigint[];
    v_entries bigint;
    v_letters bigint;
BEGIN
    v_numbers := ARRAY(
        SELECT r.queue FROM __schema__.removed_queues r ORDER BY r.queue LIMIT p_count FOR UPDATE SKIP LOCKED
    );
    IF v_numbers = '{}' THEN
        RETURN false;
    END IF;
    WITH batch AS (
        SELECT e.queue, e.position FROM unnest(v_numbers) AS n JOIN __schema__.entries e ON e.queue = n LIMIT p_count
    )
    DELETE FROM __schema__.entries e USING batch b WHERE e.queue = b.queue AND e.position = b.position;
    GET DIAGNOSTICS v_entries = ROW_COUNT;
    WITH batch AS (
        SELECT d.queue, d.number FROM unnest(v_numbers) AS n JOIN __schema__.dead_letters d ON d.queue = n
        LIMIT p_count
    )
    DELETE FROM __schema__.dead_letters d USING batch b WHERE d.queue = b.queue AND d.number = b.number;
    GET DIAGNOSTICS v_letters = ROW_COUNT;
    IF v_entries < p_count AND v_letters < p_count THEN
        DELETE FROM __schema__.removed_queues r USING unnest(v_numbers) AS n WHERE r.queue = n;
    END IF;
    RETURN v_entries = p_count OR v_letters = p_count OR cardinality(v_numbers) = p_count;
END
$$;

-- Looks at up to `p_count` messages whose time has come: turns what has timed out into gaps, and removes what has been
-- in no queue for `p_window` microseconds. Returns how many it looked at; messages in others' hands are passed over.
CREATE FUNCTION __schema__.sweep_messages(p_count integer, p_window bigint) RETURNS integer LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
SET enable_hashjoin = off SET enable_mergejoin = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
    v_now bigint := __schema__.queue_clock();
    v_due bigint[];
    v_idle bigint[];
    v_held bigint[];
    v_expired bigint[];
BEGIN
    SELECT array_agg(number), coalesce(array_agg(number) FILTER (WHERE idle), '{}') INTO v_due, v_idle FROM (
        SELECT m.number, m.idle FROM __schema__.messages m WHERE m.check_at <= v_now
        ORDER BY m.check_at LIMIT p_count FOR UPDATE SKIP LOCKED
    ) AS due;
    IF v_due IS NULL THEN
        RETURN 0;
    END IF;
    v_expired := ARRAY(
        SELECT DISTINCT k.queue
        FROM __schema__.puts p CROSS JOIN LATERAL unnest(p.queues) AS k (queue) CROSS JOIN LATERAL (
            SELECT FROM __schema__.entries e
            WHERE e.queue = k.queue AND e.position = p.position AND e.message = p.message LIMIT 1
        ) AS entry
        WHERE p.message = ANY(v_due) AND p.dies_at <= v_now
    );
    IF v_expired <> '{}' THEN
        PERFORM __schema__.tidy_queues(v_expired, NULL, NULL);
    END IF;
    -- LIMIT keeps the planner from turning these upside down, and reading all entries there are.
    v_held := ARRAY(
        SELECT m FROM unnest(v_due) AS m CROSS JOIN LATERAL (
            SELECT FROM __schema__.puts p CROSS JOIN LATERAL unnest(p.queues) AS k (queue) CROSS JOIN LATERAL (
                SELECT FROM __schema__.entries e
                WHERE e.queue = k.queue AND e.position = p.position AND e.message = m LIMIT 1
            ) AS entry
            WHERE p.message = m LIMIT 1
        ) AS held
        UNION
        SELECT d.message FROM __schema__.dead_letters d WHERE d.message = ANY(v_due)
    );
    -- Later and later, but when the next of its copies times out.
    UPDATE __schema__.messages m SET
        idle = false,
        check_at = least(
            v_now + least(greatest(v_now - m.stored_at, p_window), 3600000000),
            (SELECT min(p.dies_at) + 1000000 FROM __schema__.puts p WHERE p.message = m.number AND p.dies_at > v_now)
        )
        FROM unnest(v_held) AS h WHERE m.number = h;
    UPDATE __schema__.messages m SET idle = true, check_at = v_now + p_window
        FROM unnest(v_due) AS d WHERE m.number = d AND NOT m.idle AND m.number <> ALL(v_held);
    v_idle := ARRAY(SELECT unnest(v_idle) EXCEPT SELECT unnest(v_held));
    DELETE FROM __schema__.puts p WHERE p.message = ANY(v_idle);
    DELETE FROM __schema__.messages m WHERE m.number = ANY(v_idle);
    RETURN cardinality(v_due);
END
$$;
