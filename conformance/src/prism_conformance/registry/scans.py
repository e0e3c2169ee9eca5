"""Registry obligations: scanning, paging, projections, sorting, counting."""

from __future__ import annotations

import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from prism.filters.ast import MetadataField, Order, RecordField, SortKey, Support
from prism.filters.parse import parse
from prism.filters.record import Record
from prism.filters.sorting import sort_key, sort_values
from prism.model import json
from prism.model.identity import Registration, Target
from prism.model.limits import Limits
from prism.plugins.spec import SlotKind
from prism.slots.registry import After, Fence, Projection, Query, RecordPage, RegistryBackend, TargetPage

from prism_conformance.awkward import NAMES
from prism_conformance.checks import check
from prism_conformance.harness import Opener
from prism_conformance.registry.words import HOUR, names, objects, scanned, store, store_short, stored, write
from prism_conformance.slot import AnySlotContract

MANY = 100_000
SCAN_BYTES = 8 * 1024 * 1024
"""What a scan of MANY may take: less than a fifth of what they take together."""
USERS = [f"user-{i:03d}" for i in range(250)]
A, B = SortKey(MetadataField(("a",))), SortKey(MetadataField(("b",)))
A_DOWN = SortKey(MetadataField(("a",)), descending=True)

MIXED: dict[str, dict[str, Any]] = {
    "missing": {},
    "null": {"a": None},
    "false": {"a": False},
    "true": {"a": True},
    "minus": {"a": -1.5},
    "zero": {"a": 0},
    "one": {"a": 1},
    "one point": {"a": 1.0},
    "big": {"a": 2**53 + 1},
    "big float": {"a": 2.0**53},
    "empty text": {"a": ""},
    "text": {"a": "a"},
    "upper": {"a": "B"},
    "high": {"a": "\uffff"},
    "astral": {"a": "\U00010000"},
    "list": {"a": [1]},
    "object": {"a": {"b": 1}},
}
"""A value of every kind, in no order."""


def as_record(registration: Registration) -> Record:
    """A registration as filters and sort orders see it."""
    return Record(
        registration.identity,
        json.decode(registration.metadata_json),
        registration.registered_at,
        registration.updated_at,
        registration.expires_at,
    )


async def fill(registry: RegistryBackend, documents: dict[str, Any]) -> list[Registration]:
    """Writes many, in an order that is not the identities'."""
    batch = [write(name, json.encode(document)) for name, document in reversed(documents.items())]
    return [stored(outcome) for outcome in await registry.set(batch)]


async def page_through(registry: RegistryBackend, sort: Sequence[SortKey], size: int) -> list[str]:
    """Reads one page a scan, each going on where the last one ended."""
    values, found, after = sort_values(sort), [], None
    while True:
        page = await scanned(registry, sort=tuple(sort), after=after, limit=size)
        found += [item.identity for item in page]
        if len(page) < size:
            return found
        after = After(values(as_record(page[-1])), page[-1].identity)


