"""What the three slots have in common: a shared database, tables that are there, errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Final

import asyncpg
from prism.model.errors import InternalError, InvalidConfig, Unavailable, Violation
from prism.plugins.spec import Capability, SlotSpec
from prism.slots.context import Backend, Code, SlotContext
from prism.slots.optional import Migratable

from prism_postgres.config import PostgresConfig
from prism_postgres.errors import classify
from prism_postgres.migrations import (
    NAMESPACES,
    Module,
    Step,
    in_schema,
    migrate,
    pending,
    quoted,
    require,
    require_server,
)
from prism_postgres.pool import Database, borrow, give_back
from prism_postgres.privileges import lacking

_NUMBER: Final = "SELECT number FROM __schema__.namespaces WHERE name = $1"
_NEW_NUMBER: Final = "INSERT INTO __schema__.namespaces (name) VALUES ($1) ON CONFLICT DO NOTHING"

_CHECK: Final = """
    SELECT current_setting('transaction_read_only')::boolean AS is_read_only
    FROM __schema__.namespaces WHERE number = $1
"""

logger = logging.getLogger("prism.postgres")


class PostgresSlot(Migratable, Backend):
    """One slot of one namespace. `modules` are the tables it needs besides the namespaces' numbers."""

    spec: ClassVar[SlotSpec]
    modules: ClassVar[Sequence[Module]]

    def __init__(self, config: PostgresConfig, context: SlotContext) -> None:
        self._config = config
        self._context = context
        self._borrowed: Database | None = None
        self._number = 0
        self._capabilities = self.spec.capabilities

    @property
    def _database(self) -> Database:
        if self._borrowed is None:
            raise InternalError(f"{type(self).__name__} is not open; await open() first and don't use it after close()")
        return self._borrowed

    @property
    def _migrates(self) -> bool:
        """Whether opening makes what is missing."""
        return self._config.auto_migrate and not self._context.looking

    @property
    def database(self) -> Database:
        """The connections of an opened slot."""
        return self._database

    def _sql(self, text: str) -> str:
        """A statement whose `__schema__` is the schema that holds our tables."""
        return in_schema(text, self._config.db_schema)

    async def open(self) -> None:
        """Connects, checks the server and the tables (makes them, with `auto_migrate`), and learns our number.

        Raises InvalidConfig for a server that is too old, for tables that are missing, or newer than this code, and for
        privileges that are missing.
        """
        if self._borrowed is None:
            self._borrowed = await borrow(self._config)
        database, schema, modules = self._database, self._config.db_schema, (NAMESPACES, *self.modules)
        await require_server(database)
        if text := await self._lacking():
            raise InvalidConfig(f"connection: {text}", violations=(Violation("connection", text),))
        if not self._migrates:
            await require(database, schema, modules)
        elif await pending(database, schema, modules):
            with as_migrating_role(schema):
                await migrate(database, schema, modules)
        name = self._context.namespace
        self._number = await known_number(database, schema, name)
        if not self._number and not self._context.looking:
            await self._report_others(database)
            self._number = await namespace_number(database, schema, name)
        self._capabilities = await self._found_capabilities()

    async def close(self) -> None:
        """Gives the database back; the last slot that uses it ends its connections."""
        borrowed, self._borrowed = self._borrowed, None
        if borrowed is not None:
            await give_back(borrowed)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the plugin declares; DURABLE only where a commit waits for the disk."""
        return self._capabilities

    async def check(self) -> None:
        """Reads our row. Raises Unavailable where the server can be read alone, and where a privilege is missing."""
        if text := await self._lacking():
            raise Unavailable(text)
        row = await self._database.fetch_row(self._sql(_CHECK), self._number, harmless=True)
        if row is None or row["is_read_only"]:
            raise Unavailable("the PostgreSQL server takes no writes: it is a standby, or read-only")

    async def pending(self, *, prune: bool) -> list[str]:
        """The steps of our tables that are missing, and what else this slot prepares."""
        database, schema = await borrow(self._config), self._config.db_schema
        try:
            await require_server(database)
            with as_migrating_role(schema):
                steps = await pending(database, schema, (NAMESPACES, *self.modules))
                return [*map(self._named, steps), *await self._pending_more(database, prune=prune, bare=bool(steps))]
        finally:
            await give_back(database)

    async def migrate(self, *, prune: bool) -> list[str]:
        """Takes the steps, all or none, then prepares what else this slot needs."""
        database, schema = await borrow(self._config), self._config.db_schema
        try:
            await require_server(database)
            with as_migrating_role(schema):
                steps = await migrate(database, schema, (NAMESPACES, *self.modules))
                number = await namespace_number(database, schema, self._context.namespace)
                return [*map(self._named, steps), *await self._migrate_more(database, number, prune=prune)]
        finally:
            await give_back(database)

    async def _lacking(self) -> str | None:
        """What our role may not do and has to; None where nothing is missing."""
        modules, reading = (NAMESPACES, *self.modules), self._context.looking
        return await lacking(self._database, self._config.db_schema, modules, reading=reading)

    async def _report_others(self, database: Database) -> None:
        """Says in the log what a namespace that is new here may have been meant to be."""
        del database

    async def _pending_more(self, database: Database, *, prune: bool, bare: bool) -> list[str]:
        """What `_migrate_more` would do; `bare` is when not all tables are there."""
        del database, prune, bare
        return []

    async def _migrate_more(self, database: Database, number: int, *, prune: bool) -> list[str]:
        """Prepares what a slot needs besides its tables; what was done."""
        del database, number, prune
        return []

    def _named(self, step: Step) -> str:
        return f'tables: {step.module}, step {step.version}, in schema "{self._config.db_schema}"'

    def classify(self, error: Exception) -> Code | None:
        """Says what an exception of ours or of asyncpg means."""
        return classify(error)

    async def _found_capabilities(self) -> frozenset[Capability]:
        declared = self.spec.capabilities
        if Capability.DURABLE not in declared:
            return declared
        row = await self._database.fetch_row(
            "SELECT current_setting('synchronous_commit') AS commits, current_setting('fsync') AS fsync", harmless=True
        )
        assert row is not None
        if row["fsync"] == "off":
            logger.warning("the PostgreSQL server runs with fsync=off: a crash of its machine loses data")
        if row["commits"] != "off":
            return declared
        logger.info(
            "%s of namespace %r is not durable: synchronous_commit is off", self.spec.slot, self._context.namespace
        )
        return declared - {Capability.DURABLE}


@contextmanager
def as_migrating_role(schema: str) -> Iterator[None]:
    """Raises InvalidConfig, saying who may migrate, where the server says that we may not."""
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        text = (
            f"{error}; to migrate, connect as the owner of schema {quoted(schema)} and of what is in it, or, where "
            "there is none yet, as a role with CREATE on the database"
        )
        raise InvalidConfig(f"connection: {text}", violations=(Violation("connection", text),)) from error


async def namespace_number(database: Database, schema: str, name: str) -> int:
    """The number that stands for a namespace, a new one for a new namespace."""
    number = await known_number(database, schema, name)
    if not number:
        await database.fetch(in_schema(_NEW_NUMBER, schema), name, harmless=True)
        number = await known_number(database, schema, name)
    assert number
    return number


async def known_number(database: Database, schema: str, name: str) -> int:
    """The number that stands for a namespace, 0, which is nobody's, for one that isn't known yet."""
    row = await database.fetch_row(in_schema(_NUMBER, schema), name, harmless=True)
    return 0 if row is None else row["number"]
