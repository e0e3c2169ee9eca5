"""Reading matching records page by page.

The first page is a statement of its own, and mostly all there is. The rest is read as a stream, and as a new one from
where it stopped when the reader takes long: see `streaming`. What has expired since the stream began is looked up again
before its page's turn, and left out.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from prism.filters.ast import Node
from prism.slots.registry import Projection, Query, RecordPage, ScanPage, TargetPage

from prism_postgres.errors import LOST, ConnectionLost, StatementTimeout
from prism_postgres.indexes import Indexed
from prism_postgres.migrations import in_schema
from prism_postgres.ordering import PARTS, beyond, order, order_by, position
from prism_postgres.pool import Database, Row
from prism_postgres.predicates import condition
from prism_postgres.statement import Parameters
from prism_postgres.streaming import RowStream

CHUNK_ROWS: Final = 1_000
CHUNK_BYTES: Final = 1024 * 1024
"""Bytes of metadata that are read at a time, as far as those before foretell it."""

LIVE: Final = "(l.expires_at IS NULL OR l.expires_at > (SELECT __schema__.now_micros()))"
FROM: Final = (
    "__schema__.registrations r JOIN __schema__.leases l ON l.namespace = r.namespace AND l.identity = r.identity"
)
FULL: Final = (
    "r.identity, r.metadata, r.registration_id, r.revision, r.registered_at, r.updated_at, l.expires_at, r.address, "
    "r.owner"
)
NOW: Final = "(SELECT __schema__.now_micros()) AS now"
TARGETS: Final = "r.identity, r.registration_id, r.address, l.expires_at"

_STILL_LIVE: Final = f"""
    SELECT l.identity FROM __schema__.leases l WHERE l.namespace = $1 AND l.identity = ANY($2) AND {LIVE}
"""  # noqa: S608 - our own condition
_EXPIRY: Final = {Projection.FULL: 6, Projection.TARGETS: 3}
"""The column of the expiry in each projection."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with the values of its parameters."""

    sql: str
    values: list[Any]


@dataclass(frozen=True, slots=True)
class Where:
    """Whose records, in which schema, with which indexes."""

    schema: str
    namespace: int
    indexed: Indexed


def select(
    where: Where, query: Query, start: Sequence[Any] | None, limit: int | None, now: int | None = None
) -> Statement:
    """The rows of a query, in its order, after a position of the order's parts.

    The columns are the projection's, the moment unless it's given, and, where it's sorted, the position of each row.
    `now` is a moment that has certainly come: with it the planner knows how few have expired.
    """
    parameters = Parameters(where.namespace)
    live = LIVE if now is None else f"(l.expires_at IS NULL OR l.expires_at > {parameters.bind(now, 'bigint')})"
    conditions = _conditions(query.conjuncts, live, parameters, where.indexed)
    parts = order(query.sort, parameters)
    if start is not None:
        conditions.append(beyond(parts, start, parameters))
    columns = [FULL if query.projection is Projection.FULL else TARGETS, *([NOW] if now is None else [])]
    columns += [part.sql for part in parts[:-1]]
    sql = (
        f"SELECT {', '.join(columns)} FROM {FROM} WHERE {' AND '.join(conditions)} "  # noqa: S608 - all values are bound
        f"ORDER BY {order_by(parts)}"
    )
    if limit is not None:
        sql += f" LIMIT {parameters.bind(limit, 'bigint')}"
    return Statement(in_schema(sql, where.schema), parameters.values)


def select_count(where: Where, conjuncts: Sequence[Node]) -> Statement:
    """How many records match."""
    parameters = Parameters(where.namespace)
    conditions = _conditions(conjuncts, LIVE, parameters, where.indexed)
    sql = f"SELECT count(*) FROM {FROM} WHERE {' AND '.join(conditions)}"  # noqa: S608 - all values are bound
    return Statement(in_schema(sql, where.schema), parameters.values)


def _conditions(conjuncts: Sequence[Node], live: str, parameters: Parameters, indexed: Indexed) -> list[str]:
    pushed = [condition(node, parameters, indexed) for node in conjuncts]
    return ["r.namespace = $1", "l.namespace = $1", live, *pushed]