class ScanContract(AnySlotContract):
    """Obligations of `plan`, `scan` and `count`, without filters."""

    kind = SlotKind.REGISTRY

    @check("REG-200", source="RFC-017 Enumerate Operation; design 5, scan")
    async def test_scan_finds_every_registration_by_identity_in_code_point_order(self, opener: Opener) -> None:
        """A scan finds every registration, in code-point order of the identities."""
        registry = await opener.registry()
        await fill(registry, {name: {} for name in NAMES.values()})
        assert await names(registry) == sorted(NAMES.values())

    @check("REG-201", source="RFC-017 Enumerate Operation; design 5, scan")
    async def test_scan_of_an_empty_registry_yields_no_page(self, opener: Opener) -> None:
        """A scan of an empty registry yields no page."""
        registry = await opener.registry()
        assert [page async for page in registry.scan(Query())] == []
        assert [page async for page in registry.scan(Query(sort=(A,)))] == []

    @check("REG-202", source="RFC-017 Enumerate Operation; design 5, scan")
    @pytest.mark.parametrize("size", [1, 7, 100, 250, 1_000])
    async def test_pages_are_never_empty_nor_larger_than_asked(self, opener: Opener, size: int) -> None:
        """Pages are never empty nor larger than asked."""
        registry = await opener.registry()
        await fill(registry, {name: {} for name in USERS})
        pages = [page async for page in registry.scan(Query(page_size=size))]
        assert all(0 < len(page) <= size for page in pages)
        assert [name for page in pages for name in page.identities] == USERS

    @check("REG-203", source="RFC-017 Enumerate Operation; design 5, scan")
    @pytest.mark.parametrize("limit", [1, 10, 250, 300])
    async def test_scan_stops_at_the_limit(self, opener: Opener, limit: int) -> None:
        """A scan stops at the limit."""
        registry = await opener.registry()
        await fill(registry, {name: {} for name in USERS})
        assert await names(registry, limit=limit, page_size=7) == USERS[:limit]

    @check("REG-204", source="RFC-017 Enumerate Operation; design 5, scan")
    async def test_scan_goes_on_after_a_record(self, opener: Opener) -> None:
        """A scan goes on after a record."""
        registry = await opener.registry()
        await fill(registry, {name: {} for name in USERS})
        assert await names(registry, after=After((), "user-099")) == USERS[100:]
        assert await names(registry, after=After((), "user-099x")) == USERS[100:]
        assert await names(registry, after=After((), "user-249")) == []

    @check("REG-205", source="RFC-017 Enumerate Operation; design 5, scan")
    async def test_paging_by_identity_meets_everyone_once(self, opener: Opener) -> None:
        """Paging by identity meets everyone once."""
        registry = await opener.registry()
        await fill(registry, {name: {} for name in [*NAMES.values(), *USERS]})
        assert await page_through(registry, (), 7) == sorted([*NAMES.values(), *USERS])

    @check("REG-206", source="design 5, projections")
    async def test_full_projection_is_what_get_answers(self, opener: Opener) -> None:
        """The full projection is what `get` answers."""
        registry = await opener.registry()
        await store(registry, "alice", b'{"v":1}', registration_id="r1", address="inbox-1", owner="ops", ttl=HOUR)
        assert await scanned(registry, projection=Projection.FULL) == await registry.get(["alice"])

    @check("REG-207", source="design 5, projections")
    async def test_target_projection_is_identity_registration_id_and_address(self, opener: Opener) -> None:
        """The target projection is identity, registration id and address."""
        registry = await opener.registry()
        await store(registry, "bob", b'{"v":1}', registration_id="r2")
        await store(registry, "alice", b'{"v":1}', registration_id="r1", address="inbox-1")
        found = await scanned(registry, projection=Projection.TARGETS)
        assert found == [Target("alice", "r1", "inbox-1"), Target("bob", "r2", "")]

    @check("REG-208", source="design 5, projections")
    async def test_target_follows_a_replacement(self, opener: Opener) -> None:
        """A target follows a replacement."""
        registry = await opener.registry()
        await store(registry, "alice", registration_id="r1", address="inbox-1")
        await scanned(registry, projection=Projection.TARGETS)
        await store(registry, "alice", registration_id="r2", address="inbox-2")
        assert await scanned(registry, projection=Projection.TARGETS) == [Target("alice", "r2", "inbox-2")]

    @check("REG-209", source="design 5, projections; slots.registry, TargetPage and RecordPage")
    @pytest.mark.parametrize("sort", [(), (A,)], ids=["by identity", "sorted"])
    async def test_pages_are_columns_of_one_length_with_a_record_in_each_row(
        self, opener: Opener, sort: tuple[SortKey, ...]
    ) -> None:
        """Pages are columns of one length, with one record in each row."""
        registry = await opener.registry()
        batch = [
            write(name, b'{"a":%d}' % i, registration_id=f"r{i}", ttl=HOUR, address=f"inbox-{i}", owner=f"owner-{i}")
            for i, name in enumerate(USERS)
        ]
        records = {one.identity: one for one in map(stored, await registry.set(batch))}
        for projection, kind in ((Projection.TARGETS, TargetPage), (Projection.FULL, RecordPage)):
            pages = [page async for page in registry.scan(Query(page_size=40, sort=sort, projection=projection))]
            for page in pages:
                assert type(page) is kind
                assert {len(column) for column in page.columns} == {len(page)}
            assert sum(map(len, pages)) == len(USERS)
            for row in (row for page in pages for row in objects(page)):
                whole = records[row.identity]
                assert row in (whole, Target(whole.identity, whole.registration_id, whole.address))

    @check("REG-210", source="RFC-017 Enumerate Operation; design 5, scan")
    @pytest.mark.parametrize("sort", [(), (A,)], ids=["by identity", "sorted"])
    async def test_records_that_stay_are_each_met_once_whatever_is_written_meanwhile(
        self, opener: Opener, sort: tuple[SortKey, ...]
    ) -> None:
        """Records that stay are each met once, whatever is written meanwhile."""
        registry = await opener.registry()
        await fill(registry, {name: {"a": i % 5} for i, name in enumerate(USERS)})
        met: list[str] = []
        turn = 0
        async for page in registry.scan(Query(page_size=10, sort=sort)):
            met += page.identities
            await registry.delete([Fence(f"user-{turn * 10 + 3:03d}")])
            await registry.set([write(f"user-{turn * 10:03d}x", b'{"a":2}'), write(f"aaa-{turn}", b'{"a":2}')])
            turn += 1
        stayed = [name for name in USERS if not name.endswith("3")]
        assert len(met) == len(set(met))
        assert set(stayed) <= set(met)

    @check("REG-211", source="RFC-017 Enumerate Operation; design 5, scan")
    async def test_paging_is_stable_under_writes_in_between(self, opener: Opener) -> None:
        """Paging is stable under writes in between."""
        registry = await opener.registry()
        await fill(registry, {name: {} for name in USERS})
        met: list[str] = []
        after = None
        while page := await names(registry, after=after, limit=9):
            met += page
            after = After((), page[-1])
            if page[-1] in USERS:
                await registry.set([write(f"{page[0]}!"), write(f"{page[-1]}!")])
            await registry.delete([Fence(page[-1])])
        assert len(met) == len(set(met))
        assert set(USERS) <= set(met)

    @check("REG-212", source="RFC-017 Enumerate Operation; design 5, scan")
    async def test_identity_that_expires_during_a_scan_is_in_no_later_page(
        self, opener: Opener, advance: Callable[[float], Awaitable[None]]
    ) -> None:
        """An identity that expires during a scan is in no later page."""
        registry = await opener.registry()
        for i, name in enumerate(USERS[:30]):
            await (store if i < 15 else store_short)(registry, name)
        pages = registry.scan(Query(page_size=5))
        met = [*(await anext(pages)).identities, *(await anext(pages)).identities]
        await advance(2.5)
        met += [name async for page in pages for name in page.identities]
        assert met == USERS[:15]

    @check("REG-213", source="RFC-017 Enumerate Operation; design 5, scan")
    async def test_scan_can_be_left_early(self, opener: Opener) -> None:
        """A scan can be left early."""
        registry = await opener.registry()
        await fill(registry, {name: {} for name in USERS})
        async for page in registry.scan(Query(page_size=10)):
            assert len(page) == 10
            break
        assert await registry.count(()) == len(USERS)

    @check("REG-214", source="RFC-017 Enumerate Operation; design 5, scan")
    async def test_count_is_the_length_of_the_scan(self, opener: Opener) -> None:
        """The count is the length of the scan."""
        registry = await opener.registry()
        assert await registry.count(()) == 0
        await fill(registry, {name: {} for name in USERS})
        await registry.delete([Fence(name) for name in USERS[::3]])
        assert await registry.count(()) == len(await names(registry)) == len(USERS) - len(USERS[::3])

    @check("REG-220", source="RFC-017 Enumerate Operation; design 6, sort")
    @pytest.mark.parametrize("sort", [(A,), (A_DOWN,), (B, A), (A_DOWN, B)], ids=["a", "a desc", "b, a", "a desc, b"])
    async def test_sort_orders_every_kind_of_value_with_missing_ones_last(
        self, opener: Opener, sort: tuple[SortKey, ...]
    ) -> None:
        """A sort orders every kind of value with missing ones last."""
        registry = await opener.registry()
        documents = {name: document | {"b": len(name) % 3} for name, document in MIXED.items()}
        records = [as_record(item) for item in await fill(registry, documents)]
        expected = [record.identity for record in sorted(records, key=sort_key(sort))]
        assert await names(registry, sort=sort) == expected
        assert set(expected[-2:]) == {"missing", "null"} or sort[0] is B

    @check("REG-221", source="RFC-017 Enumerate Operation; design 6, sort")
    @pytest.mark.parametrize("field", RecordField)
    async def test_sort_by_a_field_of_the_record(self, opener: Opener, field: RecordField) -> None:
        """A sort by identity, registration, change or expiry is in that order."""
        registry = await opener.registry()
        for i, name in enumerate(["bob", "alice", "dave", "carol"]):
            await store(registry, name, ttl=HOUR - i if i else None)
        sort = (SortKey(field, descending=True),)
        records = [as_record(item) for item in await scanned(registry)]
        assert await names(registry, sort=sort) == [item.identity for item in sorted(records, key=sort_key(sort))]

    @check("REG-222", source="RFC-017 Enumerate Operation; design 6, sort")
    async def test_sort_by_version_puts_ten_after_nine(self, opener: Opener) -> None:
        """A sort by version puts ten after nine."""
        registry = await opener.registry()
        versions = ["1.10", "1.9", "2.0-rc.1", "2.0", "none", "1.9.0"]
        await fill(registry, {f"d{i}": {"a": text} for i, text in enumerate(versions)})
        found = await names(registry, sort=(SortKey(MetadataField(("a",)), order=Order.VERSION),))
        assert found == ["d1", "d5", "d0", "d2", "d3", "d4"]

    @check("REG-223", source="RFC-017 Enumerate Operation; design 6, sort")
    async def test_sort_by_a_nested_field(self, opener: Opener) -> None:
        """A sort by a nested field finds it there."""
        registry = await opener.registry()
        await fill(registry, {"x": {"a": {"b": 2}}, "y": {"a": {"b": 1}}, "z": {"a": 3}})
        assert await names(registry, sort=(SortKey(MetadataField(("a", "b"))),)) == ["y", "x", "z"]

    @check("REG-224", source="RFC-017 Enumerate Operation; design 6, sort")
    async def test_ties_are_broken_by_identity_in_both_directions(self, opener: Opener) -> None:
        """Ties are broken by identity in both directions."""
        registry = await opener.registry()
        await fill(registry, {name: {"a": 1} for name in NAMES.values()})
        assert await names(registry, sort=(A,)) == sorted(NAMES.values())
        assert await names(registry, sort=(A_DOWN,)) == sorted(NAMES.values())

    @check("REG-225", source="RFC-017 Enumerate Operation; design 6, sort")
    @pytest.mark.parametrize("size", [1, 4, 17])
    @pytest.mark.parametrize("sort", [(A,), (A_DOWN,), (B, A_DOWN)], ids=["a", "a desc", "b, a desc"])
    async def test_paging_in_a_sort_order_meets_everyone_once_and_in_order(
        self, opener: Opener, sort: tuple[SortKey, ...], size: int
    ) -> None:
        """Paging in a sort order meets everyone once and in order."""
        registry = await opener.registry()
        await fill(registry, {name: document | {"b": len(name) % 3} for name, document in MIXED.items()})
        assert await page_through(registry, sort, size) == await names(registry, sort=sort)

    @check("REG-226", source="RFC-017 Enumerate Operation; design 6, sort")
    @pytest.mark.parametrize("limit", [1, 5, 100])
    async def test_limit_of_a_sorted_scan_takes_the_first(self, opener: Opener, limit: int) -> None:
        """The limit of a sorted scan takes the first."""
        registry = await opener.registry()
        await fill(registry, MIXED)
        everyone = await names(registry, sort=(A_DOWN,))
        assert await names(registry, sort=(A_DOWN,), limit=limit, page_size=2) == everyone[:limit]

    @check("REG-230", source="RFC-017 Filter Evaluation Strategy; design 5, plan")
    async def test_plan_answers_each_conjunct(self, opener: Opener) -> None:
        """`plan` answers each conjunct."""
        registry = await opener.registry(indexes=["a"])
        asked = [parse({"a": 1}, Limits()), parse({"b.regex": "x"}, Limits()), parse({"$identity": "x"}, Limits())]
        answers = registry.plan(asked)
        assert len(answers) == 3
        assert all(isinstance(answer, Support) for answer in answers)
        assert list(registry.plan([])) == []

    @check("REG-240", source="design 5, scan: memory is bounded by a few pages")
    async def test_scan_of_a_hundred_thousand_needs_little_memory(self, opener: Opener) -> None:
        """A scan of 100,000 registrations takes the memory of a few pages."""
        registry = await opener.registry()
        filler = b"x" * 200
        for i in range(0, MANY, 5_000):
            batch = [write(f"user-{n:06d}", b'{"n":%d,"x":"%s"}' % (n, filler)) for n in range(i, i + 5_000)]
            assert all(stored(outcome) for outcome in await registry.set(batch))
        for projection in Projection:
            met = 0
            tracemalloc.start()
            try:
                async for page in registry.scan(Query(projection=projection)):
                    met += len(page)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert met == MANY
            assert peak < SCAN_BYTES, f"the scan took {peak:,} bytes at once, more than {SCAN_BYTES:,}"
