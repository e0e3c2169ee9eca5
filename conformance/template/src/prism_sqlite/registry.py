"""The registry slot in SQLite. Each batch is one transaction in a thread; filters are left to the core."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from prism.filters.ast import Node, Support
from prism.filters.sorting import seek_key, sort_key
from prism.model.errors import InvalidArgument
from prism.model.identity import Registration
from prism.model.time import Micros
from prism.plugins.spec import Capability
from prism.slots.context import Code, Failure, SlotContext
from prism.slots.registry import (
    Absent,
    AtRevision,
    Deleted,
    DeleteOutcome,
    Fence,
    Keep,
    Projection,
    Query,
    RecordPage,
    Refusal,
    Refused,
    RegistryBackend,
    Renewal,
    Renewed,
    RenewOutcome,
    ScanPage,
    SetOutcome,
    Stored,
    Write,
)

from prism_sqlite import rows
from prism_sqlite.config import SqliteConfig
from prism_sqlite.plugin import REGISTRY

T = TypeVar("T")


class SqliteRegistry(RegistryBackend):
    """Registrations of one namespace in a file.

    `BEGIN IMMEDIATE` lets one writer at a time in, whatever process it is of: that makes preconditions, quotas and
    claims atomic. The lock keeps the threads of this slot off each other's transactions.
    """

    def __init__(self, config: SqliteConfig, context: SlotContext) -> None:
        self._path = config.path
        self._context = context
        self._connection: sqlite3.Connection | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Opens the file and makes the tables where there are none."""
        self._connection = await asyncio.to_thread(self._connect)

    async def close(self) -> None:
        """Closes the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            async with self._turn:
                await asyncio.to_thread(connection.close)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All that the plugin declares."""
        return REGISTRY.capabilities

    async def check(self) -> None:
        """Reads once."""
        await self.count(())

    def classify(self, error: Exception) -> Code | None:
        """Says what SQLite's exceptions mean."""
        if isinstance(error, sqlite3.OperationalError):
            return Code.UNAVAILABLE
        return Code.INTERNAL if isinstance(error, sqlite3.Error) else None

    async def set(self, writes: Sequence[Write]) -> list[SetOutcome]:
        """Stores registrations, each with its precondition, all in one transaction."""
        return await self._transaction(lambda at: [self._write(at, write) for write in writes])

    async def get(self, identities: Sequence[str]) -> list[Registration | None]:
        """The live registrations, None where there is none."""
        return await self._transaction(lambda at: [self._live(at, identity) for identity in identities])

    def plan(self, conjuncts: Sequence[Node]) -> list[Support]:
        """Pushes nothing down: the core evaluates every filter. Claim more once SQL means exactly the same."""
        return [Support.UNSUPPORTED] * len(conjuncts)

    async def scan(self, query: Query) -> AsyncIterator[ScanPage]:
        """Pages by identity are read one by one; a sort reads all keys first, and then each page as it stands."""
        left = query.limit
        async for page in self._sorted(query) if query.sort else self._by_identity(query):
            shown = page if left is None else page.part(0, left)
            if shown:
                yield shown.target_page() if query.projection is Projection.TARGETS else shown
            if left is not None:
                left -= len(shown)
                if left <= 0:
                    return

    async def count(self, conjuncts: Sequence[Node]) -> int:
        """How many are live. Conjuncts are never given: `plan` claims none."""
        del conjuncts
        return await self._transaction(lambda at: int(self._execute(rows.COUNT, at).fetchone()[0]))

    async def delete(self, fences: Sequence[Fence]) -> list[DeleteOutcome]:
        """Removes registrations."""
        return await self._transaction(lambda at: [self._delete(at, fence) for fence in fences])

    async def expire(self, renewals: Sequence[Renewal]) -> list[RenewOutcome]:
        """Renews many in one transaction."""
        return await self._transaction(lambda at: [self._renew(at, renewal) for renewal in renewals])

    async def pop_expired(self, limit: int) -> list[Registration]:
        """Removes expired registrations; of racing callers one gets each."""
        return await self._transaction(
            lambda at: [rows.registration(row) for row in self._execute(rows.EXPIRED, at, limit=limit).fetchall()]
        )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(rows.SCHEMA)
        return connection

    async def _transaction(self, work: Callable[[Micros], T]) -> T:
        """Runs the work in one transaction; a caller that is cancelled leaves it done or not, never half."""
        async with self._turn:
            running = asyncio.ensure_future(asyncio.to_thread(self._commit, work))
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                await asyncio.wait([running])
                raise

    def _commit(self, work: Callable[[Micros], T]) -> T:
        connection = self._opened
        connection.execute("BEGIN IMMEDIATE")
        try:
            answer = work(self._context.clock())
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return answer

    @property
    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the registry is not open; await open() first")
        return self._connection

    def _execute(self, statement: str, now: Micros, **values: Any) -> sqlite3.Cursor:
        return self._opened.execute(statement, {"namespace": self._context.namespace, "now": now, **values})

    def _live(self, now: Micros, identity: str) -> Registration | None:
        row = self._execute(rows.GET, now, identity=identity).fetchone()
        return None if row is None else rows.registration(row)

    def _write(self, now: Micros, write: Write) -> SetOutcome:
        current = self._live(now, write.identity)
        refusal = self._refusal(now, write, current)
        if refusal is not None:
            return Refused(refusal, current)
        if isinstance(write.ttl, Keep):
            if current is None or not isinstance(write.precondition, AtRevision):
                return Failure(InvalidArgument.at("ttl", "Keep.EXPIRY goes with AtRevision only"))
            expires_at = current.expires_at
        else:
            expires_at = None if write.ttl is None else now + write.ttl
        keeps = current is not None and isinstance(write.precondition, AtRevision)
        stored = Registration(
            write.identity,
            write.metadata_json,
            write.registration_id,
            self._execute(rows.REVISION, now).fetchone()[0],
            current.registered_at if current is not None and keeps else now,
            now,
            expires_at,
            write.address,
            write.owner,
        )
        self._opened.execute(rows.PUT, rows.values(self._context.namespace, stored))
        return Stored(stored, None if current is None else rows.target(current))

    def _refusal(self, now: Micros, write: Write, current: Registration | None) -> Refusal | None:
        condition, limit = write.precondition, self._context.limits.registrations
        if isinstance(condition, Absent) and current is not None:
            return Refusal.ALREADY_EXISTS
        if isinstance(condition, AtRevision):
            if current is None:
                return Refusal.NOT_FOUND
            return None if current.revision == condition.revision else Refusal.CONFLICT
        if current is None and limit is not None and self._execute(rows.COUNT, now).fetchone()[0] >= limit:
            return Refusal.QUOTA_EXCEEDED
        return None

    def _fenced(self, now: Micros, identity: str, registration_id: str | None) -> Registration | Refused:
        current = self._live(now, identity)
        if current is None:
            return Refused(Refusal.NOT_FOUND)
        return current if registration_id in (None, current.registration_id) else Refused(Refusal.STALE, current)

    def _delete(self, now: Micros, fence: Fence) -> DeleteOutcome:
        current = self._fenced(now, fence.identity, fence.registration_id)
        if isinstance(current, Refused):
            return current
        self._execute(rows.REMOVE, now, identity=fence.identity)
        return Deleted(rows.target(current))

    def _renew(self, now: Micros, renewal: Renewal) -> RenewOutcome:
        current = self._fenced(now, renewal.identity, renewal.registration_id)
        if isinstance(current, Refused):
            return current
        expires_at = None if renewal.ttl is None else now + renewal.ttl
        self._execute(rows.RENEW, now, identity=renewal.identity, expires_at=expires_at)
        return Renewed(expires_at)

    async def _by_identity(self, query: Query) -> AsyncIterator[RecordPage]:
        size, after = max(1, query.page_size), "" if query.after is None else query.after.identity
        while True:
            page = await self._transaction(
                lambda at, after=after: self._execute(rows.PAGE, at, after=after, size=size).fetchall()
            )
            if page:
                yield RecordPage.of_rows(page)
            if len(page) < size:
                return
            after = page[-1][0]

    async def _sorted(self, query: Query) -> AsyncIterator[RecordPage]:
        key = sort_key(query.sort)
        found = await self._transaction(lambda at: self._execute(rows.ALL, at).fetchall())
        keyed = sorted((key(row), row.identity) for row in map(rows.Row, map(rows.registration, found)))
        if query.after is not None:
            past = seek_key(query.sort, query.after.values, query.after.identity)
            keyed = [pair for pair in keyed if pair[0] > past]
        size = max(1, query.page_size)
        for i in range(0, len(keyed), size):
            page = await self.get([identity for _, identity in keyed[i : i + size]])
            yield RecordPage.of([item for item in page if item is not None])