class _Clock:
    """The server's clock, as far as one look at it and our own tell."""

    def __init__(self, rows: Sequence[Row], sent: float) -> None:
        self._sent = sent
        self._received = time.monotonic()
        self._shown = rows[0]["now"] if rows else 0

    def at_least(self) -> int:
        """A moment that it shows or has shown."""
        return self._shown + int((time.monotonic() - self._received) * 1_000_000)

    def at_most(self) -> int:
        """A moment that it shows or will show at once."""
        return self._shown + int((time.monotonic() - self._sent) * 1_000_000) + 1


class Scan:
    """One scan. `pages` may be left early."""

    def __init__(self, database: Database, where: Where, query: Query) -> None:
        self._database = database
        self._where = where
        self._query = query
        self._kind: type[ScanPage] = RecordPage if query.projection is Projection.FULL else TargetPage
        self._width = len(self._kind.__slots__)
        self._expiry = _EXPIRY[query.projection]

    async def pages(self) -> AsyncIterator[ScanPage]:
        """The pages of the query's projection."""
        query, size = self._query, self._query.page_size
        start = None if query.after is None else position(query.sort, query.after)
        count = size if query.limit is None else min(size, query.limit)
        sent = time.monotonic()
        statement = select(self._where, query, start, count)
        rows = await self._database.fetch(statement.sql, *statement.values, harmless=True)
        clock = _Clock(rows, sent)
        if rows:
            yield self._page(rows)
        left = None if query.limit is None else query.limit - len(rows)
        lost = False
        while len(rows) == count and (left is None or left > 0):
            start = self._position(rows[-1])
            statement = select(self._where, query, start, left, clock.at_least())
            try:
                async with RowStream(self._database, statement.sql, statement.values) as stream:
                    count = self._chunk(rows)
                    while (found := await stream.fetch(count)) is not None:
                        lost, rows = False, found
                        left = None if left is None else left - len(rows)
                        for first in range(0, len(rows), size):
                            page = await self._still_live(stream, rows[first : first + size], clock.at_most())
                            if page:
                                yield self._page(page)
                        if len(rows) < count:
                            return
                    count = len(rows)
            except TimeoutError as error:
                raise StatementTimeout(f"no answer within {self._database.config.statement_timeout:g} s") from error
            except LOST as error:
                if lost:
                    raise ConnectionLost(str(error), harmless=True) from error
                lost, count = True, len(rows)

    def _page(self, rows: Sequence[Row]) -> ScanPage:
        return self._kind(*islice(zip(*rows, strict=True), self._width))

    def _position(self, row: Row) -> list[Any]:
        return [*tuple(row)[len(row) - PARTS * len(self._query.sort) :], row["identity"]]

    async def _still_live(self, stream: RowStream, page: list[Row], now: int) -> list[Row]:
        """The page without what has expired by now."""
        at = self._expiry
        expiries = [row[at] for row in page]
        if None in expiries:
            expiries = [moment for moment in expiries if moment is not None]
        if not expiries or min(expiries) > now:
            return page
        doubtful = [row["identity"] for row in page if row[at] is not None and row[at] <= now]
        sql = in_schema(_STILL_LIVE, self._where.schema)
        rows = await stream.now(sql, self._where.namespace, doubtful)
        if rows is None:
            rows = await self._database.fetch(sql, self._where.namespace, doubtful, harmless=True)
        gone = set(doubtful) - {row["identity"] for row in rows}
        return [row for row in page if row["identity"] not in gone]

    def _chunk(self, rows: Sequence[Row]) -> int:
        """How many rows to read at a time, whole pages: by the sizes of those that were read before."""
        size, more = self._query.page_size, CHUNK_ROWS
        if self._query.projection is Projection.FULL:
            average = sum(len(row["metadata"]) for row in rows) // len(rows) + 1
            more = min(more, CHUNK_BYTES // average)
        return max(size, more // size * size)
