"""Configured indexes are real ones: made, used, kept up to date, dropped."""

from __future__ import annotations

import asyncio
import re
from hashlib import sha512
from typing import Any

import asyncpg
import orjson
import pytest
from prism.filters.ast import MetadataField, Node, Op, Order, SortKey, Support
from prism.filters.bind import bind
from prism.filters.parse import parse
from prism.filters.paths import format_key
from prism.filters.plan import conjuncts
from prism.filters.record import Record
from prism.filters.reference import matches
from prism.model.limits import Limits
from prism.schema import parse_schema
from prism.slots.context import IndexedField
from prism.slots.registry import Absent, Anything, Fence, Projection, Query, Stored, Write
from prism_postgres.config import PostgresConfig
from prism_postgres.indexing import build, look
from prism_postgres.pool import borrow, give_back
from prism_postgres.registry import PostgresRegistry

from .conftest import Open

INDEXES = [
    {"field": "room"},
    {"field": "level"},
    {"field": "deep.er"},
    {"field": "tags", "type": "gin"},
    {"field": "place", "type": "gist"},
    {"field": "firmware"},
    {"field": "on"},
]
KINDS = {("firmware",): "version", ("on",): "bool", ("level",): "float"}
MANY = 5_000
FEW = 600


def document(i: int) -> dict[str, Any]:
    return {
        "room": f"room-{i % 300}",
        "level": i / MANY,
        "deep": {"er": f"{i:04d}"},
        "tags": [f"tag-{i % 300}", "all"],
        "place": {"lat": i % 90, "lon": i % 180 + i / MANY},
        "firmware": f"1.{i % 100}.{i % 3}",
        "on": i % 100 == 0,
        "filler": "x" * 200,
    }


ODD: dict[str, Any] = {
    "nothing": {},
    "nulls": {"room": None, "level": None, "tags": None, "place": None, "firmware": None, "on": None},
    "other types": {"room": 5, "level": "high", "tags": "tag-7 all", "place": [1, 2], "firmware": "new", "on": 1},
    "long": {"room": "room-7" + "\U0001f600" * 4_000, "tags": ["tag-7" * 2_000], "deep": {"er": "0007" * 900}},
    "exactly as long": {"room": "r" * 256, "deep": {"er": "r" * 255}},
    "a little longer": {"room": "r" * 257, "deep": {"er": "r" * 256}},
    "many numbers": {"firmware": "1" + ".1" * 20},
    "more of them": {"firmware": "1" + ".1" * 19 + ".2"},
    "just indexed whole": {"firmware": "1" + ".1" * 12},
    "not quite": {"firmware": "1" + ".1" * 13},
    "long prerelease": {"firmware": "2.0-" + "".join(sha512(b"%d" % i).hexdigest() for i in range(60))},
    "numbers at random": {"firmware": ".".join(f"{i**9 + 7}"[:18] for i in range(2, 400))},
    "nested": {"tags": [["tag-7"], {"tag-7": 1}], "room": {"er": 1}, "deep": "room-7"},
    "outside": {"place": {"lat": 91, "lon": 0}, "level": -1},
    "edge": {"place": {"lat": 90, "lon": 180}, "level": 2**53 + 1},
    "zero byte": {"room": "room-7\0", "tags": ["tag-7\0", "\0"]},
}


async def filled(config: dict[str, Any], opened: Open, count: int) -> PostgresRegistry:
    made: PostgresRegistry = await opened(PostgresRegistry, {**config, "indexes": INDEXES}, kinds=KINDS)
    documents = {f"user-{i:04d}": document(i) for i in range(count)} | ODD
    outcomes = await made.set([Write(name, orjson.dumps(d), "r1", None, Absent()) for name, d in documents.items()])
    assert all(isinstance(outcome, Stored) for outcome in outcomes)
    return made


@pytest.fixture
async def many(config: dict[str, Any], opened: Open, bare: asyncpg.Connection) -> PostgresRegistry:
    made = await filled(config, opened, MANY)
    await bare.execute("ANALYZE registrations")
    await bare.execute("ANALYZE leases")
    return made


@pytest.fixture
async def registry(config: dict[str, Any], opened: Open) -> PostgresRegistry:
    return await filled(config, opened, FEW)


async def found(registry: PostgresRegistry, **query: Any) -> list[str]:
    return [name async for page in registry.scan(Query(**query)) for name in page.identities]


def used(plan: str) -> set[str]:
    """The columns of the indexes in a plan."""
    return set(re.findall(r"ix_\d+_([a-z]+)_", plan))


