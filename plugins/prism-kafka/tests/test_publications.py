"""The messaging slot beyond its contract: native clients, the partitions a proxy reads, and what it may miss."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from prism.slots.messaging import Event, Interrupted, Publication, Published, Received, Subscription, Topic, TopicKind
from prism_kafka import snapshots
from prism_kafka.fetching import END, offsets
from prism_kafka.link import Link
from prism_kafka.messaging import KafkaMessaging
from prism_kafka.naming import partition_of

from .conftest import Open

ALICE = Topic(TopicKind.IDENTITY, "alice")


async def events(subscription: Subscription, enough: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(20):
        async for batch in subscription:
            found += batch
            if len(found) >= enough:
                break
    return found


async def test_native_consumer_gets_key_payload_and_headers(config: dict[str, Any], opened: Open) -> None:
    slot = await opened(KafkaMessaging, config)
    await slot.publish(Publication(b"hello", {"content-type": "text/plain"}), [ALICE])
    topic = f"{config['topic_prefix']}test.identity"
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=config["brokers"], auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(20):
        record = await consumer.getone()
    assert (record.key, record.value, record.headers) == (b"alice", b"hello", (("content-type", b"text/plain"),))
    assert record.partition == partition_of("alice", 3)


async def test_record_of_a_native_producer_arrives(
    config: dict[str, Any], opened: Open, bare: AIOKafkaProducer
) -> None:
    slot = await opened(KafkaMessaging, config)
    topic = f"{config['topic_prefix']}test.identity"
    async with await slot.subscribe() as subscription:
        await subscription.add([ALICE])
        place = partition_of("alice", 3)
        await bare.send_and_wait(topic, b"by hand", b"alice", partition=place)
        await bare.send_and_wait(topic, None, b"alice", partition=place, headers=[("odd", b"\xff"), ("none", None)])
        await bare.send_and_wait(topic, b"no key", None, partition=place)
        await bare.send_and_wait(topic, b"end", b"alice", partition=place)
        found = await events(subscription, 3)
    assert [(event.publication.payload, dict(event.publication.headers)) for event in found] == [
        (b"by hand", {}),
        (b"", {"odd": "\xff"}),
        (b"end", {}),
    ]


async def test_proxy_reads_only_the_partitions_of_its_topics(config: dict[str, Any], opened: Open) -> None:
    config |= {"partitions": 8}
    slot = await opened(KafkaMessaging, config)
    inbox = Topic(TopicKind.INBOX, "proxy-1")
    async with await slot.subscribe() as subscription:
        await subscription.add([inbox])
        name = f"{config['topic_prefix']}test.inbox"
        read = [part for part in range(8) if slot._tail.reads(TopicPartition(name, part))]
        assert read == [partition_of("proxy-1", 8)]
        await subscription.remove([inbox])
        assert not slot._tail.reads(TopicPartition(name, read[0]))


async def test_records_removed_before_they_were_read_are_an_interruption(
    config: dict[str, Any], opened: Open, link: Link
) -> None:
    slot = await opened(KafkaMessaging, config)
    topic, place = f"{config['topic_prefix']}test.identity", partition_of("alice", 3)
    async with await slot.subscribe() as subscription:
        await subscription.add([ALICE])
        [reading] = [slot._reading]
        reading.cancel()  # as a proxy that is cut off
        await asyncio.wait([reading])
        slot._reading = None
        for i in range(3):
            await slot.publish(Publication(b"%d" % i), [ALICE])
        await link.follow([topic])
        await snapshots.remove(link, topic, place, (await offsets(link, topic, [place], END))[place])
        slot._reading = asyncio.create_task(slot._read(slot._following))
        [gap] = await events(subscription, 1)
        assert isinstance(gap, Interrupted)
        assert "removed records" in gap.reason
        await slot.publish(Publication(b"after"), [ALICE])
        [after] = await events(subscription, 1)
        assert isinstance(after, Received)
        assert after.publication.payload == b"after"


async def test_payload_that_is_too_large_fails_alone(config: dict[str, Any], opened: Open) -> None:
    slot = await opened(KafkaMessaging, config | {"max_message_bytes": 64 * 1024})
    for topics in ([ALICE], [ALICE, Topic(TopicKind.IDENTITY, "bob"), Topic(TopicKind.IDENTITY, "carol")]):
        outcomes = await slot.publish(Publication(bytes(70_000)), topics)
        assert ["larger than" in str(outcome) or "are over" in str(outcome) for outcome in outcomes] == [True] * len(
            topics
        )


async def test_payload_that_only_the_broker_finds_too_large_fails_alone(config: dict[str, Any], opened: Open) -> None:
    slot = await opened(KafkaMessaging, config | {"max_message_bytes": 64 * 1024, "partitions": 1})
    topics = [ALICE, Topic(TopicKind.IDENTITY, "bob")]
    assert await slot.publish(Publication(b"before"), topics) == [Published()] * 2
    outcomes = await slot.publish(Publication(bytes(65_500), {"note": "n" * 100}), topics)
    assert ["TooLarge" in str(outcome) for outcome in outcomes] == [True, True]
    assert await slot.publish(Publication(b"after"), topics) == [Published()] * 2
    assert await slot.publish(Publication(b"after"), [ALICE]) == [Published()]


async def test_time_of_a_publication_is_the_brokers(
    config: dict[str, Any], opened: Open, bare: AIOKafkaProducer
) -> None:
    """Kafka refuses a record whose own time is an hour ahead, as that of a proxy with a wrong clock may be."""
    await opened(KafkaMessaging, config)
    now = time.time()
    for part in ("inbox", "identity"):
        topic = f"{config['topic_prefix']}test.{part}"
        stored = await bare.send_and_wait(topic, b"x", b"alice", partition=0, timestamp_ms=round((now + 7200) * 1000))
        assert abs(stored.timestamp / 1000 - now) < 60
