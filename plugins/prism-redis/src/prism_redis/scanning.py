"""A scan: the candidates of all partitions in one order, in pages, looked at again when a page took a while."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final

from prism.filters.ast import And
from prism.filters.compiled import compile_filter
from prism.filters.sorting import seek_key, sort_key
from prism.slots.registry import Projection, Query, RecordPage, ScanPage, TargetPage

from prism_redis.candidates import PartScan, Step
from prism_redis.concurrency import together
from prism_redis.evaluating import WALK, as_records, matching
from prism_redis.keys import grouped
from prism_redis.reading import Reader

FRESH: Final = 0.005
"""Seconds for which what was read ahead is as good as read now: no more than a round trip takes now and then."""
LEAST: Final = 16
"""Records read of a partition in one step, at least."""


class Scan:
    """One query over all partitions."""

    def __init__(self, readers: Sequence[Reader], query: Query) -> None:
        self._readers = readers
        self._query = query
        self._again = Again(readers, query)

    async def pages(self) -> AsyncGenerator[ScanPage]:
        """The matching live records in pages that are never empty, in the query's order.

        What is left over of a step is looked at again after each page: its reader may have taken a while.
        """
        size, left = self._size, self._query.limit
        if left is not None and left <= 0:
            return
        steps = self._sorted() if self._query.sort else self._by_identity()
        async with aclosing(steps):
            async for step in steps:
                rest = step
                while rest:
                    wanted = size if left is None else min(size, left)
                    page, rest = rest.part(0, wanted), rest.part(wanted)
                    yield page
                    left = None if left is None else left - len(page)
                    if left == 0:
                        return
                    rest = await self._again.matching(rest.identities)

    async def count(self) -> int:
        """How many live records match."""
        return sum(await together(PartScan(reader, self._query).count() for reader in self._readers))

    @property
    def _size(self) -> int:
        return max(1, self._query.page_size)

    async def _by_identity(self) -> AsyncGenerator[ScanPage]:
        """What all partitions find up to where each of them has looked; then on from there.

        What some have found beyond that is read again: so nothing grows old while a page is read, and little is
        lost, since a page takes about as much from each.
        """
        size, limit = self._size, self._query.limit
        size = size if limit is None else min(size, limit)
        parts = [PartScan(reader, self._query) for reader in self._readers]
        least = size if len(parts) == 1 else max(LEAST, size // len(parts))
        reading = ReadingAhead(parts)
        after, ahead, met = None, least, 0
        try:
            while True:
                steps = await reading.steps(after, ahead)
                after = min((step.reached for step in steps if not step.last), default=None)
                found = joined([step.page for step in steps])
                if len(parts) > 1:
                    found = _in_order(found, None if after is None else after.decode())
                met += len(found)
                # Few hits: look further ahead. Many: what is more than a page would have to be read again.
                most = min(part.most for part in parts)
                ahead = least if len(found) * 2 >= size else min(2 * ahead, max(least, most))
                if after is not None and (limit is None or met < limit):
                    reading.begin(after, ahead)
                yield found
                if after is None:
                    return
        finally:
            await reading.close()

    async def _sorted(self) -> AsyncGenerator[ScanPage]:
        """Orders all that matches by its sort key, keeping key and identity alone, and reads it again in pages."""
        query, comparable = self._query, sort_key(self._query.sort)
        after = None if query.after is None else seek_key(query.sort, query.after.values, query.after.identity)
        keyed: list[Any] = []
        for reader in self._readers:
            part, after_name, last = PartScan(reader, query), None, False
            while not last:
                step = await part.step(after_name, WALK)
                after_name, last = step.reached, step.last
                assert isinstance(step.page, RecordPage)
                keys = map(comparable, as_records(step.page))
                keyed += keys if after is None else [key for key in keys if key > after]
                if query.limit is not None and len(keyed) > 2 * query.limit + WALK:
                    keyed = heapq.nsmallest(query.limit, keyed)
        keyed.sort()
        names = [key[-1] for key in (keyed if query.limit is None else keyed[: query.limit])]
        for i in range(0, len(names), self._size):
            yield await self._again.matching(names[i : i + self._size])


class ReadingAhead:
    """Reads the next steps of all partitions while a page is read. What has grown old by then is read anew.

    A reader that is slow once is taken to be slow: for it nothing is read ahead any more.
    """

    def __init__(self, parts: Sequence[PartScan]) -> None:
        self._parts = parts
        self._reading: asyncio.Task[tuple[list[Step], float]] | None = None
        self._worth_it = True

    def begin(self, after: bytes, size: int) -> None:
        """Begins to read what comes next."""
        if self._worth_it:
            self._reading = asyncio.create_task(self._timed(after, size))

    async def steps(self, after: bytes | None, size: int) -> list[Step]:
        """The next steps of all partitions: those that were read ahead, or else read now."""
        reading, self._reading = self._reading, None
        if reading is not None:
            steps, done = await reading
            if time.monotonic() - done < FRESH:
                return steps
            self._worth_it = False
        return await self._read(after, size)

    async def close(self) -> None:
        """Gives up what nobody will ask for."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _timed(self, after: bytes, size: int) -> tuple[list[Step], float]:
        return await self._read(after, size), time.monotonic()

    async def _read(self, after: bytes | None, size: int) -> list[Step]:
        return await together(part.step(after, size) for part in self._parts)


class Again:
    """Records that were found earlier, read again: those that are still there and still match."""

    def __init__(self, readers: Sequence[Reader], query: Query) -> None:
        self._readers = readers
        self._targets = query.projection is Projection.TARGETS
        self._nothing: ScanPage = TargetPage.empty() if self._targets else RecordPage.empty()
        self._filter = compile_filter(And(query.conjuncts)) if query.conjuncts else None

    async def matching(self, names: Sequence[str]) -> ScanPage:
        """The records of these identities, in their order."""
        if not names:
            return self._nothing
        groups = grouped(names, len(self._readers))
        parts = await together(
            self._read(self._readers[number], [names[i] for i in positions]) for number, positions in groups.items()
        )
        found = joined(parts)
        places = {identity: i for i, identity in enumerate(found.identities)}
        return found.chosen([places[name] for name in names if name in places])

    async def _read(self, reader: Reader, names: Sequence[str]) -> ScanPage:
        identities = [name.encode() for name in names]
        documents = not self._targets or self._filter is not None
        shot = await reader.snapshot(identities, documents=documents)
        if not documents:
            return shot.targets(shot.live())
        found = shot.records(shot.live())
        if self._filter is not None:
            found = found.chosen(matching(self._filter, found))
        return found.target_page() if self._targets else found


def joined(pages: Sequence[ScanPage]) -> ScanPage:
    """The rows of pages of one kind, of which there is at least one."""
    return pages[0].joined(pages)  # type: ignore[arg-type]


def _in_order(page: ScanPage, bound: str | None) -> ScanPage:
    """The rows by identity, those up to a bound only."""
    identities = page.identities
    places = range(len(page)) if bound is None else [i for i, name in enumerate(identities) if name <= bound]
    return page.chosen(sorted(places, key=identities.__getitem__))