INDEX_NAMES = "SELECT indexname AS name FROM pg_indexes WHERE schemaname = $1 AND starts_with(indexname, $2)"
SCHEMA = parse_schema({"fields": {"firmware": "version"}})
VERSIONS = bind(parse({"firmware.gte": "1.98"}, Limits()), SCHEMA)
LONG_VERSIONS = [
    bind(parse({f"firmware.{sign}": version}, Limits()), SCHEMA)
    for sign in ("lt", "lte", "gt", "gte")
    for version in ("1" + ".1" * 12, "1" + ".1" * 13, "1" + ".1" * 20, "1" + ".1" * 19 + ".2", "2.0-a", "2.0-z")
]


ANSWERED_BY: list[tuple[Any, str]] = [
    ({"room": "room-7"}, "text"),
    ({"room.in": ["room-7", "room-8"]}, "text"),
    ({"room.startswith": "room-29"}, "text"),
    ({"deep.er.gte": "4950"}, "text"),
    ({"level.lt": 0.01}, "number"),
    ({"level.in": [0.5, 0.25, 1]}, "number"),
    ({"tags.contains": "tag-7"}, "elements"),
    ({"tags": ["tag-7", "all"]}, "elements"),
    ({"place.within": {"south": 10, "west": 20, "north": 12, "east": 22}}, "place"),
    ({"place.near": {"lat": 10, "lon": 20, "radius_m": 50_000}}, "place"),
    ({"on": True}, "boolean"),
    (VERSIONS, "version"),
    ({"room": "room-7", "level.lt": 0.5}, "text"),
    ({"room.regex": "^room-7$"}, "text"),
]


async def test_filter_is_answered_by_the_index_of_its_field(many: PostgresRegistry) -> None:
    for asked, column in ANSWERED_BY:
        node = parse(asked, Limits()) if isinstance(asked, dict) else asked
        plan = await many.explain(Query(conjuncts(node)))
        assert column in used(plan), f"{asked}: {plan}"


ASKED: list[Any] = [
    {"room": "room-7"},
    {"room": "r" * 256},
    {"room": "r" * 257},
    {"room.gt": "r" * 256},
    {"room.lte": "r" * 255},
    {"room.startswith": "r" * 256},
    {"room.startswith": "r" * 255},
    {"room.startswith": "room-7"},
    {"room.lt": "room-100"},
    {"room.in": ["room-7", 5, "r" * 257]},
    {"room.in": [5]},
    {"room": 5},
    {"room.ne": "room-7"},
    {"$not": {"room.startswith": "room"}},
    {"room.contains": "oom-29"},
    {"room.endswith": "-7"},
    {"deep.er.startswith": "0007"},
    {"level": 2**53 + 1},
    {"level.gt": 0.9},
    {"level.lte": 0},
    {"level": "high"},
    {"tags.contains": "tag-7"},
    {"tags.contains": "tag-7\0"},
    {"tags": ["tag-7\0", "\0"]},
    {"tags.contains": ["tag-7"]},
    {"tags.contains": {"tag-7": 1}},
    {"tags": "tag-7 all"},
    {"tags": ["tag-7", "all"]},
    {"$not": {"tags.contains": "tag-7"}},
    {"place.within": {"south": 0, "west": 170, "north": 90, "east": -170}},
    {"place.within": {"south": 88, "west": -180, "north": 90, "east": 180}},
    {"place.near": {"lat": 90, "lon": 0, "radius_m": 300_000}},
    {"on": True},
    {"on": False},
    {"on": 1},
    {"on.exists": False},
    VERSIONS,
    *LONG_VERSIONS,
    {"$or": [{"room": "room-7"}, {"level.lt": 0.01}, {"tags.contains": "tag-9"}]},
]


async def test_indexed_answers_are_those_of_the_reference(many: PostgresRegistry) -> None:
    documents = {f"user-{i:04d}": document(i) for i in range(MANY)} | ODD
    records = [Record(name, content) for name, content in documents.items()]
    for asked in ASKED:
        node: Node = parse(asked, Limits()) if isinstance(asked, dict) else asked
        [support] = many.plan([node])
        assert support is not Support.UNSUPPORTED, asked
        expected = sorted(record.identity for record in records if matches(node, record))
        names = await found(many, conjuncts=(node,), projection=Projection.TARGETS)
        if support is Support.EXACT:
            assert names == expected, asked
            assert await many.count([node]) == len(expected), asked
        else:
            assert set(expected) <= set(names), asked


async def test_indexes_follow_changes_and_removals(registry: PostgresRegistry) -> None:
    [node] = [parse({"room": "room-7"}, Limits())]
    before = await found(registry, conjuncts=(node,))
    await registry.set([Write(before[0], b'{"room":"elsewhere"}', "r2", None, Absent())])
    await registry.delete([Fence(before[1])])
    assert before[0] in await found(registry, conjuncts=(node,))
    await registry.set([Write(before[0], b'{"room":"elsewhere"}', "r2", None, Anything())])
    assert await found(registry, conjuncts=(node,)) == before[2:]


