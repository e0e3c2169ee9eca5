"""Enumerate, count, explain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from prism.memory.registry import MemoryRegistry
from prism.model.errors import InternalError, InvalidArgument, InvalidFilter, LimitExceeded, NotFound
from prism.model.operations import Default, EnumerateQuery, MulticastCommand, NewIdentity
from prism.slots.registry import Query, RecordPage, ScanPage, TargetPage
from support.proxies import NS, Proxy, opened_proxies


async def fill(proxy: Proxy, number: int) -> None:
    items = [NewIdentity(f"id-{i:04}", {"n": i, "parity": "even" if i % 2 == 0 else "odd"}) for i in range(number)]
    await proxy.coordinator.register(NS, items, ttl=Default.TTL, replace=False)


async def names(proxy: Proxy, **query: Any) -> list[str]:
    pages = proxy.coordinator.enumerate(NS, EnumerateQuery(**query))
    return [name async for page in pages for name in page.records.identities]


async def test_no_filter_and_the_empty_filter_mean_everyone(proxy: Proxy) -> None:
    await fill(proxy, 5)
    assert await names(proxy) == await names(proxy, filter={}) == [f"id-{i:04}" for i in range(5)]


async def test_a_filter_selects_and_counts_the_same(proxy: Proxy) -> None:
    await fill(proxy, 20)
    query = {"parity": "odd", "n.lt": 10}
    assert await names(proxy, filter=query) == [f"id-{i:04}" for i in (1, 3, 5, 7, 9)]
    assert await proxy.coordinator.count(NS, query) == 5


@pytest.mark.parametrize("sort", [[], ["n desc"], ["parity", "n desc"], ["missing"], ["$identity desc"]])
async def test_cursors_page_through_everything_once(proxy: Proxy, sort: list[str]) -> None:
    await fill(proxy, 23)
    expected = await names(proxy, sort=sort)
    assert len(expected) == 23
    collected: list[str] = []
    cursor = None
    while True:
        pages = [
            page
            async for page in proxy.coordinator.enumerate(
                NS, EnumerateQuery(sort=sort, limit=5, page_size=5, cursor=cursor)
            )
        ]
        assert len(pages) == 1
        collected += pages[0].records.identities
        cursor = pages[0].next_cursor
        if cursor is None:
            break
    assert collected == expected


async def test_a_cursor_survives_writes_in_between(proxy: Proxy) -> None:
    await fill(proxy, 10)
    first = [page async for page in proxy.coordinator.enumerate(NS, EnumerateQuery(limit=4, page_size=4))][0]
    await proxy.unregister("id-0003")
    await proxy.unregister("id-0006")
    await proxy.register("id-0004b", {})
    rest = await names(proxy, cursor=first.next_cursor)
    assert rest == ["id-0004", "id-0004b", "id-0005", "id-0007", "id-0008", "id-0009"]


async def test_a_cursor_of_another_query_is_refused(proxy: Proxy) -> None:
    await fill(proxy, 10)
    first = [page async for page in proxy.coordinator.enumerate(NS, EnumerateQuery(limit=4, page_size=4))][0]
    with pytest.raises(InvalidArgument, match="cursor"):
        await names(proxy, cursor=first.next_cursor, filter={"n.lt": 5})


async def test_offset_and_limit_page_too(proxy: Proxy) -> None:
    await fill(proxy, 10)
    assert await names(proxy, offset=3, limit=4) == [f"id-{i:04}" for i in (3, 4, 5, 6)]
    assert await names(proxy, offset=9, limit=4) == ["id-0009"]
    assert await names(proxy, offset=10, limit=4) == []
    assert await names(proxy, offset=2, page_size=3) == [f"id-{i:04}" for i in range(2, 10)]


async def test_the_last_page_has_no_cursor(proxy: Proxy) -> None:
    await fill(proxy, 10)
    pages = [page async for page in proxy.coordinator.enumerate(NS, EnumerateQuery(page_size=5))]
    assert [(len(page.records), page.next_cursor is None) for page in pages] == [(5, False), (5, True)]
    (page,) = [page async for page in proxy.coordinator.enumerate(NS, EnumerateQuery(limit=10, page_size=10))]
    assert page.next_cursor is None


@pytest.mark.parametrize("size", [0, -1, 5_001])
async def test_page_sizes_are_bounded(proxy: Proxy, size: int) -> None:
    with pytest.raises(InvalidArgument, match=r"1 to 5,000"):
        await names(proxy, page_size=size)


async def test_a_filter_that_does_not_parse_reaches_nobody(proxy: Proxy) -> None:
    await fill(proxy, 3)
    with pytest.raises(InvalidFilter):
        await names(proxy, filter={"n.lt": None})
    with pytest.raises(InvalidFilter):
        await proxy.send({"$nor": []})
    deep: Any = {"n": 1}
    for _ in range(5):
        deep = {"$not": deep}
    with pytest.raises(LimitExceeded):
        await names(proxy, filter=deep)
    with pytest.raises(LimitExceeded):
        await names(proxy, filter={"$or": [{"n": i} for i in range(21)]})


async def test_a_closed_schema_refuses_fields_it_does_not_have() -> None:
    schema = {"fields": {"status": {"type": "string"}, "battery": {"type": "float"}}, "additional_fields": False}
    async with opened_proxies(1, identity_schema=schema) as (proxy,):
        await proxy.register("alice", {"status": "online", "battery": 0.5})
        with pytest.raises(InvalidFilter, match=r'did you mean "status"'):
            await names(proxy, filter={"statu": "online"})
        with pytest.raises(InvalidFilter) as caught:
            await names(proxy, filter={"$and": [{"status": "online"}, {"battery.lt": "low"}]})
        assert str(caught.value) == '$.$and[1].battery.lt: expected a number, got the string "low"'


async def test_explain_says_who_evaluates_what(proxy: Proxy) -> None:
    explanation = await proxy.coordinator.explain(NS, EnumerateQuery({"n.lt": 3, "parity": "odd"}))
    assert explanation.registry == "memory"
    assert [part.support for part in explanation.parts] == ["exact", "exact"]
    assert explanation.exact
    assert explanation.residual is None


async def test_an_unlisted_namespace_is_not_found_with_a_near_match(proxy: Proxy) -> None:
    with pytest.raises(NotFound, match=r'did you mean "default"'):
        await proxy.coordinator.count("defualt", None)


@pytest.mark.parametrize("page", [TargetPage(["a"], ["r"], [""]), replace(RecordPage.of([]), identities=["a"])])
async def test_a_page_that_breaks_the_contract_is_an_error_and_no_answer(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, page: ScanPage
) -> None:
    async def scan(self: MemoryRegistry, query: Query) -> AsyncIterator[ScanPage]:
        yield page

    monkeypatch.setattr(MemoryRegistry, "scan", scan)
    with pytest.raises(InternalError, match="the registry plugin 'memory' answered a scan with a"):
        await names(proxy)


async def test_targets_of_columns_that_differ_in_length_are_sent_nothing(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scan(self: MemoryRegistry, query: Query) -> AsyncIterator[ScanPage]:
        yield TargetPage(["a", "b"], ["r1"], ["", ""])

    monkeypatch.setattr(MemoryRegistry, "scan", scan)
    with pytest.raises(InternalError, match="columns of 2, 1, 2 entries"):
        await proxy.coordinator.multicast(NS, MulticastCommand(None, b"x"))
