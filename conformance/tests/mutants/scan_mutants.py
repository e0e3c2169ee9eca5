"""Faults of a registry: paging, projections, sorting, counting, memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from prism.filters import sorting
from prism.memory import registry as memory
from prism.memory.registry import MemoryRegistry
from prism.memory.table import Table
from prism.slots.registry import Projection, TargetPage

from .running import registry

MP = pytest.MonkeyPatch


@registry("REG-202", "REG-213")
def page_has_one_too_many(patch: MP) -> None:
    original = MemoryRegistry.scan
    patch.setattr(
        MemoryRegistry, "scan", lambda self, query: original(self, replace(query, page_size=query.page_size + 1))
    )


@registry("REG-203", "FIL-041", "REG-205", "REG-225", "REG-226")
def scan_stops_one_short_of_the_limit(patch: MP) -> None:
    original = MemoryRegistry.scan

    def scan(self: Any, query: Any) -> Any:
        return original(self, replace(query, limit=query.limit and query.limit - 1))

    patch.setattr(MemoryRegistry, "scan", scan)


@registry("REG-204", "FIL-041", "REG-205")
def scan_goes_on_with_the_record_itself(patch: MP) -> None:
    original = MemoryRegistry._by_identity

    def by_identity(self: Any, query: Any) -> Any:
        record = query.after and self._part.live(query.after.identity, self._part.now())
        if record:
            yield [record]
        yield from original(self, query)

    patch.setattr(MemoryRegistry, "_by_identity", by_identity)


@registry("REG-208")
def target_of_a_replaced_registration_is_kept(patch: MP) -> None:
    original = MemoryRegistry.scan

    async def scan(self: Any, query: Any) -> Any:
        kept = vars(self).setdefault("_kept", {})
        async for page in original(self, query):
            if query.projection is Projection.TARGETS:
                yield TargetPage.of([kept.setdefault(target.identity, target) for target in page.targets()])
            else:
                yield page

    patch.setattr(MemoryRegistry, "scan", scan)


@registry("REG-209", "REG-207")
def columns_of_a_page_are_of_different_records(patch: MP) -> None:
    patch.setattr(memory, "target_page", _turned(memory.target_page, "registration_ids"))
    patch.setattr(memory, "record_page", _turned(memory.record_page, "owners"))


@registry("REG-212")
def scan_shows_what_was_live_when_it_began(patch: MP) -> None:
    patch.setattr(Table, "still_matching", lambda self, records, conjuncts, since: records)


@registry("REG-214", "REG-213")
def count_leaves_one_out(patch: MP) -> None:
    original = MemoryRegistry.count

    async def count(self: Any, conjuncts: Any) -> int:
        found = await original(self, conjuncts)
        return found - 1 if found > 100 and not conjuncts else found

    patch.setattr(MemoryRegistry, "count", count)


@registry("REG-220", "REG-221", "REG-225")
def descending_sort_is_ascending(patch: MP) -> None:
    original = sorting.sort_key
    patch.setattr(memory, "sort_key", lambda keys: original([replace(key, descending=False) for key in keys]))


@registry("REG-240", "REG-212")
def scan_copies_everything_first(patch: MP) -> None:
    original = MemoryRegistry.scan

    async def scan(self: Any, query: Any) -> Any:
        pages = [page.of_rows(list(page.rows())) async for page in original(self, query)]
        for page in pages:
            yield page

    patch.setattr(MemoryRegistry, "scan", scan)


def _turned(make: Any, column: str) -> Any:
    """The pages that `make` makes, with one column turned by a row."""

    def turned(records: Any) -> Any:
        page = make(records)
        values = getattr(page, column)
        return replace(page, **{column: [*values[1:], *values[:1]]})

    return turned
