"""The registry where it is the memory backend's own: copies, wrong items, and what the indexes save."""

from __future__ import annotations

import pytest
from prism.filters.ast import Compare, MetadataField, Node, Op, SortKey
from prism.filters.parse import parse
from prism.memory.indexes import Indexes
from prism.memory.ordered import OrderedKeys
from prism.memory.registry import MemoryRegistry
from prism.memory.table import Table
from prism.model import json
from prism.model.errors import InvalidArgument, InvalidMetadata
from prism.model.limits import Limits
from prism.model.time import SECOND
from prism.slots.context import Failure, IndexedField
from prism.slots.registry import Anything, Keep, Query, Renewal, Renewed, Stored, Write

from .conftest import Clock, Open

FIELDS = (IndexedField(("a",), "string"), IndexedField(("b", "c"), "string"))


def write(identity: str, metadata: bytes = b"{}", ttl: int | Keep | None = None) -> Write:
    return Write(identity, metadata, "r", ttl, Anything())


def table_of(clock: Clock, *documents: bytes) -> Table:
    table = Table(clock)
    table.ensure_indexes(FIELDS)
    for i, document in enumerate(documents):
        table.write(write(f"user-{i:05d}", document), table.now(), None)
    return table


def looked_at(table: Table, **clauses: object) -> int | None:
    """How many records the indexes leave to look at; None for all."""
    found = table.indexes.candidates([parse({key: value}, Limits()) for key, value in clauses.items()])
    return None if found is None else len(found.rows())


async def test_changing_what_was_read_changes_nothing_in_the_registry(slot: Open) -> None:
    registry = await slot(MemoryRegistry, indexes=FIELDS)
    batch = [write("alice", b'{"a":"x"}')]
    [outcome] = await registry.set(batch)
    outcome.registration.metadata["a"] = "y"
    batch.clear()
    query = Query((parse({"a": "x"}, Limits()),))
    [[found]] = [page.registrations() async for page in registry.scan(query)]
    assert found.metadata == {"a": "x"}


async def test_reads_answer_the_stored_object_itself(slot: Open) -> None:
    registry = await slot(MemoryRegistry)
    [outcome] = await registry.set([write("alice")])
    [found] = await registry.get(["alice"])
    assert found is outcome.registration


@pytest.mark.parametrize("metadata", [b"{", b"", b"[]", b'"x"', b"null", b'{"a":NaN}'])
async def test_item_whose_metadata_is_no_object_fails_alone(slot: Open, metadata: bytes) -> None:
    registry = await slot(MemoryRegistry)
    first, second, third = await registry.set([write("alice"), write("bob", metadata), write("carol")])
    assert isinstance(first, Stored)
    assert isinstance(second, Failure)
    assert isinstance(second.error, InvalidMetadata)
    assert "bob" in str(second.error)
    assert isinstance(third, Stored)
    assert await registry.count(()) == 2


@pytest.mark.parametrize("ttl", [0, -1, Keep.EXPIRY])
async def test_item_with_an_impossible_ttl_fails_alone(slot: Open, ttl: int | Keep) -> None:
    registry = await slot(MemoryRegistry)
    first, second = await registry.set([write("alice", ttl=ttl), write("bob")])
    assert isinstance(first, Failure)
    assert isinstance(first.error, InvalidArgument)
    assert isinstance(second, Stored)


async def test_renewal_with_an_impossible_ttl_fails_alone(slot: Open) -> None:
    registry = await slot(MemoryRegistry)
    await registry.set([write("alice", ttl=SECOND), write("bob", ttl=SECOND)])
    first, second = await registry.expire([Renewal("alice", None, 0), Renewal("bob", None, SECOND)])
    assert isinstance(first, Failure)
    assert isinstance(second, Renewed)


def test_equality_on_an_indexed_field_looks_only_at_the_hits(clock: Clock) -> None:
    table = table_of(clock, *[b'{"a":"room-%d"}' % (i % 50) for i in range(500)])
    assert looked_at(table, a="room-7") == 10
    assert looked_at(table, **{"a.in": ["room-7", "room-8", "nowhere"]}) == 20
    assert looked_at(table, **{"a.startswith": "room-4"}) == 110
    assert looked_at(table, a="nowhere") == 0


def test_range_on_an_indexed_field_looks_only_at_the_hits(clock: Clock) -> None:
    table = table_of(clock, *[b'{"a":%d.5}' % i for i in range(500)])
    assert looked_at(table, **{"a.lt": 10}) == 10
    assert looked_at(table, **{"a.gte": 490}) == 10


def test_index_of_a_nested_field_is_used(clock: Clock) -> None:
    table = table_of(clock, b'{"b":{"c":1}}', b'{"b":{"c":2}}', b'{"b":1}', b"{}")
    assert looked_at(table, **{"b.c": 2}) == 1
    assert looked_at(table, **{"b.c.exists": True}) == 2


def test_conjunct_with_the_fewest_candidates_is_taken(clock: Clock) -> None:
    table = table_of(clock, *[b'{"a":"x","b":{"c":%d}}' % i for i in range(100)])
    assert looked_at(table, a="x", **{"b.c": 3}) == 1


