"""What the durability slot does with its topics: snapshots, catching up, refused records, proxies that come and go."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c
from prism.model.time import SECOND
from prism.slots.context import Code, QueuePolicy
from prism.slots.durability import Enqueued, Gap, Lease, Settled
from prism.slots.messaging import Publication, Published, Received, Topic, TopicKind
from prism_conformance.servers import AsyncServer
from prism_kafka import snapshots
from prism_kafka.durability import KafkaDurability
from prism_kafka.errors import Behind
from prism_kafka.link import Link
from prism_kafka.machine.state import State
from prism_kafka.messaging import KafkaMessaging
from prism_kafka.naming import partition_of
from support.proxies import eventually

from .conftest import Open, begins, message, stored

LONG = 60 * SECOND
ALICE = Topic(TopicKind.IDENTITY, "alice")


def shown(leases: list[Lease]) -> list[str | int]:
    return [item.content.dropped if isinstance(item.content, Gap) else item.content.id for item in leases]


async def take(slot: KafkaDurability, queue: str = "alice", limit: int = 100) -> list[str | int]:
    leases = await slot.dequeue([queue], limit, LONG)
    assert await slot.ack(leases) == [Settled()] * len(leases)
    return shown(leases)


def topic(config: Mapping[str, Any], part: str) -> str:
    return f"{config['topic_prefix']}test.{part}"


async def churn(slot: KafkaDurability, names: Iterable[str]) -> None:
    """Work that leaves nothing behind."""
    for name in names:
        await slot.enqueue(message(name, b"p" * 500), ["bob"])
        assert await take(slot, "bob") == [name]


async def test_snapshot_lets_the_log_go_and_a_new_proxy_goes_on_from_it(
    config: dict[str, Any], opened: Open, link: Link
) -> None:
    config |= {"partitions": 1, "snapshot_every": 100}
    slot = await opened(KafkaDurability, config)
    await slot.create(["alice", "bob"])
    for name in ("m1", "m2"):
        await slot.enqueue(message(name), ["alice"])
    [held] = await slot.dequeue(["alice"], 1, LONG)
    await churn(slot, [f"passing-{i}" for i in range(60)])

    async def is_cut() -> bool:
        return await begins(link, topic(config, "log")) > 0

    await eventually(is_cut)
    other = await opened(KafkaDurability, config)
    assert await other.depth(["alice", "bob", "nobody"]) == [2, 0, 0]
    assert await other.enqueue(message("passing-59"), ["bob"]) == [Enqueued()]
    assert await take(other, "bob") == [], "what was acked lately is known from the snapshot"
    assert await take(other) == ["m2"]
    assert await other.ack([held]) == [Settled()]


async def test_message_that_waits_outlives_snapshots_and_is_read_from_the_log(
    config: dict[str, Any], opened: Open, link: Link
) -> None:
    config |= {"partitions": 1, "snapshot_every": 100, "cache_bytes": 0}
    slot = await opened(KafkaDurability, config)
    await slot.create(["alice", "bob"])
    await churn(slot, [f"first-{i}" for i in range(10)])
    for i in range(20):
        await slot.enqueue(message(f"m{i}", b"%d" % i * 1000), ["alice"])
        await churn(slot, [f"passing-{i}.{j}" for j in range(3)])

    async def is_cut() -> bool:
        return await begins(link, topic(config, "log")) > 0 and await begins(link, topic(config, "snapshots")) > 0

    await eventually(is_cut)
    other = await opened(KafkaDurability, config)
    leases = await other.dequeue(["alice"], 100, LONG)
    assert [item.content for item in leases] == [message(f"m{i}", b"%d" % i * 1000) for i in range(20)]
    assert other.counters()["fetched_payloads"] >= 20


async def test_proxies_that_join_and_leave_lose_nothing_and_repeat_nothing_acknowledged(
    config: dict[str, Any], opened: Open
) -> None:
    config |= {"snapshot_every": 200}
    queues = [f"user-{i}" for i in range(20)]
    first = await opened(KafkaDurability, config)
    await first.create(queues)
    acked: Counter[tuple[str, str]] = Counter()
    done = asyncio.Event()

    async def proxy(slot: KafkaDurability) -> None:
        """Delivers until all is delivered; leaves with some in hand, which it gives back as a proxy that drains."""
        for _ in range(6):
            leases = await slot.dequeue(queues, 5, LONG)
            half = (len(leases) + 1) // 2
            kept, rest = leases[:half], leases[half:]
            outcomes = await slot.ack(kept)
            acked.update(
                (item.queue, item.content.id)
                for item, outcome in zip(kept, outcomes, strict=True)
                if outcome == Settled() and not isinstance(item.content, Gap)
            )
            assert await slot.release(rest) == [Settled()] * len(rest)
            if sum(acked.values()) >= 20 * 30:
                done.set()
        await slot.close()

    async def coming_and_going() -> None:
        while not done.is_set():
            await proxy(await opened(KafkaDurability, config))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(coming_and_going())
        for i in range(30):
            assert await first.enqueue(message(f"m{i}"), queues) == [Enqueued()] * 20
    assert acked == {(queue, f"m{i}"): 1 for queue in queues for i in range(30)}


async def test_identity_that_comes_back_elsewhere_is_in_order_and_misses_nothing(
    config: dict[str, Any], opened: Open
) -> None:
    one = await opened(KafkaDurability, config)
    await one.create(["alice"])
    for i in range(5):
        await one.enqueue(message(f"m{i}"), ["alice"])
    leases = await one.dequeue(["alice"], 3, LONG)
    await one.ack(leases[:1])
    await one.release(leases[1:])
    await one.close()
    other = await opened(KafkaDurability, config)
    assert await take(other) == ["m1", "m2", "m3", "m4"]


async def test_garbage_in_the_log_is_set_aside_and_wedges_nothing(
    config: dict[str, Any], opened: Open, bare: AIOKafkaProducer, link: Link
) -> None:
    config |= {"partitions": 1}
    slots = [await opened(KafkaDurability, config) for _ in range(2)]
    await slots[0].create(["alice"])
    await slots[0].enqueue(message("m1"), ["alice"])
    poison = await bare.send_and_wait(topic(config, "log"), b"\x00 not ours", b"key", partition=0)
    await bare.send_and_wait(topic(config, "snapshots"), b"\x00 not ours", partition=0)
    await slots[0].enqueue(message("m2"), ["alice"])
    assert await take(slots[1]) == ["m1", "m2"]
    later = await opened(KafkaDurability, config)
    assert await later.depth(["alice"]) == [0]
    assert [slot.counters()["refused_records"] for slot in (*slots, later)] == [1, 1, 1]

    async def is_set_aside() -> bool:
        # Each proxy that met it copies it under the same key, and compaction leaves one.
        return len(await stored(link, topic(config, "refused"))) == 3

    await eventually(is_set_aside)
    for copy in await stored(link, topic(config, "refused")):
        assert copy.key == f"{topic(config, 'log')}/0/{poison.offset}".encode()
        assert copy.value == b"\x00 not ours"
        assert dict(copy.headers)["key"] == b"key"
        assert b"doesn't begin like a record" in dict(copy.headers)["reason"]


async def test_record_of_a_newer_prism_stops_the_slot_and_says_what_to_do(
    config: dict[str, Any], opened: Open, bare: AIOKafkaProducer
) -> None:
    config |= {"partitions": 1}
    slot = await opened(KafkaDurability, config)
    await slot.create(["alice"])
    await bare.send_and_wait(topic(config, "log"), b"prism-log/9 ...\n", partition=0)
    with pytest.raises(Behind, match="stopped reading Kafka") as caught:
        await slot.depth(["alice"])
    assert slot.classify(caught.value) is Code.UNAVAILABLE
    with pytest.raises(Behind):
        await slot.check()
    with pytest.raises(Exception, match="format 9, and this Prism knows 1; upgrade it"):
        await opened(KafkaDurability, config)


async def test_log_whose_beginning_somebody_removed_is_refused(
    config: dict[str, Any], opened: Open, link: Link
) -> None:
    config |= {"partitions": 1}
    slot = await opened(KafkaDurability, config)
    await slot.create(["alice"])
    await slot.close()
    await link.follow([topic(config, "log")])
    await snapshots.remove(link, topic(config, "log"), 0, 1)
    with pytest.raises(Behind, match="begins at 1, and no snapshot reaches beyond 0"):
        await opened(KafkaDurability, config)


async def test_snapshot_that_is_replaced_while_a_new_proxy_reads_it_is_read_again(
    config: dict[str, Any], opened: Open, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    config |= {"partitions": 1, "snapshot_every": 100}
    slot = await opened(KafkaDurability, config)
    await slot.create(["alice", "bob"])
    load, times = snapshots.load, 0

    async def slowly(*arguments: Any) -> State:
        nonlocal times
        times += 1
        state = await load(*arguments)
        if times <= 2:
            before = await begins(link, topic(config, "log"))
            await churn(slot, [f"passing-{times}.{i}" for i in range(60)])

            async def is_cut() -> bool:
                return await begins(link, topic(config, "log")) > before

            await eventually(is_cut)
        return state

    monkeypatch.setattr(snapshots, "load", slowly)
    other = await opened(KafkaDurability, config)
    assert times == 3
    assert await other.enqueue(message("m1"), ["alice"]) == [Enqueued()]


async def test_log_that_somebody_removed_without_its_snapshots_is_refused(opened: Open) -> None:
    async with await AsyncServer.start("kafka", config={"auto.create.topics.enable": "false"}) as server:
        config = {"brokers": [server.url], "partitions": 1, "snapshot_every": 100}
        slot = await opened(KafkaDurability, config)
        await slot.create(["alice", "bob"])
        await churn(slot, [f"passing-{i}" for i in range(60)])
        await eventually(lambda: slot._replicas[0].state.snapshot_at > 0)
        await slot.close()
        await delete_topics(server, "prism.test.log")
        with pytest.raises(
            Behind, match=r"the log was removed, and its snapshots weren't; remove topic prism\.test\.snap"
        ):
            await opened(KafkaDurability, config)


async def test_payloads_of_a_log_that_was_made_anew_are_not_those_of_the_old_one(opened: Open) -> None:
    async with await AsyncServer.start("kafka", config={"auto.create.topics.enable": "false"}) as server:
        config = {"brokers": [server.url], "partitions": 1}
        slot = await opened(KafkaDurability, config)
        await slot.create(["bob"])
        for i in range(30):
            await slot.enqueue(message(f"old{i}", b"for bob"), ["bob"])
        await delete_topics(server, "prism.test.log", "prism.test.snapshots")
        other = await opened(KafkaDurability, config)
        await other.create(["alice"])

        async def has_noticed() -> bool:
            return "alice" in slot._replicas[0].state.queues

        await eventually(has_noticed, 40)
        for i in range(5):
            await other.enqueue(message(f"new{i}", b"for alice"), ["alice"])
        leases = await slot.dequeue(["alice"], 10, LONG)
        assert [item.content for item in leases] == [message(f"new{i}", b"for alice") for i in range(5)]
        await slot.close()
        await other.close()


async def delete_topics(server: AsyncServer, *names: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=server.url)
    await admin.start()
    await admin.delete_topics(list(names))
    await admin.close()


async def test_message_whose_record_somebody_removed_is_a_gap(config: dict[str, Any], opened: Open, link: Link) -> None:
    config |= {"partitions": 1, "cache_bytes": 0}
    slot = await opened(KafkaDurability, config)
    await slot.create(["alice"])
    await slot.enqueue(message("m1"), ["alice"])
    await slot.enqueue(message("m2"), ["alice"])
    await link.follow([topic(config, "log")])
    await snapshots.remove(link, topic(config, "log"), 0, 3)
    assert await take(slot) == [1, "m2"]
    assert await slot.depth(["alice"]) == [0]


@pytest.mark.parametrize("turns", [0, 1, 3, 10, 100])
async def test_leases_taken_for_a_call_that_was_cancelled_are_given_back_at_once(
    config: dict[str, Any], opened: Open, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    slot, other = await opened(KafkaDurability, config), await opened(KafkaDurability, config)
    await slot.create(["alice"])
    await slot.enqueue(message("m1"), ["alice"])
    replica, asked = slot._replicas[partition_of("alice", 3)], asyncio.Event()
    expect = replica.expect
    monkeypatch.setattr(replica, "expect", lambda: asked.set() or expect())
    taking = asyncio.ensure_future(slot.dequeue(["alice"], 1, LONG))
    await asked.wait()
    while turns and not taking.done():
        await asyncio.sleep(0)
        turns -= 1
    taking.cancel()
    await asyncio.wait([taking])

    if not taking.cancelled():
        await slot.release(taking.result())  # it was quicker

    async def is_there() -> bool:
        leases = await other.dequeue(["alice"], 1, LONG)
        assert all(item.attempt == 1 for item in leases)
        return bool(leases)

    await eventually(is_there)


async def test_policy_is_that_of_the_proxy_that_opened_last(config: dict[str, Any], opened: Open) -> None:
    old = await opened(KafkaDurability, config, queues=QueuePolicy(max_messages=5))
    new = await opened(KafkaDurability, config, queues=QueuePolicy(max_messages=2))
    await old.create(["alice"])
    for i in range(4):
        await old.enqueue(message(f"m{i}"), ["alice"])
    assert await take(new) == [2, "m2", "m3"]


async def test_nothing_is_written_to_find_that_nothing_is_there(
    config: dict[str, Any], opened: Open, link: Link
) -> None:
    config |= {"partitions": 1}
    slot = await opened(KafkaDurability, config)
    await slot.create(["alice"])
    before = len(await stored(link, topic(config, "log")))
    for _ in range(20):
        assert await slot.dequeue(["alice", "nobody"], 10, LONG) == []
    assert len(await stored(link, topic(config, "log"))) == before


async def test_one_payload_for_many_queues_is_stored_once_in_each_partition(
    config: dict[str, Any], opened: Open, link: Link
) -> None:
    slot = await opened(KafkaDurability, config)
    queues = [f"user-{i}" for i in range(1_000)]
    await slot.create(queues)
    await slot.enqueue(message("m1", b"payload" * 1000), queues)
    records = [record for part in range(3) for record in await stored(link, topic(config, "log"), part)]
    assert sum(b"payload" in (record.value or b"") for record in records) == 3


async def test_batch_whose_names_do_not_fit_into_a_record_goes_in_several(config: dict[str, Any], opened: Open) -> None:
    config |= {"max_message_bytes": 256 * 1024, "partitions": 1}
    slot = await opened(KafkaDurability, config)
    queues = [f"{i:06d}" + "\u00e9" * 250 for i in range(1_000)]
    await slot.create(queues)
    assert await slot.enqueue(message("m1", b"p" * 100_000), queues) == [Enqueued()] * 1_000
    assert await slot.enqueue(message("m1", b"p" * 100_000), queues) == [Enqueued()] * 1_000
    leases = await slot.dequeue(queues, 10, LONG)
    assert sorted(item.queue for item in leases) == queues
    assert await slot.ack(leases) == [Settled()] * 1_000


async def test_message_that_is_too_large_is_refused_by_name(config: dict[str, Any], opened: Open) -> None:
    config |= {"max_message_bytes": 64 * 1024}
    slot = await opened(KafkaDurability, config)
    await slot.create(["alice"])
    with pytest.raises(Exception, match="larger than the maximum") as caught:
        await slot.enqueue(message("m1", bytes(100_000)), ["alice"])
    assert slot.classify(caught.value) is Code.LIMIT_EXCEEDED
    assert await slot.enqueue(message("m2"), ["alice"]) == [Enqueued()]


async def test_calls_at_once_share_no_record_that_is_too_large(config: dict[str, Any], opened: Open) -> None:
    config |= {"max_message_bytes": 64 * 1024, "partitions": 1}
    slot = await opened(KafkaDurability, config)
    await slot.create(["alice"])
    calls = (slot.enqueue(message(f"m{i}", bytes(4_000)), ["alice"]) for i in range(100))
    assert await asyncio.gather(*calls) == [[Enqueued()]] * 100


async def test_header_that_cannot_be_read_wedges_nothing(
    config: dict[str, Any], opened: Open, bare: AIOKafkaProducer
) -> None:
    config |= {"partitions": 1}
    slot, subscriber = await opened(KafkaDurability, config), await opened(KafkaMessaging, config)
    await slot.create(["alice"])
    async with await subscriber.subscribe() as subscription:
        await subscription.add([ALICE])
        for part in ("log", "identity"):
            stored = await bare.send_batch(with_odd_header(bare), topic(config, part), partition=0)
            await stored
        assert await slot.enqueue(message("m1"), ["alice"]) == [Enqueued()]
        assert await subscriber.publish(Publication(b"after"), [ALICE]) == [Published()]
        async with asyncio.timeout(20):
            assert await anext(aiter(subscription)) == [Received(ALICE, Publication(b"after"))]
    later = await opened(KafkaDurability, config)
    assert await take(later) == ["m1"]
    assert [each.counters()["refused_records"] for each in (slot, later)] == [1, 1]


def with_odd_header(producer: AIOKafkaProducer) -> BatchBuilder:
    """A record with a header whose name isn't UTF-8, as clients in other languages can write."""
    batch = producer.create_batch()
    batch.append(timestamp=None, key=b"alice", value=b"x", headers=[("NAME", b"value")])
    build = batch._build

    def forged() -> bytes:
        written = bytearray(bytes(build()).replace(b"NAME", b"\xff\xfe\xff\xfe"))
        written[17:21] = calc_crc32c(bytes(written[21:])).to_bytes(4)
        return bytes(written)

    batch._build = forged
    return batch


