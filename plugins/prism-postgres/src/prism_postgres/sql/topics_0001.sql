-- Publications that are too large for a notification, which then only names them. Nothing here outlives a crash, as
-- the connections that wait for it don't either; rows are removed half a minute after they came.
CREATE UNLOGGED TABLE __schema__.publications (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    payload bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- Most are protobuf or JSON of some ten kilobytes, and live for seconds: compressing them costs more than it saves.
ALTER TABLE __schema__.publications ALTER COLUMN payload SET STORAGE EXTERNAL;

-- The channel that an identity's publications are notified on, for whoever listens without Prism.
CREATE FUNCTION __schema__.identity_channel(namespace text, identity text) RETURNS text LANGUAGE sql IMMUTABLE STRICT
    RETURN 'prism_' || left(encode(sha256(convert_to(
        (parse_ident('__schema__'))[1] || E'\n' || namespace || E'\nidentity\n' || identity, 'UTF8')), 'hex'), 40);
