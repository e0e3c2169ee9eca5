"""The registry slot: a lot of writes is one statement, a filter is SQL, time is the server's (design section 5)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from prism.filters.ast import Node, Support
from prism.model.actor import current_actor
from prism.model.audit import AuditEntry, AuditQuery
from prism.model.errors import PrismError
from prism.model.identity import Registration
from prism.model.time import Micros
from prism.slots.context import Failure
from prism.slots.optional import Auditable, Explains
from prism.slots.registry import (
    DeleteOutcome,
    Fence,
    Query,
    Refusal,
    Refused,
    RegistryBackend,
    Renewal,
    RenewOutcome,
    ScanPage,
    SetOutcome,
    Write,
)

from prism_postgres import auditing, indexing
from prism_postgres.indexes import Indexed, wanted
from prism_postgres.lots import ROWS, all_differ, in_lots, rounds
from prism_postgres.migrations import Module
from prism_postgres.ordering import position
from prism_postgres.plugin import REGISTRY
from prism_postgres.pool import Database
from prism_postgres.predicates import support
from prism_postgres.renewing import RENEWALS, renew
from prism_postgres.scanning import FROM, FULL, LIVE, Scan, Where, select, select_count
from prism_postgres.slot import PostgresSlot, as_migrating_role, known_number, logger
from prism_postgres.writing import (
    check_ttl,
    delete_outcome,
    document_of,
    is_unknown,
    set_outcome,
    write_columns,
)

TABLES: Final = Module("registry", 1)

_SET: Final = "SELECT * FROM __schema__.set_registrations($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
_DELETE: Final = "SELECT * FROM __schema__.delete_registrations($1, $2, $3, $4)"
_POP: Final = "SELECT * FROM __schema__.pop_expired($1, $2, $3)"
_GET: Final = f"""
    SELECT i.place, {FULL}
    FROM unnest($2::text[]) WITH ORDINALITY AS i (identity, place) JOIN {FROM}
        ON r.identity = i.identity
    WHERE r.namespace = $1 AND l.namespace = $1 AND {LIVE}
"""  # noqa: S608 - our own columns
_OTHERS: Final = """
    SELECT name FROM __schema__.namespaces n
    WHERE EXISTS (SELECT FROM __schema__.registrations r WHERE r.namespace = n.number) ORDER BY name LIMIT 20
"""
_MAINTENANCE: Final = 3600.0
"""Seconds between looks at the audit's partitions."""


