"""The configuration examples of RFC-017, as printed."""

from __future__ import annotations

from typing import Final

EXAMPLE_1: Final = """
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

EXAMPLE_2: Final = """
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

EXAMPLE_3: Final = """
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

EXAMPLE_4: Final = """
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