def test_field_without_an_index_is_looked_up_in_all_records(clock: Clock) -> None:
    table = table_of(clock, b'{"d":1}')
    assert looked_at(table, d=1) is None
    assert looked_at(table, **{"a.ne": 1}) is None


def test_any_of_several_indexed_clauses_is_their_union(clock: Clock) -> None:
    table = table_of(clock, *[b'{"a":%d,"b":{"c":%d}}' % (i, i % 10) for i in range(100)])

    def found(node: Node) -> int | None:
        candidates = table.indexes.candidates([node])
        return None if candidates is None else len(candidates.rows())

    assert found(parse({"$or": [{"a": 5}, {"b.c": 5}]}, Limits())) == 10
    assert found(parse({"$or": [{"a": 5}, {"d": 5}]}, Limits())) is None


def test_index_holds_nothing_of_what_is_gone(clock: Clock) -> None:
    table = table_of(clock, b'{"a":"x"}', b'{"a":["x","y"]}')
    table.write(write("user-00000", b'{"a":"z"}'), table.now(), None)
    table.write(write("user-00001", b'{"a":null}'), table.now(), None)
    assert looked_at(table, a="x") == 0
    assert looked_at(table, **{"a.exists": True}) == 1
    assert looked_at(table, a="z") == 1


def test_index_keeps_no_value_that_nobody_has_any_more(clock: Clock) -> None:
    table = table_of(clock, b'{"a":0}', b'{"a":"x"}')
    for i in range(1, 1_000):
        looked_at(table, **{"a.gt": 0})
        looked_at(table, **{"a.startswith": "x"})
        table.write(write("user-00000", b'{"a":%d}' % i), table.now(), None)
        table.write(write("user-00001", b'{"a":"x%d"}' % i), table.now(), None)
    index = table.indexes._fields["a",]
    assert [len(keys) for keys in (index._ordered_numbers(), index._ordered_texts(), index._postings)] == [1, 1, 2]


async def test_sorted_scan_without_hits_yields_no_page(slot: Open) -> None:
    registry = await slot(MemoryRegistry, indexes=FIELDS)
    await registry.set([write("alice", b'{"a":"x"}')])
    query = Query((parse({"a": "y"}, Limits()),), sort=(SortKey(MetadataField(("a",))),))
    assert [page async for page in registry.scan(query)] == []


@pytest.mark.parametrize("many", [5, 6, 7])
async def test_record_that_stops_matching_between_pages_is_not_in_the_next(slot: Open, many: int) -> None:
    registry = await slot(MemoryRegistry, indexes=FIELDS)
    await registry.set([write(f"user-{i}", b'{"a":"x"}') for i in range(many)])
    query = Query((Compare(MetadataField(("a",)), Op.EQ, "x"),), page_size=3)
    pages = registry.scan(query)
    assert (await anext(pages)).identities == ["user-0", "user-1", "user-2"]
    await registry.set([write("user-4", b'{"a":"y"}')])
    assert [name async for page in pages for name in page.identities] == ["user-3", "user-5", "user-6"][: many - 4]


@pytest.mark.parametrize("change", [{"a": "y"}, {"a": "x", "b": 1}])
async def test_what_an_index_found_is_looked_at_again_after_any_change(slot: Open, change: dict[str, object]) -> None:
    registry = await slot(MemoryRegistry, indexes=FIELDS)
    names = [f"user-{i:04d}" for i in range(3_000)]
    await registry.set([write(name, b'{"a":"x"}') for name in names])
    pages = registry.scan(Query((Compare(MetadataField(("a",)), Op.EQ, "x"),), page_size=500))
    met = list((await anext(pages)).identities)
    await registry.set([write("user-2500", json.encode(change))])
    met += [name async for page in pages for name in page.identities]
    assert met == [name for name in names if name != "user-2500" or change["a"] == "x"]


def test_ordered_keys_are_in_order_after_any_changes() -> None:
    keys, model = OrderedKeys(), set()
    for i in range(10_000):
        key = f"{i * 7919 % 10_007:05d}"
        keys.add(key)
        model.add(key)
        if i % 3 == 0:
            gone = f"{(i // 2) * 7919 % 10_007:05d}"
            if gone in model:
                keys.discard(gone)
                model.remove(gone)
        if i % 1_000 == 0:
            assert list(keys.between()) == sorted(model)
    assert list(keys.between()) == sorted(model)
    assert len(keys) == len(model)
    assert keys.following("05000", 3) == sorted(key for key in model if key > "05000")[:3]


def test_key_put_back_before_anybody_looked_is_there_once() -> None:
    keys = OrderedKeys(["a", "b"])
    keys.discard("a")
    keys.add("a")
    keys.add("c")
    keys.discard("c")
    assert list(keys.between()) == ["a", "b"]


def test_filter_on_no_indexes_has_no_candidates() -> None:
    assert Indexes().candidates([parse({"a": 1}, Limits())]) is None