class PostgresRegistry(PostgresSlot, Auditable, Explains, RegistryBackend):
    """Registrations in PostgreSQL.

    A lot of a batch is one transaction; a lot that fails fails alone, and where all do, the call raises. A read sees
    every write that was acknowledged before it, on any proxy.
    """

    spec = REGISTRY
    modules = (TABLES, auditing.TABLES)

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self._indexes = wanted(config.indexes, context.indexes, context.kinds)
        self._indexed = Indexed.of(self._indexes)
        self._next_maintenance = 0.0

    async def open(self) -> None:
        """Connects and checks; makes tables and indexes that are missing, with `auto_migrate`."""
        await super().open()
        database, schema = self._database, self._config.db_schema
        if self._migrates:
            with as_migrating_role(schema):
                await indexing.build(database, schema, self._number, self._indexes)
        elif not self._context.looking:
            await self._report_missing_indexes()
        if self._context.audit and not self._context.looking:
            await auditing.keep(database, schema, self._number, self._config.audit_days)
            await self._maintain_audit()

    async def _report_missing_indexes(self) -> None:
        """Logs which indexes aren't there yet: everything works without, slower."""
        state = await indexing.look(self._database, self._config.db_schema, self._number, self._indexes)
        titles = [*(index.title for index in state.missing), *map(state.title, state.building)]
        if titles:
            logger.info(
                "namespace %r: indexes that aren't there yet: %s; `prism migrate` makes them, until then filters on "
                "these fields read more",
                self._context.namespace,
                ", ".join(titles),
            )

    async def _report_others(self, database: Database) -> None:
        """Names the namespaces that have registrations: one that was renamed starts empty, and loses nothing."""
        rows = await database.fetch(self._sql(_OTHERS), harmless=True)
        if rows:
            logger.warning(
                'namespace %r is new in schema "%s", which has registrations of %s; a namespace that was renamed '
                "starts empty, and what it had stays under its old name",
                self._context.namespace,
                self._config.db_schema,
                ", ".join(repr(row["name"]) for row in rows),
            )

    async def set(self, writes: Sequence[Write]) -> list[SetOutcome]:
        """Stores registrations, up to 5,000 or 4 MiB of metadata in one statement."""
        outcomes: list[Any] = [None] * len(writes)
        limit = self._context.limits.registrations

        async def store(lot: list[int]) -> list[SetOutcome]:
            return await self._store([writes[i] for i in lot], limit)

        sizes = [len(write.metadata_json) for write in writes]
        lots = list(rounds(writes, range(len(writes)), sizes))
        abreast = limit is None and len(lots) > 1 and all_differ(writes)
        await in_lots(lots, outcomes, store, "store the registration", abreast=abreast)
        return outcomes

    async def get(self, identities: Sequence[str]) -> list[Registration | None]:
        """The live registrations, 5,000 at a time, each lot as of one moment."""
        found: list[Registration | None] = [None] * len(identities)
        for start in range(0, len(identities), ROWS):
            names = ["" if is_unknown(name) else name for name in identities[start : start + ROWS]]
            for row in await self._database.fetch(self._sql(_GET), self._number, names, harmless=True):
                found[start + row["place"] - 1] = Registration(*tuple(row)[1:])
        return found

    def plan(self, conjuncts: Sequence[Node]) -> list[Support]:
        """EXACT for nearly everything, INEXACT for distances and beginnings of patterns."""
        return [support(node) for node in conjuncts]

    async def scan(self, query: Query) -> AsyncIterator[ScanPage]:
        """The matching live records in pages; see `scanning`."""
        async for page in Scan(self._database, self.where, query).pages():
            yield page

    async def count(self, conjuncts: Sequence[Node]) -> int:
        """How many live records match. Everyone is counted by a counter."""
        if not conjuncts:
            sql, values = self._sql("SELECT __schema__.count_live($1) AS count"), [self._number]
        else:
            statement = select_count(self.where, conjuncts)
            sql, values = statement.sql, statement.values
        row = await self._database.fetch_row(sql, *values, harmless=True)
        assert row is not None
        count: int = row["count"]
        return count

    async def delete(self, fences: Sequence[Fence]) -> list[DeleteOutcome]:
        """Removes registrations, up to 5,000 in one statement."""
        outcomes: list[Any] = [Refused(Refusal.NOT_FOUND)] * len(fences)

        async def remove(lot: list[int]) -> list[DeleteOutcome]:
            several = [fences[i] for i in lot]
            columns = [fence.identity for fence in several], [fence.registration_id for fence in several]
            rows = await self._database.fetch(self._sql(_DELETE), self._number, self._actor, *columns)
            return list(map(delete_outcome, several, rows))

        known = [i for i, fence in enumerate(fences) if not is_unknown(fence.identity)]
        lots = list(rounds(fences, known))
        abreast = len(lots) > 1 and all_differ(fences)
        await in_lots(lots, outcomes, remove, "delete the registration", abreast=abreast)
        return outcomes

    async def expire(self, renewals: Sequence[Renewal]) -> list[RenewOutcome]:
        """Renews up to 10,000 in one statement, which touches leases alone."""
        outcomes: list[Any] = [Refused(Refusal.NOT_FOUND)] * len(renewals)
        identities = [renewal.identity for renewal in renewals]
        bad: dict[Micros | None, Failure] = {}
        for ttl in {renewal.ttl for renewal in renewals}:
            try:
                check_ttl(ttl)
            except PrismError as error:
                bad[ttl] = Failure(error)
        good = [i for i, identity in enumerate(identities) if not is_unknown(identity)]
        if bad:
            for i, renewal in enumerate(renewals):
                outcomes[i] = bad.get(renewal.ttl, outcomes[i])
            good = [i for i in good if renewals[i].ttl not in bad]

        async def renew_lot(lot: list[int]) -> Sequence[RenewOutcome]:
            return await renew(self._database, self._config.db_schema, self._number, [renewals[i] for i in lot])

        # Whoever locks several leases does so in the order of identities.
        good.sort(key=identities.__getitem__)
        lots = list(rounds(renewals, good, rows=RENEWALS))
        await in_lots(lots, outcomes, renew_lot, "renew the registration", abreast=False)
        return outcomes

    async def pop_expired(self, limit: int) -> list[Registration]:
        """Removes expired registrations, 5,000 in one statement, and returns them."""
        if self._context.audit and time.monotonic() >= self._next_maintenance:
            await self._maintain_audit()
        popped: list[Registration] = []
        while len(popped) < limit:
            asked = min(ROWS, limit - len(popped))
            rows = await self._database.fetch(self._sql(_POP), self._number, self._actor, asked)
            popped += [Registration(*tuple(row)) for row in rows]
            if len(rows) < asked:
                break
        return popped

    async def record(self, entries: Sequence[AuditEntry]) -> None:
        """Appends entries to the audit."""
        if self._context.audit:
            await auditing.record(self._database, self._config.db_schema, self._number, entries)

    async def audit(self, query: AuditQuery) -> list[AuditEntry]:
        """The entries of this namespace, the latest first."""
        return await auditing.read(self._database, self._config.db_schema, self._number, query)

    async def explain(self, query: Query) -> str:
        """PostgreSQL's plan of the first chunk of a scan, for the very values of the query."""
        start = None if query.after is None else position(query.sort, query.after)
        statement = select(self.where, query, start, min(query.page_size, query.limit or query.page_size))
        rows = await self._database.fetch("EXPLAIN " + statement.sql, *statement.values, harmless=True)
        return "\n".join(row[0] for row in rows)

    async def _store(self, writes: Sequence[Write], limit: int | None) -> list[SetOutcome]:
        """One statement; what can't be stored isn't in it."""
        outcomes: list[Any] = [None] * len(writes)
        good: list[int] = []
        documents: list[str | None] = []
        for i, write in enumerate(writes):
            try:
                documents.append(document_of(write))
                good.append(i)
            except PrismError as error:
                outcomes[i] = Failure(error)
        if good:
            stored = [writes[i] for i in good]
            columns = write_columns(stored, documents)
            rows = await self._database.fetch(self._sql(_SET), self._number, limit, self._actor, *columns)
            for i, write, row in zip(good, stored, rows, strict=True):
                outcomes[i] = set_outcome(write, row)
        return outcomes

    async def _pending_more(self, database: Database, *, prune: bool, bare: bool) -> list[str]:
        schema = self._config.db_schema
        if bare:
            return [f"index: {index.title}" for index in indexing.tables_of(self._indexes)]
        number = await known_number(database, schema, self._context.namespace)
        if not number:
            await self._report_others(database)
        state = await indexing.look(database, schema, number, self._indexes)
        lines = [f"index: {index.title}" for index in state.missing]
        lines += [f"being made: index {state.title(name)}" for name in state.building]
        if prune:
            lines += [f"drop: index {state.title(name)}" for name in (*state.unwanted, *state.broken)]
        days = self._config.audit_days or 0 if self._context.audit else None
        outlived = await auditing.pending(database, schema, number, days)
        return lines + [f"drop: {name}, kept no longer" for name in outlived]

    async def _migrate_more(self, database: Database, number: int, *, prune: bool) -> list[str]:
        schema = self._config.db_schema
        lines = [f"index: {title}" for title in await indexing.build(database, schema, number, self._indexes)]
        if prune:
            dropped = await indexing.prune(database, schema, number, self._indexes)
            lines += [f"drop: index {title}" for title in dropped]
        if self._context.audit:
            await auditing.keep(database, schema, number, self._config.audit_days)
            made, outlived = await auditing.maintain(database, schema)
            lines += [f"audit: partition {name}" for name in made]
            lines += [f"drop: {name}, kept no longer" for name in outlived]
        return lines

    async def _maintain_audit(self) -> None:
        """Makes partitions ahead of time. Where we may not, entries go to the default one: nothing waits for it."""
        self._next_maintenance = time.monotonic() + _MAINTENANCE
        try:
            await auditing.maintain(self._database, self._config.db_schema)
        except Exception as error:
            if self.classify(error) is None:
                raise
            logger.warning("the audit of schema %r was not maintained: %s", self._config.db_schema, error)

    @property
    def _actor(self) -> str | None:
        """Who a change is recorded for, None where nothing is audited."""
        return current_actor().replace("\0", "") if self._context.audit else None

    @property
    def where(self) -> Where:
        """Where this namespace's records are."""
        return Where(self._config.db_schema, self._number, self._indexed)
