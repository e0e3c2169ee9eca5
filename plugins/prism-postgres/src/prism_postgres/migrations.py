"""Our tables as numbered steps, and who has taken which: `migrate` takes what is missing.

Every slot has modules of its own, so that a schema holds only what is used. A module's steps are the files
`sql/MODULE_NNNN.sql`, in order; a step that has been released is never changed. `__schema__` in them stands for the
database schema, whose name the configuration restricts to letters, digits and underscores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

import asyncpg
from prism.model.errors import InvalidConfig, Violation

from prism_postgres.pool import Connection, Database

OLDEST: Final = 140_000
"""The oldest server, as `server_version_num` says it."""


@dataclass(frozen=True, slots=True)
class Module:
    """Tables that belong together. `steps` is how many migrations there are.

    `needs` are the privileges that who serves needs on a table, sequence or function, where they aren't the usual ones;
    see `privileges`.
    """

    name: str
    steps: int
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    def text(self, version: int) -> str:
        """The statements of one step, as they are in the file."""
        return files("prism_postgres").joinpath("sql", f"{self.name}_{version:04}.sql").read_text("utf-8")

    def sql(self, version: int, schema: str) -> str:
        """The statements of one step."""
        return in_schema(self.text(version), schema)


@dataclass(frozen=True, slots=True)
class Step:
    """One migration of one module."""

    module: str
    version: int


NAMESPACES: Final = Module("namespaces", 1, {"namespaces": ("SELECT", "INSERT", "UPDATE")})

_CREATE: Final = """
    CREATE TABLE IF NOT EXISTS __schema__.migrations (
        module text NOT NULL,
        version integer NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (module, version)
    )
"""
_TAKE: Final = "INSERT INTO __schema__.migrations (module, version) VALUES ($1, $2)"
_TAKEN: Final = "SELECT module, max(version) AS version FROM __schema__.migrations GROUP BY module"


def quoted(schema: str) -> str:
    """The schema's name as SQL has it; the configuration lets no quotes in."""
    return f'"{schema}"'


def in_schema(sql: str, schema: str) -> str:
    """A statement whose `__schema__` is the schema that holds our tables."""
    return sql.replace("__schema__", quoted(schema))


async def migrate(database: Database, schema: str, modules: Sequence[Module]) -> list[Step]:
    """Takes the steps that are missing, all of them or none, and returns them.

    Of several that do it at the same time, the others wait and find nothing left to do.

    Raises InvalidConfig where the schema is newer than this code.
    """

    async def act(connection: Connection) -> list[Step]:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('prism:' || $1, 0))", schema)
        # Asks the table: a session that waited for the lock may still remember that there was no such schema.
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema):
            await connection.execute(in_schema("CREATE SCHEMA __schema__", schema))
        await connection.execute(in_schema(_CREATE, schema))
        steps = _missing(await _taken(connection, schema), modules, schema)
        by_name = {module.name: module for module in modules}
        for step in steps:
            await connection.execute(by_name[step.module].sql(step.version, schema))
            await connection.execute(in_schema(_TAKE, schema), step.module, step.version)
        return steps

    return await database.in_transaction(act)


async def pending(database: Database, schema: str, modules: Sequence[Module]) -> list[Step]:
    """The steps that are missing. Raises InvalidConfig where the schema is newer than this code."""

    async def act(connection: Connection) -> list[Step]:
        try:
            return _missing(await _taken(connection, schema), modules, schema)
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            return _missing({}, modules, schema)

    return await database.run(act, harmless=True)


async def require(database: Database, schema: str, modules: Sequence[Module]) -> None:
    """Raises InvalidConfig, saying what to do, unless every step has been taken."""
    steps = await pending(database, schema, modules)
    if steps:
        named = ", ".join(dict.fromkeys(step.module for step in steps))
        text = (
            f'tables are missing or old in schema "{schema}" ({named}); '
            "run prism migrate --config FILE, or set auto_migrate: true"
        )
        raise InvalidConfig(f"schema: {text}", violations=(Violation("schema", text),))


async def require_server(database: Database) -> None:
    """Raises InvalidConfig for a server that is too old, a database that can't hold all of Unicode, and, behind a
    pooler, for transactions that don't see what others have committed since they began."""
    row = await database.fetch_row(
        "SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version, "
        "current_setting('server_encoding') AS encoding, current_database() AS name, "
        "current_setting('transaction_isolation') AS isolation",
        harmless=True,
    )
    assert row is not None
    if row["number"] < OLDEST:
        raise InvalidConfig(f"the PostgreSQL server is {row['version']}; upgrade it to {OLDEST // 10_000} or newer")
    if row["encoding"] != "UTF8":
        text = f"database {row['name']} is encoded in {row['encoding']}; make one with ENCODING 'UTF8'"
        raise InvalidConfig(f"connection: {text}", violations=(Violation("connection", text),))
    if row["isolation"] not in ("read committed", "read uncommitted"):
        text = f"default_transaction_isolation is {row['isolation']}; set it to read committed for the pooler's users"
        raise InvalidConfig(f"connection: {text}", violations=(Violation("connection", text),))


async def _taken(connection: Connection, schema: str) -> dict[str, int]:
    """The version that each module is at."""
    rows = await connection.fetch(in_schema(_TAKEN, schema))
    return {row["module"]: row["version"] for row in rows}


def _missing(taken: Mapping[str, int], modules: Sequence[Module], schema: str) -> list[Step]:
    for module in modules:
        if taken.get(module.name, 0) > module.steps:
            text = (
                f'"{schema}" has {module.name} at version {taken[module.name]}, and this prism-postgres knows '
                f"{module.steps}; upgrade it"
            )
            raise InvalidConfig(f"schema: {text}", violations=(Violation("schema", text),))
    return [
        Step(module.name, version)
        for module in modules
        for version in range(taken.get(module.name, 0) + 1, module.steps + 1)
    ]
