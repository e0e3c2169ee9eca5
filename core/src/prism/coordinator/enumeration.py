"""Enumerate, count, explain: the pushdown split, the residual filter, order, pages and cursors (design section 6)."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import itemgetter
from typing import Any, cast

from prism.coordinator.namespace import Namespace
from prism.filters import Node, SortKey, compile_filter, sort_key, split, to_mapping
from prism.filters.cursor import Position, decode_cursor, encode_cursor
from prism.filters.plan import PushdownPlan
from prism.filters.sorting import seek_key, sort_values
from prism.model import json
from prism.model.errors import InternalError, InvalidArgument
from prism.model.operations import EnumerateQuery, Explanation, Page, Part
from prism.model.pages import RecordPage, TargetPage
from prism.model.time import Micros
from prism.plugins.spec import SlotKind
from prism.slots.optional import Explains
from prism.slots.registry import After, Projection, Query, ScanPage

TARGETS_PER_PAGE = 10_000
RECORDS_PER_PAGE = 5_000


class _Row:
    """One record of a page as the filter engine sees it; `place` is its position there."""

    __slots__ = ("document", "expires_at", "identity", "place", "registered_at", "updated_at")

    def __init__(
        self,
        place: int,
        identity: str,
        document: json.Document,
        registered_at: Micros,
        updated_at: Micros,
        expires_at: Micros | None,
    ) -> None:
        self.place = place
        self.identity = identity
        self.document = document
        self.registered_at = registered_at
        self.updated_at = updated_at
        self.expires_at = expires_at


def _rows(page: RecordPage) -> list[_Row]:
    documents = map(json.decode, page.metadata_json)
    places = range(len(page))
    return list(map(_Row, places, page.identities, documents, page.registered_at, page.updated_at, page.expires_at))


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

    def cursor(self, page: RecordPage) -> str:
        """The cursor that goes on after a page."""
        values: tuple[Any, ...] = ()
        if self.keys:
            [last] = _rows(page.part(len(page) - 1))
            values = sort_values(self.keys)(last)
        return encode_cursor(self.node, self.keys, Position(values, page.identities[-1]))


async def enumerate_pages(ns: Namespace, query: EnumerateQuery) -> AsyncGenerator[Page]:
    """The matching registrations in pages. The last page has a cursor only where `limit` cut the result off."""
    plan = _Plan.of(ns, query)
    wanted = None if query.limit is None else query.offset + query.limit
    skip = query.offset
    room = query.limit
    held = _Held()
    async with aclosing(_registrations(plan, query.page_size, None if wanted is None else wanted + 1)) as chunks:
        async for chunk in chunks:
            if skip >= len(chunk):
                skip -= len(chunk)
                continue
            held.add(chunk.part(skip))
            skip = 0
            # One more than a page is held back: only then is it known that another page follows.
            while len(held) > (size := _fitting(held, query, room)):
                page = held.take(size)
                yield Page(page, plan.cursor(page))
                if room is not None:
                    room -= size
                    if room == 0:
                        return
    if held:
        yield Page(held.take(len(held)))


class _Held:
    """Records that wait to be shown. They stay in the pages that they came in: what fits as it is, isn't copied."""

    def __init__(self) -> None:
        self._pages: deque[RecordPage] = deque()
        self._count = 0
        self._most_bytes = 0

    def __len__(self) -> int:
        return self._count

    def add(self, page: RecordPage) -> None:
        """Puts more behind what waits."""
        self._pages.append(page)
        self._count += len(page)
        self._most_bytes = max(self._most_bytes, sum(map(len, page.metadata_json)))

    def surely_fit(self, size: int, limit: int) -> bool:
        """Whether the first `size` have no more bytes of metadata than that; false where it takes a closer look."""
        return self._most_bytes <= limit and size <= len(self._pages[0])

    def lengths(self, size: int) -> list[int]:
        """The bytes of metadata of each of the first `size`."""
        lengths: list[int] = []
        for page in self._pages:
            lengths += map(len, page.metadata_json[: size - len(lengths)])
            if len(lengths) == size:
                break
        return lengths

    def take(self, size: int) -> RecordPage:
        """Takes out the first `size`."""
        parts = []
        self._count -= size
        while size:
            page = self._pages.popleft()
            if len(page) > size:
                self._pages.appendleft(page.part(size))
                page = page.part(0, size)
            parts.append(page)
            size -= len(page)
        return RecordPage.joined(parts)


def _fitting(held: _Held, query: EnumerateQuery, room: int | None) -> int:
    """How many of those held make up the next page: as many as its size, its bytes and the limit allow."""
    size = min(len(held), query.page_size if room is None else min(query.page_size, room))
    if query.page_bytes is None:
        return size
    if held.surely_fit(size, query.page_bytes):
        return size
    lengths = held.lengths(size)
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
    async with aclosing(_unsorted(plan, None, RECORDS_PER_PAGE)) as chunks:
        async for chunk in chunks:
            total += len(chunk)
    return total


