"""Reading matching records page by page, each chunk a statement that goes on where the last one ended.

No snapshot and no connection is held between two chunks, however slow the reader is. A chunk is some pages; what
expired between its reading and a page's turn is looked up again and left out.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from prism.filters.ast import Node
from prism.slots.registry import Projection, Query, RecordPage, ScanPage, TargetPage

from prism_postgres.indexes import Indexed
from prism_postgres.migrations import in_schema
from prism_postgres.ordering import beyond, order, order_by, position
from prism_postgres.pool import Database, Row
from prism_postgres.predicates import condition
from prism_postgres.statement import Parameters

CHUNK_ROWS: Final = 4_000
CHUNK_BYTES: Final = 1024 * 1024
"""Bytes of metadata that a chunk should have, as far as the one before foretells it."""

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
_POSITION: Final = {Projection.FULL: 10, Projection.TARGETS: 5}
"""The first column of a row's position in the order."""


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


def select(where: Where, query: Query, start: Sequence[Any] | None, limit: int) -> Statement:
    """The rows of a query, in its order, after a position of the order's parts.

    The columns are the projection's, the moment, and, where it's sorted, the position of each row.
    """
    parameters = Parameters(where.namespace)
    conditions = _conditions(query.conjuncts, parameters, where.indexed)
    parts = order(query.sort, parameters)
    if start is not None:
        conditions.append(beyond(parts, start, parameters))
        if not query.sort:  # the other side of the join is to begin there too
            conditions.append(f"l.identity > {parameters.bind(start[-1], 'text')}")
    columns = [FULL if query.projection is Projection.FULL else TARGETS, NOW, *(part.sql for part in parts[:-1])]
    sql = (
        f"SELECT {', '.join(columns)} FROM {FROM} WHERE {' AND '.join(conditions)} "  # noqa: S608 - all values are bound
        f"ORDER BY {order_by(parts)} LIMIT {parameters.bind(limit, 'bigint')}"
    )
    return Statement(in_schema(sql, where.schema), parameters.values)


def select_count(where: Where, conjuncts: Sequence[Node]) -> Statement:
    """How many records match."""
    parameters = Parameters(where.namespace)
    conditions = _conditions(conjuncts, parameters, where.indexed)
    sql = f"SELECT count(*) FROM {FROM} WHERE {' AND '.join(conditions)}"  # noqa: S608 - all values are bound
    return Statement(in_schema(sql, where.schema), parameters.values)


def _conditions(conjuncts: Sequence[Node], parameters: Parameters, indexed: Indexed) -> list[str]:
    pushed = [condition(node, parameters, indexed) for node in conjuncts]
    return ["r.namespace = $1", "l.namespace = $1", LIVE, *pushed]


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
        query, left, size = self._query, self._query.limit, self._query.page_size
        start = None if query.after is None else position(query.sort, query.after)
        wanted = size
        while left is None or left > 0:
            count = wanted if left is None else min(wanted, left)
            statement = select(self._where, query, start, count)
            sent = time.monotonic()
            rows = await self._database.fetch(statement.sql, *statement.values, harmless=True)
            for first in range(0, len(rows), size):
                page = rows[first : first + size]
                if first:
                    page = await self._still_live(page, time.monotonic() - sent)
                if page:
                    yield self._kind(*islice(zip(*page, strict=True), self._width))
            if len(rows) < count:
                return
            if left is not None:
                left -= len(rows)
            start = [*tuple(rows[-1])[_POSITION[query.projection] :], rows[-1]["identity"]]
            wanted = self._next_size(rows, wanted)

    async def _still_live(self, page: list[Row], seconds: float) -> list[Row]:
        """The page without what has expired in the seconds since it was asked for."""
        now, at = page[0]["now"] + round(seconds * 1_000_000), self._expiry
        doubtful = [row["identity"] for row in page if row[at] is not None and row[at] <= now]
        if not doubtful:
            return page
        sql = in_schema(_STILL_LIVE, self._where.schema)
        rows = await self._database.fetch(sql, self._where.namespace, doubtful, harmless=True)
        gone = set(doubtful) - {row["identity"] for row in rows}
        return [row for row in page if row["identity"] not in gone]

    def _next_size(self, rows: list[Row], size: int) -> int:
        """Twice as many, within bounds, and whole pages."""
        more = min(size * 2, CHUNK_ROWS)
        if self._query.projection is Projection.FULL:
            average = sum(len(row["metadata"]) for row in rows) // len(rows) + 1
            more = min(more, CHUNK_BYTES // average)
        return max(self._query.page_size, more // self._query.page_size * self._query.page_size)
