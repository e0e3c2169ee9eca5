"""Enumerate, count, explain: the pushdown split, the residual filter, order, pages and cursors (design section 6)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any, cast

from prism.coordinator.namespace import Namespace
from prism.filters import Node, SortKey, compile_filter, sort_key, split, to_mapping
from prism.filters.cursor import Position, decode_cursor, encode_cursor
from prism.filters.plan import PushdownPlan
from prism.filters.sorting import seek_key, sort_values
from prism.model import json
from prism.model.errors import InvalidArgument
from prism.model.identity import Registration, Target
from prism.model.operations import EnumerateQuery, Explanation, Page, Part
from prism.model.time import Micros
from prism.plugins.spec import SlotKind
from prism.slots.registry import After, Projection, Query

TARGETS_PER_PAGE = 5_000


class _Row:
    """A registration as the filter engine sees it."""

    __slots__ = ("document", "expires_at", "identity", "registered_at", "registration", "updated_at")

    def __init__(self, registration: Registration) -> None:
        self.registration = registration
        self.identity = registration.identity
        self.document: json.Document = json.decode(registration.metadata_json)
        self.registered_at: Micros = registration.registered_at
        self.updated_at: Micros = registration.updated_at
        self.expires_at: Micros | None = registration.expires_at


@dataclass(frozen=True, slots=True)
class _Plan:
    """A query, read and split."""

    ns: Namespace
    node: Node
    keys: tuple[SortKey, ...]
    split: PushdownPlan
    after: After | None

    @classmethod
    def of(cls, ns: Namespace, query: EnumerateQuery) -> _Plan:
        _check(ns, query)
        node = ns.parse(query.filter)
        keys = ns.parse_sort(query.sort)
        after = None
        if query.cursor:
            position = decode_cursor(query.cursor, node, keys)
            after = After(position.values, position.identity)
        return cls(ns, node, keys, split(node, ns.registry.plan), after)

    def cursor(self, last: Registration) -> str:
        """The cursor that goes on after a registration."""
        values: tuple[Any, ...] = sort_values(self.keys)(_Row(last)) if self.keys else ()
        return encode_cursor(self.node, self.keys, Position(values, last.identity))


async def enumerate_pages(ns: Namespace, query: EnumerateQuery) -> AsyncGenerator[Page]:
    """The matching registrations in pages. The last page has a cursor only where `limit` cut the result off."""
    plan = _Plan.of(ns, query)
    wanted = None if query.limit is None else query.offset + query.limit
    skip = query.offset
    room = query.limit
    held: list[Registration] = []
    async with aclosing(_registrations(plan, query.page_size, None if wanted is None else wanted + 1)) as chunks:
        async for chunk in chunks:
            if skip >= len(chunk):
                skip -= len(chunk)
                continue
            held.extend(islice(chunk, skip, None))
            skip = 0
            # One more than a page is held back: only then is it known that another page follows.
            while len(held) > (size := _fitting(held, query, room)):
                page, held = held[:size], held[size:]
                yield Page(page, plan.cursor(page[-1]))
                if room is not None:
                    room -= size
                    if room == 0:
                        return
    if held:
        yield Page(held)


def _fitting(held: Sequence[Registration], query: EnumerateQuery, room: int | None) -> int:
    """How many of those held make up the next page: as many as its size, its bytes and the limit allow."""
    size = min(len(held), query.page_size if room is None else min(query.page_size, room))
    if query.page_bytes is None:
        return size
    lengths = [len(registration.metadata_json) for registration in held[:size]]
    if sum(lengths) <= query.page_bytes:
        return size
    fitting = sum(total <= query.page_bytes for total in accumulate(lengths))
    return max(1, fitting)


async def count(ns: Namespace, filter: Any) -> int:  # noqa: A002 - the field's word
    """How many match; counted by the backend where it evaluates the whole filter."""
    plan = _Plan.of(ns, EnumerateQuery(filter))
    if plan.split.exact:
        with ns.guard(SlotKind.REGISTRY)("count"):
            return await ns.registry.count(plan.split.pushed)
    total = 0
    async with aclosing(_unsorted(plan, None, TARGETS_PER_PAGE)) as chunks:
        async for chunk in chunks:
            total += len(chunk)
    return total


async def targets(ns: Namespace, filter: Any) -> AsyncGenerator[Sequence[Target]]:  # noqa: A002
    """The targets of a multicast in pages, as they are read: memory stays bounded at any registry size."""
    plan = _Plan.of(ns, EnumerateQuery(filter))
    if plan.split.residual is not None:
        async with aclosing(_unsorted(plan, None, TARGETS_PER_PAGE)) as chunks:
            async for chunk in chunks:
                yield [Target(r.identity, r.registration_id, r.address) for r in chunk]
        return
    query = Query(plan.split.pushed, page_size=TARGETS_PER_PAGE, projection=Projection.TARGETS)
    async with aclosing(_scan(ns, query)) as pages:
        async for page in pages:
            yield cast("Sequence[Target]", page)


async def explain(ns: Namespace, query: EnumerateQuery) -> Explanation:
    """How the query would be run."""
    plan = _Plan.of(ns, query)
    return Explanation(
        registry=ns.config.registry.type,
        parts=[Part(to_mapping(node), support.value) for node, support in plan.split.support],
        residual=None if plan.split.residual is None else to_mapping(plan.split.residual),
        exact=plan.split.exact,
    )


async def _registrations(plan: _Plan, page_size: int, limit: int | None) -> AsyncGenerator[Sequence[Registration]]:
    """Matching registrations in order, from the plan's position on; at most `limit`."""
    if plan.split.exact:
        query = Query(plan.split.pushed, plan.keys, plan.after, limit, page_size, Projection.FULL)
        async with aclosing(_scan(plan.ns, query)) as pages:
            async for page in pages:
                yield cast("Sequence[Registration]", page)
        return
    if not plan.keys:
        async with aclosing(_unsorted(plan, plan.after, page_size)) as chunks:
            async for chunk in chunks:
                yield chunk
        return
    yield await _sorted(plan, limit)