async def targets(ns: Namespace, filter: Any) -> AsyncGenerator[TargetPage]:  # noqa: A002
    """The targets of a multicast in pages, as they are read: memory stays bounded at any registry size."""
    plan = _Plan.of(ns, EnumerateQuery(filter))
    if plan.split.residual is not None:
        async with aclosing(_unsorted(plan, None, RECORDS_PER_PAGE)) as chunks:
            async for chunk in chunks:
                yield chunk.target_page()
        return
    query = Query(plan.split.pushed, page_size=TARGETS_PER_PAGE, projection=Projection.TARGETS)
    async with aclosing(_scan(ns, query)) as pages:
        async for page in pages:
            yield cast("TargetPage", page)


async def explain(ns: Namespace, query: EnumerateQuery) -> Explanation:
    """How the query would be run."""
    plan = _Plan.of(ns, query)
    backend_plan = ""
    if isinstance(ns.registry, Explains):
        pushed = Query(plan.split.pushed, page_size=query.page_size)
        if plan.split.exact:
            pushed = replace(pushed, sort=plan.keys, after=plan.after, limit=query.limit)
        with ns.guard(SlotKind.REGISTRY)("explain"):
            backend_plan = await ns.registry.explain(pushed)
    return Explanation(
        registry=ns.config.registry.type,
        parts=[Part(to_mapping(node), support.value) for node, support in plan.split.support],
        residual=None if plan.split.residual is None else to_mapping(plan.split.residual),
        exact=plan.split.exact,
        backend_plan=backend_plan,
    )


async def _registrations(plan: _Plan, page_size: int, limit: int | None) -> AsyncGenerator[RecordPage]:
    """Matching registrations in order, from the plan's position on; at most `limit`."""
    if plan.split.exact:
        query = Query(plan.split.pushed, plan.keys, plan.after, limit, page_size, Projection.FULL)
        async with aclosing(_scan(plan.ns, query)) as pages:
            async for page in pages:
                yield cast("RecordPage", page)
        return
    if not plan.keys:
        async with aclosing(_unsorted(plan, plan.after, page_size)) as chunks:
            async for chunk in chunks:
                yield chunk
        return
    yield await _sorted(plan, limit)


async def _unsorted(plan: _Plan, after: After | None, page_size: int) -> AsyncGenerator[RecordPage]:
    """Matching registrations by identity, with the residual filter applied to what the backend returns."""
    query = Query(plan.split.pushed, after=after, page_size=page_size)
    matching = _residual(plan)
    async with aclosing(_scan(plan.ns, query)) as pages:
        async for page in pages:
            found = matching(cast("RecordPage", page))
            if found:
                yield found


async def _sorted(plan: _Plan, limit: int | None) -> RecordPage:
    """All matching registrations past the plan's position, sorted here because the backend can't."""
    key = sort_key(plan.keys)
    start = None if plan.after is None else seek_key(plan.keys, plan.after.values, plan.after.identity)
    residual = plan.split.residual
    matching = compile_filter(residual).rows if residual is not None else list[_Row]
    found: list[tuple[Any, tuple[Any, ...]]] = []
    async with aclosing(_scan(plan.ns, Query(plan.split.pushed, page_size=RECORDS_PER_PAGE))) as pages:
        async for page in pages:
            records = cast("RecordPage", page)
            whole = list(records.rows())
            for row in matching(_rows(records)):
                place = key(row)
                if start is None or place > start:
                    found.append((place, whole[row.place]))
            if limit is not None and len(found) > 2 * limit + RECORDS_PER_PAGE:
                found = sorted(found, key=itemgetter(0))[:limit]
    found.sort(key=itemgetter(0))
    return RecordPage.of_rows([row for _, row in found[:limit]])


def _residual(plan: _Plan) -> Callable[[RecordPage], RecordPage]:
    """Leaves of a page what the part of the filter matches that the backend wasn't given."""
    if plan.split.residual is None:
        return lambda page: page
    compiled = compile_filter(plan.split.residual)
    if compiled.metadata_only:
        return lambda page: page.chosen(compiled.documents([json.decode(data) for data in page.metadata_json]))
    return lambda page: page.chosen([row.place for row in compiled.rows(_rows(page))])


async def _scan(ns: Namespace, query: Query) -> AsyncGenerator[ScanPage]:
    """The backend's scan under its guard, each page for itself; closed when left early."""
    guard = ns.guard(SlotKind.REGISTRY)
    with guard("scan"):
        scan = aiter(ns.registry.scan(query))
    try:
        while True:
            with guard("scan"):
                page = await anext(scan, None)
            if page is None:
                return
            _check_page(ns, query, page)
            yield page
    finally:
        close = getattr(scan, "aclose", None)
        if close is not None:
            with guard("scan", timed=False):
                await close()


def _check_page(ns: Namespace, query: Query, page: ScanPage) -> None:
    """Raises InternalError on a page that isn't what the contract says: its rows could be taken for one another's."""
    kind = TargetPage if query.projection is Projection.TARGETS else RecordPage
    if not isinstance(page, kind):
        found = f"{type(page).__name__}, not a {kind.__name__}"
    elif len(set(map(len, page.columns))) != 1:
        found = f"{kind.__name__} with columns of {', '.join(map(str, map(len, page.columns)))} entries"
    else:
        return
    raise InternalError(f"the registry plugin {ns.config.registry.type!r} answered a scan with a {found}")


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
