-- The numbers that stand for namespaces in every other table.
CREATE TABLE __schema__.namespaces (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    -- Days that the audit is kept, 0 for ever, null where nothing is audited.
    audit_days integer
);
