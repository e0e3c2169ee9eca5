"""Topics: made as they have to be, or refused; and a broker that isn't there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from prism.model.errors import InvalidConfig
from prism.slots.context import Code, SlotContext
from prism_conformance.servers import AsyncServer
from prism_kafka.config import KafkaConfig
from prism_kafka.durability import KafkaDurability
from prism_kafka.errors import NotConnected
from prism_kafka.messaging import KafkaMessaging
from support.proxies import eventually

from .conftest import Open

GOOD_LOG = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": "8000000",
}


@pytest.fixture
async def admin(config: Mapping[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=config["brokers"])
    await client.start()
    yield client
    await client.close()


async def settings_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    [(_, _, _, _, entries)] = answer.resources
    return {entry[0]: entry[1] for entry in entries}


async def are_listed(admin: AIOKafkaAdminClient, prefix: str, parts: list[str]) -> bool:
    """Whether just these topics are there."""
    return {name for name in await admin.list_topics() if name.startswith(prefix)} == {prefix + part for part in parts}


async def test_topics_are_made_with_the_settings_they_need(
    config: dict[str, Any], opened: Open, admin: AIOKafkaAdminClient
) -> None:
    config |= {"topic_prefix": f"{config['topic_prefix']}commands.", "retention": "7d", "partitions": 2}
    await opened(KafkaMessaging, config)
    await opened(KafkaDurability, config)
    prefix = f"{config['topic_prefix']}test."
    week = str(7 * 24 * 3600 * 1000)
    inbox, identity = await settings_of(admin, prefix + "inbox"), await settings_of(admin, prefix + "identity")
    assert (inbox["retention.ms"], identity["retention.ms"]) == ("600000", week)
    for part in ("log", "snapshots"):
        found = await settings_of(admin, prefix + part)
        assert {name: found[name] for name in GOOD_LOG} == GOOD_LOG | {"max.message.bytes": str(4 * 1024 * 1024)}
    topics = await admin.describe_topics([prefix + part for part in ("inbox", "identity", "log", "snapshots")])
    assert [len(topic["partitions"]) for topic in topics] == [2, 2, 2, 2]


async def test_topics_made_by_hand_are_taken_with_the_partitions_they_have(
    config: dict[str, Any], opened: Open, admin: AIOKafkaAdminClient
) -> None:
    topic = f"{config['topic_prefix']}test.log"
    await admin.create_topics([NewTopic(topic, 5, 1, topic_configs=GOOD_LOG)])
    del config["partitions"]
    slot = await opened(KafkaDurability, config)
    assert len((await slot.mark()).split(",")) == 5


async def test_other_number_of_partitions_is_refused(config: dict[str, Any], opened: Open) -> None:
    await opened(KafkaDurability, config)
    with pytest.raises(InvalidConfig, match=r"partitions: 4, but topic .*log has 3; leave the option out"):
        await opened(KafkaDurability, config | {"partitions": 4})


async def test_partitions_that_were_added_are_refused(
    config: dict[str, Any], opened: Open, admin: AIOKafkaAdminClient
) -> None:
    queues, topics = await opened(KafkaDurability, config), await opened(KafkaMessaging, config)
    names = [f"{config['topic_prefix']}test.{part}" for part in ("log", "snapshots", "inbox", "identity")]
    await admin.create_partitions({name: NewPartitions(5) for name in names})
    del config["partitions"]
    with pytest.raises(
        InvalidConfig, match=r"log has 5, and its queues are spread over 3; the number can't be changed"
    ):
        await opened(KafkaDurability, config)
    with pytest.raises(InvalidConfig, match=r"topic .*inbox had 3 and has 5 now; restart all proxies"):
        await topics.check()
    await queues.check()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cleanup.policy", "compact"),
        ("retention.ms", "3600000"),
        ("retention.bytes", "1000000"),
        ("message.timestamp.type", "CreateTime"),
        ("max.message.bytes", "1000"),
    ],
)
async def test_log_with_a_wrong_setting_is_refused(
    config: dict[str, Any], opened: Open, admin: AIOKafkaAdminClient, setting: str, value: str
) -> None:
    topic = f"{config['topic_prefix']}test.log"
    await admin.create_topics([NewTopic(topic, 3, 1, topic_configs=GOOD_LOG | {setting: value})])
    with pytest.raises(
        InvalidConfig, match=rf"{topic}: {setting} is {value}, and has to be .* --add-config {setting}="
    ):
        await opened(KafkaDurability, config)


@pytest.mark.parametrize(
    ("kind", "part", "other"), [(KafkaMessaging, "inbox", "identity"), (KafkaDurability, "log", "snapshots")]
)
async def test_all_that_is_wrong_is_said_at_once_and_nothing_is_made(
    config: dict[str, Any], opened: Open, admin: AIOKafkaAdminClient, kind: Any, part: str, other: str
) -> None:
    prefix = f"{config['topic_prefix']}test."
    for name in (part, other):
        await admin.create_topics([NewTopic(prefix + name, 4, 1, topic_configs={"retention.ms": "5000"})])
    await eventually(lambda: are_listed(admin, prefix, [part, other]))
    with pytest.raises(InvalidConfig) as caught:
        await opened(kind, config)
    fields = [violation.field for violation in caught.value.violations]
    assert fields == [f"topic {prefix}{part}", "partitions", f"topic {prefix}{other}", "partitions"]
    right = "600000" if part == "inbox" else "-1"
    text = caught.value.violations[0].description
    assert text.startswith(
        f"retention.ms is 5000, and has to be {right}, message.timestamp.type is CreateTime, and has to"
    )
    assert (
        f"--add-config retention.ms={right},message.timestamp.type=LogAppendTime,max.message.bytes=4194304, or" in text
    )
    await admin.delete_topics([prefix + other])
    await eventually(lambda: are_listed(admin, prefix, [part]))
    with pytest.raises(InvalidConfig, match=f"topic {prefix}{part}: retention"):
        await opened(kind, config)
    assert await are_listed(admin, prefix, [part])


async def test_topics_of_the_queues_must_have_as_many_partitions(
    config: dict[str, Any], opened: Open, admin: AIOKafkaAdminClient
) -> None:
    prefix = f"{config['topic_prefix']}test."
    for name, count in (("log", 3), ("snapshots", 2)):
        await admin.create_topics([NewTopic(prefix + name, count, 1, topic_configs=GOOD_LOG)])
    del config["partitions"]
    with pytest.raises(InvalidConfig, match=r"log has 3 and topic .*snapshots 2, which must be as many"):
        await opened(KafkaDurability, config)


async def test_other_retention_of_publications_is_refused(config: dict[str, Any], opened: Open) -> None:
    await opened(KafkaMessaging, config)
    with pytest.raises(InvalidConfig, match=r"identity: retention\.ms is 604800000, and has to be 3600000"):
        await opened(KafkaMessaging, config | {"retention": "1h"})


async def test_more_replicas_than_brokers_are_refused(config: dict[str, Any], opened: Open) -> None:
    with pytest.raises(InvalidConfig, match=r"replication: 3 copies of topic .*log can't be made by 1 brokers"):
        await opened(KafkaDurability, config | {"replication": 3})


async def test_what_a_plain_listener_does_not_speak_is_named(config: dict[str, Any], opened: Open) -> None:
    with pytest.raises(NotConnected, match=r"the connection was reset; does that listener speak TLS"):
        await opened(KafkaDurability, config | {"tls": True, "connect_timeout": 0.5})
    login = {"sasl_mechanism": "PLAIN", "username": "app", "password": "x"}
    with pytest.raises(InvalidConfig, match=r"sasl_mechanism: the listener at .* asks nobody to log in: leave"):
        await opened(KafkaDurability, config | login)


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_records_can_be_compressed(config: dict[str, Any], opened: Open, compression: str) -> None:
    from prism.slots.messaging import Publication, Received, Topic, TopicKind

    config |= {"compression": compression, "linger": 0.005, "partitions": 1}
    slot = await opened(KafkaMessaging, config)
    topics = [Topic(TopicKind.IDENTITY, f"user-{i}") for i in range(100)]
    async with await slot.subscribe() as subscription:
        await subscription.add(topics)
        await slot.publish(Publication(b"payload " * 100), topics)
        found: list[Any] = []
        async for batch in subscription:
            found += batch
            if len(found) == 100:
                break
    assert all(isinstance(event, Received) and event.publication.payload == b"payload " * 100 for event in found)


async def test_broker_that_is_not_there_is_named_after_some_tries(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("prism_kafka.link._TELL_S", 0.3)
    async with await AsyncServer.start("kafka") as server:
        await server.kill()
        slot = KafkaDurability(KafkaConfig(brokers=[server.url], connect_timeout=1.0), SlotContext("test"))
        with pytest.raises(
            NotConnected, match=f"no Kafka broker answers at {server.url}: connection refused$"
        ) as caught:
            await slot.open()
        await slot.close()
        assert caplog.text.count(f"waiting for a Kafka broker at {server.url} for") == 3
        assert slot.classify(caught.value) is Code.UNAVAILABLE
        # One that comes up meanwhile is used.
        slot = KafkaDurability(KafkaConfig(brokers=[server.url], connect_timeout=30.0), SlotContext("test"))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(slot.open())
            tasks.create_task(server.restart())
        await slot.check()
        await slot.close()