async def test_sorted_pages_under_a_filter_are_in_order(registry: PostgresRegistry) -> None:
    node = parse({"level.lt": 0.2}, Limits())
    sort = (SortKey(MetadataField(("firmware",)), descending=True, order=Order.VERSION),)
    everyone = await found(registry, conjuncts=(node,), sort=sort)
    assert await found(registry, conjuncts=(node,), sort=sort, page_size=17) == everyone
    assert await found(registry, conjuncts=(node,), sort=sort, limit=40, page_size=7) == everyone[:40]


async def test_index_that_is_no_longer_configured_is_dropped_by_pruning_alone(
    config: dict[str, Any], opened: Open, registry: PostgresRegistry, bare: asyncpg.Connection
) -> None:
    fewer = PostgresRegistry(PostgresConfig(**{**config, "indexes": INDEXES[:1]}), registry._context)

    async def names() -> set[str]:
        rows = await bare.fetch(INDEX_NAMES, config["schema"], "ix_")
        rows += await bare.fetch(
            "SELECT statistics_name AS name FROM pg_stats_ext_exprs WHERE schemaname = $1", config["schema"]
        )
        return {row["name"] for row in rows}

    before = await names()
    assert await fewer.pending(prune=False) == []
    assert await fewer.migrate(prune=False) == []
    assert await names() == before
    listed = await fewer.pending(prune=True)
    assert len(listed) == len(await fewer.migrate(prune=True)) >= 6
    assert {name.split("_")[2] for name in await names()} == {"text", "number"}
    assert await fewer.pending(prune=True) == []


async def test_index_of_one_namespace_is_left_alone_by_another(
    config: dict[str, Any], opened: Open, registry: PostgresRegistry, bare: asyncpg.Connection
) -> None:
    other = await opened(PostgresRegistry, config, namespace="other")
    assert await other.pending(prune=True) == []
    assert await registry.pending(prune=True) == []


async def test_two_who_build_at_once_end_up_with_one_set(config: dict[str, Any], opened: Open) -> None:
    plain = await opened(PostgresRegistry, config)
    await plain.set([Write(f"u{i}", orjson.dumps(document(i)), "r", None, Absent()) for i in range(500)])
    fields = PostgresRegistry(PostgresConfig(**{**config, "indexes": INDEXES}), plain._context)._indexes
    database = await borrow(PostgresConfig(**config))
    try:
        await asyncio.gather(*(build(database, config["schema"], plain._number, fields) for _ in range(3)))
        state = await look(database, config["schema"], plain._number, fields)
        assert (state.missing, state.unwanted, state.broken, state.building) == ((), (), (), ())
    finally:
        await give_back(database)


async def test_index_whose_making_was_cut_short_is_made_anew(
    config: dict[str, Any], opened: Open, registry: PostgresRegistry, bare: asyncpg.Connection
) -> None:
    [name] = await bare.fetch(INDEX_NAMES, config["schema"], "ix_1_place")
    await bare.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::text::regclass", name["name"])
    assert await registry.pending(prune=False) == ["index: place (place)"]
    assert await registry.migrate(prune=False) == ["index: place (place)"]
    assert await bare.fetchval("SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 'registrations'::regclass")


async def test_field_with_an_awkward_name_is_indexed(config: dict[str, Any], opened: Open) -> None:
    names = ["it's", '"q"', "a%sb%1$L", "$1", "x\\y", "zero\0", "\U0001f600"]
    declared = tuple(IndexedField((name, "in"), "string") for name in names)
    registry = await opened(PostgresRegistry, config, indexes=declared)
    for name in names:
        await registry.set([Write("alice", orjson.dumps({name: {"in": "v"}}), "r", None, Absent())])
        node = parse({"$and": [{format_key(MetadataField((name, "in")), Op.EQ): "v"}]}, Limits())
        assert await found(registry, conjuncts=(node,)) == ["alice"]
        await registry.delete([Fence("alice")])


async def test_whole_document_is_indexed_for_equality_of_any_field(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    registry = await opened(PostgresRegistry, {**config, "indexes": [{"field": "*", "type": "gin"}]})
    await registry.set([Write(f"u{i:04d}", orjson.dumps(document(i)), "r", None, Absent()) for i in range(MANY)])
    await bare.execute("VACUUM ANALYZE registrations")
    node = parse({"deep.er": "0007"}, Limits())
    assert used(await registry.explain(Query((node,)))) == {"document"}
    assert await found(registry, conjuncts=(node,)) == ["u0007"]