async def _unsorted(plan: _Plan, after: After | None, page_size: int) -> AsyncGenerator[list[Registration]]:
    """Matching registrations by identity, with the residual filter applied to what the backend returns."""
    query = Query(plan.split.pushed, after=after, page_size=page_size)
    matching = _residual(plan)
    async with aclosing(_scan(plan.ns, query)) as pages:
        async for page in pages:
            rows = matching([_Row(cast("Registration", item)) for item in page])
            if rows:
                yield [row.registration for row in rows]


async def _sorted(plan: _Plan, limit: int | None) -> list[Registration]:
    """All matching registrations past the plan's position, sorted here because the backend can't."""
    key = sort_key(plan.keys)
    start = None if plan.after is None else seek_key(plan.keys, plan.after.values, plan.after.identity)
    matching = _residual(plan)
    found: list[tuple[Any, Registration]] = []
    async with aclosing(_scan(plan.ns, Query(plan.split.pushed, page_size=TARGETS_PER_PAGE))) as pages:
        async for page in pages:
            for row in matching([_Row(cast("Registration", item)) for item in page]):
                place = key(row)
                if start is None or place > start:
                    found.append((place, row.registration))
            if limit is not None and len(found) > 2 * limit + TARGETS_PER_PAGE:
                found = sorted(found, key=lambda entry: entry[0])[:limit]
    found.sort(key=lambda entry: entry[0])
    return [registration for _, registration in found[:limit]]


def _residual(plan: _Plan) -> Callable[[Sequence[_Row]], Sequence[_Row]]:
    if plan.split.residual is None:
        return lambda rows: rows
    return compile_filter(plan.split.residual).rows


async def _scan(ns: Namespace, query: Query) -> AsyncGenerator[Sequence[Registration] | Sequence[Target]]:
    """The backend's scan under its guard, closed when left early."""
    with ns.guard(SlotKind.REGISTRY)("scan"):
        scan = ns.registry.scan(query)
        try:
            async for page in scan:
                yield page
        finally:
            close = getattr(scan, "aclose", None)
            if close is not None:
                await close()


def _check(ns: Namespace, query: EnumerateQuery) -> None:
    limits = ns.config.limits
    if not 1 <= query.page_size <= limits.page_size:
        text = f"a page has 1 to {limits.page_size:,} entries, not {query.page_size:,}; use the cursor for more"
        raise InvalidArgument.at("pagination.limit", text)
    if query.limit is not None and query.limit < 0:
        raise InvalidArgument.at("pagination.limit", f"{query.limit} is negative")
    if query.offset < 0:
        raise InvalidArgument.at("pagination.offset", f"{query.offset} is negative")
    if query.offset and query.cursor:
        raise InvalidArgument.at("pagination.offset", "does not go with a cursor; use one of them")
