"""The RFC's configuration examples, as printed."""

from __future__ import annotations

from collections.abc import Callable

from prism.config import ProxyConfig
from prism.model.message import DeliverySemantics
from prism.model.time import SECOND
from prism.plugins.spec import SlotKind

Read = Callable[[str], ProxyConfig]

EXAMPLE_1 = """
namespaces:
  - name: presence
    pattern: multicast-registry

    identity_schema:
      user_id: string
      display_name: string
      status: enum[online, away, busy, offline]
      current_room: string

    needs:
      latency: <10ms
      consistency: eventual
      durability: ephemeral

    backend_slots:
      registry:
        type: redis
        host: localhost
        port: 6379
        ttl_default: 300  # 5 min heartbeat

      messaging:
        type: nats
        servers: ["nats://localhost:4222"]
        delivery: at-most-once
"""

EXAMPLE_2 = """
namespaces:
  - name: iot-devices
    pattern: multicast-registry

    identity_schema:
      device_id: string
      device_type: enum[sensor, actuator, gateway]
      location: geo_point
      firmware_version: string
      battery_level: float

    needs:
      consistency: strong
      durability: persistent
      audit: true

    backend_slots:
      registry:
        type: postgres
        connection: "postgres://localhost:5432/prism"
        schema: iot_registry
        indexes:
          - field: device_type
          - field: firmware_version
          - field: location
            type: gist  # GIS index

      messaging:
        type: kafka
        brokers: ["localhost:9092"]
        topic_prefix: "iot.commands."
        delivery: at-least-once
        retention: 7d

      durability:
        use_messaging: true  # Kafka provides persistence
"""

EXAMPLE_3 = """
namespaces:
  - name: microservices
    pattern: multicast-registry

    identity_schema:
      service_name: string
      instance_id: string
      version: string
      endpoint: string
      health_status: enum[healthy, degraded, unhealthy]

    needs:
      scale: 10000+ services
      region: multi-region
      cloud: aws

    backend_slots:
      registry:
        type: dynamodb
        table: prism-service-registry
        partition_key: service_name
        sort_key: instance_id
        ttl_attribute: expires_at
        gsi:
          - name: health-index
            keys: [health_status, service_name]

      messaging:
        type: sns
        topic_prefix: "prism-service-"
        delivery: at-most-once
"""

EXAMPLE_4 = """
namespaces:
  - name: agents
    pattern: multicast-registry

    identity_schema:
      agent_id: string
      agent_type: string
      available_resources: object
      current_tasks: int

    needs:
      consistency: strong
      durability: persistent
      exactly_once: true

    backend_slots:
      registry:
        type: postgres
        connection: "postgres://localhost:5432/prism"

      messaging:
        type: kafka
        brokers: ["localhost:9092"]

      durability:
        use_messaging: true

      composition:
        pattern: outbox  # Transactional outbox pattern
        outbox_table: multicast_outbox
        poll_interval: 100ms
"""


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