async def test_lag_is_a_metric(config: dict[str, Any], opened: Open) -> None:
    slot = await opened(KafkaDurability, config)
    await slot.create(["alice", "bob"])
    assert slot.gauges() == {"brokers_answer": 1, "log_lag_records": 0, "queues": 2}
    assert slot.counters() == {"refused_records": 0, "fetched_payloads": 0}
    assert slot.meanings.keys() == {*slot.gauges(), *slot.counters()}


async def test_lag_counts_what_is_in_the_log_and_not_applied(config: dict[str, Any], opened: Open) -> None:
    config |= {"partitions": 1}
    slot, other = await opened(KafkaDurability, config), await opened(KafkaDurability, config)
    await slot.create(["alice"])
    other._reading.cancel()  # as a proxy that is cut off
    await asyncio.wait([other._reading])
    for i in range(60):
        await slot.enqueue(message(f"m{i}"), ["alice"])
    replica, lags = other._replicas[0], []
    apply = replica.apply
    replica.apply = lambda record: (lags.append(other.gauges()["log_lag_records"]), apply(record))[1]
    other._reading = asyncio.create_task(other._read(other._following))
    assert await other.depth(["alice"]) == [60]
    assert max(lags) >= 60
    assert other.gauges()["log_lag_records"] == 0
