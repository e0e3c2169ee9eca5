"""The registry slot: batches, pages and turns of the event loop around a `Table`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

from prism.filters.ast import Node, Support
from prism.filters.sorting import Comparable, seek_key, sort_key
from prism.memory.plugin import REGISTRY
from prism.memory.record import Record, record_page, target_page
from prism.memory.store import MemorySlot, Store
from prism.memory.table import CHUNK, Table
from prism.memory.turns import Turns
from prism.model.identity import Registration
from prism.slots.registry import (
    DeleteOutcome,
    Fence,
    Projection,
    Query,
    RegistryBackend,
    Renewal,
    RenewOutcome,
    ScanPage,
    SetOutcome,
    Write,
)

if TYPE_CHECKING:
    from prism.model.time import Micros
    from prism.slots.context import SlotContext

Run: TypeAlias = "list[tuple[Comparable, Record]]"
"""Records with their sort keys. The keys end in the identity, so no two are equal."""


class MemoryRegistry(MemorySlot[Table], RegistryBackend):
    """Registrations in this process.

    Between two awaits nothing else of the process touches the table, so each item is atomic; long batches
    and scans let the event loop turn after every chunk of records.
    """

    spec = REGISTRY

    def _join_part(self, store: Store, context: SlotContext) -> Table:
        table = store.part(Table, context.namespace, lambda: Table(context.clock))
        table.ensure_indexes(context.indexes)
        return table

    async def set(self, writes: Sequence[Write]) -> list[SetOutcome]:
        """Stores registrations, each atomically with its precondition."""
        table, limit = self._part, self._context.limits.registrations
        outcomes: list[SetOutcome] = []
        turns = Turns()
        for i in range(0, len(writes), CHUNK):
            await turns.rest()
            chunk = writes[i : i + CHUNK]
            now = table.now() if limit is None else await self._make_room(len(chunk), limit)
            outcomes += [table.write(write, now, limit) for write in chunk]
        return outcomes

    async def get(self, identities: Sequence[str]) -> list[Registration | None]:
        """The live registrations, None where there is none."""
        table = self._part
        now = table.now()
        return [
            None if record is None else record.registration()
            for record in (table.live(identity, now) for identity in identities)
        ]

    def plan(self, conjuncts: Sequence[Node]) -> list[Support]:
        """EXACT for all: what no index answers is evaluated record by record, here."""
        return [Support.EXACT] * len(conjuncts)

    async def scan(self, query: Query) -> AsyncIterator[ScanPage]:
        """The matching live records in pages, by the query's projection."""
        table, turns = self._part, Turns()
        found = await self._sorted(query, turns) if query.sort else self._by_identity(query)
        targets = query.projection is Projection.TARGETS
        present: Callable[[list[Record]], ScanPage] = target_page if targets else record_page
        size, left = max(1, query.page_size), query.limit
        waiting: list[Record] = []
        others_ran = False  # since what is waiting was found; then it has to be looked at again
        since = table.changes
        for records in found:
            since = since if waiting else table.changes
            waiting += records
            while waiting and len(waiting) >= (size if left is None else min(size, left)):
                page = waiting[:size] if left is None else waiting[: min(size, left)]
                del waiting[: len(page)]
                if others_ran:
                    page = table.still_matching(page, query.conjuncts, since)
                if page:
                    yield present(page)
                    others_ran = True
                    left = None if left is None else left - len(page)
                if left == 0:
                    return
            others_ran = await turns.rest() or (others_ran and bool(waiting))
        if others_ran:
            waiting = table.still_matching(waiting, query.conjuncts, since)
        if waiting:
            yield present(waiting)

    async def count(self, conjuncts: Sequence[Node]) -> int:
        """How many live records match."""
        table, turns = self._part, Turns()
        if not conjuncts and not table.expiries.due(table.now()):
            return table.live_at_most()
        total = 0
        for records in table.matching(conjuncts):
            total += len(records)
            await turns.rest()
        return total

    async def delete(self, fences: Sequence[Fence]) -> list[DeleteOutcome]:
        """Removes registrations."""
        table = self._part
        outcomes: list[DeleteOutcome] = []
        turns = Turns()
        for i in range(0, len(fences), CHUNK):
            await turns.rest()
            now = table.now()
            outcomes += [table.remove(fence, now) for fence in fences[i : i + CHUNK]]
        return outcomes

    async def expire(self, renewals: Sequence[Renewal]) -> list[RenewOutcome]:
        """Renews many in one go."""
        table = self._part
        outcomes: list[RenewOutcome] = []
        turns = Turns()
        for i in range(0, len(renewals), CHUNK):
            await turns.rest()
            now = table.now()
            outcomes += table.renew(renewals[i : i + CHUNK], now)
        return outcomes

    async def pop_expired(self, limit: int) -> list[Registration]:
        """Removes up to `limit` expired registrations; the removal itself awaits nothing, so none gets lost."""
        table = self._part
        while len(table.expiries.unclaimed) < limit and table.expiries.due(now := table.now()):
            table.expiries.settle(now, CHUNK)
            await asyncio.sleep(0)
        return table.pop_unclaimed(limit)

    async def _make_room(self, writes: int, limit: int) -> Micros:
        """Looks for expired registrations until the writes fit or all expired are known; the moment that is true at."""
        table = self._part
        while True:
            now = table.now()
            if table.live_at_most() + writes > limit:
                table.expiries.settle(now, CHUNK)
            if table.live_at_most() + writes <= limit or not table.expiries.due(now):
                return now
            await asyncio.sleep(0)

    def _by_identity(self, query: Query) -> Iterator[list[Record]]:
        after = None if query.after is None else query.after.identity
        # Without a filter all that is looked at is found, so that it need not be more than the first page.
        first = CHUNK if query.conjuncts else min(CHUNK, query.page_size, query.limit or CHUNK)
        return self._part.matching(query.conjuncts, after, max(1, first))

    async def _sorted(self, query: Query, turns: Turns) -> Iterator[list[Record]]:
        """Sorted runs of what matches now, merged; looked at again as the pages are read."""
        table, key = self._part, sort_key(query.sort)
        after = None if query.after is None else seek_key(query.sort, query.after.values, query.after.identity)
        runs: list[Run] = [[]]
        begin = table.changes
        for records in table.matching(query.conjuncts):
            keyed = ((key(record), record) for record in records)
            runs.append([pair for pair in keyed if after is None or pair[0] > after])
            _merge(runs, query.limit)
            await turns.rest()
        while len(runs) > 1:
            _merge(runs, query.limit, force=True)
            await turns.rest()
        return (table.still_matching(records, query.conjuncts, begin) for records in _lists(iter(runs[0]), CHUNK))


def _merge(runs: list[Run], limit: int | None, *, force: bool = False) -> None:
    """Sorts the last run, and merges it with those before it that aren't longer, or with one in any case.

    So the work is that of a merge sort, done in steps between which others can run.
    """
    while True:
        runs[-1].sort(key=itemgetter(0))
        if limit is not None:
            del runs[-1][limit:]
        if len(runs) < 2 or not (force or len(runs[-2]) <= len(runs[-1])):
            return
        last = runs.pop()
        runs[-1] += last
        force = False


def _lists(keyed: Iterator[tuple[Comparable, Record]], step: int) -> Iterator[list[Record]]:
    while pairs := list(islice(keyed, step)):
        yield [record for _, record in pairs]
