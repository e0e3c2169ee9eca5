"""Indexes that come later, writers that know less, and what a namespace leaves behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prism.filters.parse import parse
from prism.model import json
from prism.model.errors import InvalidConfig
from prism.model.limits import Limits
from prism.model.time import SECOND
from prism.slots.context import SlotContext
from prism.slots.registry import (
    Absent,
    Anything,
    AtRevision,
    Fence,
    Projection,
    Query,
    RecordPage,
    Renewal,
    Stored,
    Write,
)
from prism_redis import indexing
from prism_redis.config import RedisConfig
from prism_redis.registry import RedisRegistry
from redis.asyncio import Redis

from .conftest import Open, indexed, keys_under

HOUR = 3600 * SECOND


def write(identity: str, document: dict[str, Any], ttl: int | None = HOUR, **more: Any) -> Write:
    return Write(identity, json.encode(document), "r1", ttl, more.pop("precondition", Anything()), **more)


async def found(registry: RedisRegistry, written: dict[str, Any], **more: Any) -> list[str]:
    query = Query((parse(written, Limits()),), **more)
    return [name async for page in registry.scan(query) for name in page.identities]


async def test_index_added_later_finds_what_was_there_before(config: dict[str, Any], opened: Open) -> None:
    old = await opened(RedisRegistry, config)
    await old.set([write(f"user-{i:03d}", {"room": f"r{i % 7}", "n": i}) for i in range(350)])
    new = await opened(RedisRegistry, config, indexes=indexed("room", "n"))
    expected = [f"user-{i:03d}" for i in range(350) if i % 7 == 3]
    assert await found(new, {"room": "r3"}) == expected
    assert await new.count((parse({"n.lt": 30}, Limits()),)) == 30


async def test_writer_that_does_not_know_of_an_index_files_under_it(config: dict[str, Any], opened: Open) -> None:
    old = await opened(RedisRegistry, config)
    await old.set([write("alice", {"room": "a"})])
    new = await opened(RedisRegistry, config, indexes=indexed("room"))
    await old.set([write("bob", {"room": "a"}), write("alice", {"room": "b"})])
    assert await found(new, {"room": "a"}) == ["bob"]
    assert await found(new, {"room": "b"}) == ["alice"]


async def test_writes_during_the_building_of_an_index_are_in_it(
    single: dict[str, Any], opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await opened(RedisRegistry, single)
    await old.set([write(f"user-{i:03d}", {"room": "a"}) for i in range(300)])
    pages = indexing.after_identity
    writes: list[asyncio.Task[Any]] = []

    def write_between_pages(identity: bytes) -> bytes:
        batch = [write(f"user-{n:03d}", {"room": "b"}) for n in (len(writes), 299 - len(writes))]
        writes.append(asyncio.ensure_future(old.set(batch)))
        return pages(identity)

    monkeypatch.setattr(indexing, "after_identity", write_between_pages)
    new = await opened(RedisRegistry, single, indexes=indexed("room"))
    await asyncio.gather(*writes)
    expected = {f"user-{n:03d}" for i in range(len(writes)) for n in (i, 299 - i)}
    assert len(writes) >= 2
    assert set(await found(new, {"room": "b"})) == expected
    assert len(await found(new, {"room": "a"})) == 300 - len(expected)


async def test_interrupted_building_is_taken_up_and_until_then_nothing_is_missed(
    single: dict[str, Any], opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await opened(RedisRegistry, single)
    await old.set([write(f"user-{i:03d}", {"room": "a"}) for i in range(300)])

    async def interrupted(*_: Any) -> None:
        raise ConnectionError("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(indexing, "mark_ready", interrupted)
        with pytest.raises(ConnectionError):
            await opened(RedisRegistry, single, indexes=indexed("room"))
    slow = RedisRegistry(old._config, old._context)  # knows of the field, not that it is complete
    slow._joined, slow._partitions = old._joined, old._partitions
    slow._indexed = frozenset({("room",)})
    slow._fields[0] = await _fields(slow)
    assert len(await found(slow, {"room": "a"})) == 300
    slow._joined = None
    new = await opened(RedisRegistry, single, indexes=indexed("room"))
    assert len(await found(new, {"room": "a"})) == 300


async def _fields(registry: RedisRegistry) -> Any:
    from prism_redis.fields import ensure

    return await ensure(registry._servers, registry._partitions[0], [("room",)])


async def test_index_follows_updates_replacements_deletions_and_expiry(config: dict[str, Any], opened: Open) -> None:
    registry = await opened(RedisRegistry, config, indexes=indexed("room"))
    [first] = await registry.set([write("alice", {"room": "a"}, address="inbox-1")])
    assert isinstance(first, Stored)
    at = AtRevision(first.registration.revision)
    await registry.set([Write("alice", b'{"room":"b"}', "r1", HOUR, at, "inbox-2")])
    assert await found(registry, {"room": "a"}) == []
    query = Query((parse({"room": "b"}, Limits()),), projection=Projection.TARGETS)
    [[target]] = [page.targets() async for page in registry.scan(query)]
    assert (target.registration_id, target.address) == ("r1", "inbox-2")
    await registry.set([Write("alice", b"{}", "r2", HOUR, Anything())])
    assert await found(registry, {"room.exists": True}) == []
    await registry.set([write("alice", {"room": "c"}, ttl=SECOND // 100), write("bob", {"room": "c"})])
    await asyncio.sleep(0.02)
    assert await found(registry, {"room": "c"}) == ["bob"]
    assert [item.identity for item in await registry.pop_expired(10)] == ["alice"]
    await registry.delete([Fence("bob")])
    assert await registry.count((parse({"room": "c"}, Limits()),)) == 0


async def test_emptied_namespace_keeps_no_record_and_no_index_entry(
    single: dict[str, Any], opened: Open, bare: Redis
) -> None:
    registry = await opened(RedisRegistry, single, indexes=indexed("room", "n"))
    await registry.set([write(f"user-{i}", {"room": f"r{i}", "n": i}) for i in range(50)])
    await registry.delete([Fence(f"user-{i}") for i in range(50)])
    left = {key.rpartition(b":")[2] for key in await keys_under(bare, single["key_prefix"])}
    assert left == {b"layout", b"state", b"fields"}


async def test_namespace_that_nobody_sweeps_goes_by_itself_a_day_after_its_last_expiry(
    single: dict[str, Any], opened: Open, bare: Redis
) -> None:
    registry = await opened(RedisRegistry, single, indexes=indexed("room"))
    await registry.set([write("alice", {"room": "a"})])
    await registry.expire([Renewal("alice", None, 2 * HOUR)])
    keys = await keys_under(bare, single["key_prefix"])
    ends = {key.rpartition(b"}:")[2]: await bare.pttl(key) for key in keys}
    assert ends.pop(b"layout") == -1
    assert len(ends) == 8
    assert all(25 * HOUR < left * 1000 <= 27 * HOUR for left in ends.values())
    assert len({await bare.pexpiretime(key) for key in keys}) == 2


async def test_namespace_with_a_registration_for_ever_never_goes_by_itself(
    single: dict[str, Any], opened: Open, bare: Redis
) -> None:
    registry = await opened(RedisRegistry, single, indexes=indexed("room"))
    await registry.set([write("alice", {"room": "a"})])
    await registry.set([write("bob", {"room": "a"}, ttl=None)])
    keys = await keys_under(bare, single["key_prefix"])
    assert {await bare.pttl(key) for key in keys} == {-1}


async def test_namespace_that_went_by_itself_can_be_used_again(
    single: dict[str, Any], opened: Open, bare: Redis
) -> None:
    registry = await opened(RedisRegistry, single, indexes=indexed("room"))
    await registry.set([write("alice", {"room": "a"})])
    gone = [key for key in await keys_under(bare, single["key_prefix"]) if not key.endswith(b":layout")]
    await bare.delete(*gone)
    await registry.set([write("bob", {"room": "a"}, precondition=Absent())])
    assert await found(registry, {"room": "a"}) == ["bob"]


async def test_reader_of_a_namespace_that_others_made_anew_asks_the_right_index(
    single: dict[str, Any], opened: Open, bare: Redis
) -> None:
    reader = await opened(RedisRegistry, single, indexes=indexed("a", "b"))
    gone = [key for key in await keys_under(bare, single["key_prefix"]) if not key.endswith(b":layout")]
    await bare.delete(*gone)
    writer = await opened(RedisRegistry, single, indexes=indexed("b"))
    await writer.set([write("alice", {"a": 1, "b": 2}), write("bob", {"a": 2, "b": 1})])
    assert await found(reader, {"a": 1}) == ["alice"]
    assert await reader.count((parse({"a": 2}, Limits()),)) == 1
    assert await found(reader, {"a": 1, "b": 2}) == ["alice"]


async def test_alternatives_of_which_one_can_never_hold_are_still_exact(single: dict[str, Any], opened: Open) -> None:
    registry = await opened(RedisRegistry, single, indexes=indexed("a", "b"))
    await registry.set([write("alice", {"a": 1, "b": 1}), write("bob", {"a": 1, "b": 2})])
    assert await found(registry, {"$or": [{"$and": [{"a": 1}, {"b": 2}]}, {"a.in": []}]}) == ["bob"]


async def test_another_number_of_partitions_than_stored_is_refused(single: dict[str, Any], opened: Open) -> None:
    await opened(RedisRegistry, {**single, "partitions": 3})
    await opened(RedisRegistry, single)
    with pytest.raises(InvalidConfig, match=r"partitions: 4, .* is stored in 3"):
        await opened(RedisRegistry, {**single, "partitions": 4})


async def test_limit_of_registrations_over_several_partitions_is_refused(single: dict[str, Any], opened: Open) -> None:
    with pytest.raises(InvalidConfig, match="exact only in one"):
        await opened(RedisRegistry, {**single, "partitions": 3}, limits=Limits(registrations=10))


async def test_several_partitions_on_one_server_page_in_one_order(single: dict[str, Any], opened: Open) -> None:
    registry = await opened(RedisRegistry, {**single, "partitions": 5}, indexes=indexed("n"))
    await registry.set([write(f"user-{i:03d}", {"n": i % 2}) for i in range(400)])
    expected = [f"user-{i:03d}" for i in range(1, 400, 2)]
    for size in (1, 10, 64, 1_000):
        assert await found(registry, {"n": 1}, page_size=size) == expected
    assert await found(registry, {"n": 1}, page_size=10, limit=33) == expected[:33]
    assert await registry.count(()) == 400


async def test_many_hits_out_of_order_are_walked_rather_than_collected(
    single: dict[str, Any], opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prism_redis import candidates

    monkeypatch.setattr(candidates, "COLLECT", 50)
    registry = await opened(RedisRegistry, single, indexes=indexed("n"))
    await registry.set([write(f"user-{i:03d}", {"n": 400 - i}) for i in range(400)])
    assert await found(registry, {"n.lte": 100}, page_size=7) == [f"user-{i:03d}" for i in range(300, 400)]
    assert await found(registry, {"n.lte": 20}) == [f"user-{i:03d}" for i in range(380, 400)]


@pytest.mark.parametrize(
    "evil", ["']) redis.call('FLUSHALL')--", "\r\nFLUSHALL\r\n", "*", "{x}", "$1", "\\x00", "%s%n"]
)
async def test_injection_changes_nothing(config: dict[str, Any], opened: Open, evil: str) -> None:
    printable = evil.replace("\r\n", " ")
    registry = await opened(
        RedisRegistry, config, namespace=printable, indexes=indexed("a", printable.replace(".", ""))
    )
    other = await opened(RedisRegistry, config, namespace="other", indexes=indexed("a"))
    await other.set([write("bystander", {"a": evil})])
    await registry.set([write(printable, {"a": evil, printable: evil}, owner=printable, address=printable)])
    assert await found(registry, {"a": evil}) == [printable]
    assert await found(registry, {"$identity": printable}) == [printable]
    assert await found(other, {"a": evil}) == ["bystander"]
    [stored] = await registry.get([printable])
    assert stored is not None
    assert stored.metadata == {"a": evil, printable: evil}
    assert (stored.owner, stored.address) == (printable, printable)


@pytest.mark.parametrize("written", [{"flag": True}, {"room": "a", "flag": True}])
async def test_filter_on_metadata_never_pairs_a_record_with_the_metadata_of_another_write(
    config: dict[str, Any], opened: Open, written: dict[str, Any]
) -> None:
    registry = await opened(RedisRegistry, config, indexes=indexed("room"))
    names = [f"user-{i:03d}" for i in range(60)]

    def toggled(on: bool) -> list[Write]:
        text, registration_id = json.encode({"room": "a", "flag": on}), "on" if on else "off"
        return [Write(name, text, registration_id, HOUR, Anything()) for name in names]

    async def toggle() -> None:
        for turn in range(60):
            await registry.set(toggled(turn % 2 == 0))

    await registry.set(toggled(True))
    toggling = asyncio.create_task(toggle())
    met = 0
    while not toggling.done():
        for projection in Projection:
            query = Query((parse(written, Limits()),), page_size=20, projection=projection)
            async for page in registry.scan(query):
                assert set(page.registration_ids) == {"on"}
                met += len(page)
                if isinstance(page, RecordPage):
                    assert all(json.decode(text)["flag"] for text in page.metadata_json)
    await toggling
    assert met


async def test_what_was_read_ahead_is_not_shown_to_a_slow_reader_once_it_has_expired(
    config: dict[str, Any], opened: Open
) -> None:
    registry = await opened(RedisRegistry, config)
    await registry.set([write(f"user-{i:02d}", {"n": i}) for i in range(10)])
    await registry.set([write(f"user-{i:02d}", {"n": i}, ttl=SECOND // 5) for i in range(10, 20)])
    pages = registry.scan(Query(page_size=10))
    assert list((await anext(pages)).identities) == [f"user-{i:02d}" for i in range(10)]
    await asyncio.sleep(0.25)
    assert [page async for page in pages] == []


async def test_explanation_names_indexes_and_what_is_read(single: dict[str, Any]) -> None:
    registry = RedisRegistry(RedisConfig(**single), SlotContext("test", indexes=indexed("room", "floor")))

    async def explained(**clauses: Any) -> str:
        return await registry.explain(Query(tuple(parse({key: value}, Limits()) for key, value in clauses.items())))

    assert await explained() == "all identities, in order"
    assert await explained(room="a") == "the index of room"
    assert await explained(room="a", floor=1) == "the smallest of the indexes of floor, room"
    assert await explained(room="a", size=1) == "the index of room; 1 of 2 parts on the metadata, read by the proxy"
    assert await explained(size=1) == "all identities, in order; 1 of 1 parts on the metadata, read by the proxy"
