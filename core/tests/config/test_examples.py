"""The RFC's configuration examples, as printed."""

from __future__ import annotations

from collections.abc import Callable

from prism.config import ProxyConfig
from prism.model.message import DeliverySemantics
from prism.model.time import SECOND
from prism.plugins.spec import SlotKind
from prism_conformance.rfc import EXAMPLE_1, EXAMPLE_2, EXAMPLE_3, EXAMPLE_4

Read = Callable[[str], ProxyConfig]


def test_example_1_reads_redis_with_nats_and_no_durability(read: Read) -> None:
    namespace = read(EXAMPLE_1).namespaces["presence"]
    assert {kind: slot.type for kind, slot in namespace.slots.items()} == {
        SlotKind.REGISTRY: "redis",
        SlotKind.MESSAGING: "nats",
    }
    assert namespace.durability is None
    assert namespace.ttl_default == 300 * SECOND
    assert namespace.delivery is DeliverySemantics.AT_MOST_ONCE
    assert namespace.needs.latency == SECOND // 100


def test_the_cores_keys_are_taken_out_before_the_plugin_sees_its_options(read: Read) -> None:
    namespace = read(EXAMPLE_1).namespaces["presence"]
    assert namespace.registry.options == {"host": "localhost", "port": 6379}
    assert namespace.messaging.options == {"servers": ["nats://localhost:4222"]}
    assert namespace.registry.config.model_dump(exclude={"password"}) == {"host": "localhost", "port": 6379}


def test_example_1_reads_its_schema(read: Read) -> None:
    schema = read(EXAMPLE_1).namespaces["presence"].schema
    assert schema is not None
    assert [str(field.type) for field in schema.fields][2] == "enum[online, away, busy, offline]"


def test_example_2_uses_kafka_for_messages_and_their_queues(read: Read) -> None:
    namespace = read(EXAMPLE_2).namespaces["iot-devices"]
    assert namespace.durability is not None
    assert namespace.durability.type == "kafka"
    assert namespace.durability.options == namespace.messaging.options
    assert namespace.delivery is DeliverySemantics.AT_LEAST_ONCE
    assert namespace.needs.audit


def test_example_3_reads_scale_region_and_cloud(read: Read) -> None:
    needs = read(EXAMPLE_3).namespaces["microservices"].needs
    assert (needs.scale, needs.region, needs.cloud) == (10_000, "multi-region", "aws")


def test_example_4_reads_its_outbox(read: Read) -> None:
    namespace = read(EXAMPLE_4).namespaces["agents"]
    assert namespace.composition is not None
    assert namespace.composition.outbox_table == "multicast_outbox"
    assert namespace.composition.poll_interval == SECOND // 10
    assert namespace.needs.exactly_once


def test_several_namespaces_stand_in_one_file(read: Read) -> None:
    config = read(EXAMPLE_1 + EXAMPLE_2.replace("\nnamespaces:\n", ""))
    assert list(config.namespaces) == ["presence", "iot-devices"]
    assert not config.any_namespace
