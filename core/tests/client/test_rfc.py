"""The RFC's listings, word for word."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterator

import prism.sync
import pytest
from prism.server.app import Proxy

LISTING = """
from prism import Client, Filter

client = Client(namespace="presence")

# Register identity
await client.registry.register(
    identity="user-alice-session-1",
    metadata={
        "user_id": "alice",
        "display_name": "Alice",
        "status": "online",
        "current_room": "engineering"
    },
    ttl=300  # 5 minutes
)

# Enumerate identities
identities = await client.registry.enumerate(
    filter=Filter(current_room="engineering", status="online")
)
print(f"Users in room: {[id.metadata['display_name'] for id in identities]}")

# Multicast to room
result = await client.registry.multicast(
    filter=Filter(current_room="engineering"),
    message={"type": "chat", "from": "alice", "text": "Hello!"}
)
print(f"Delivered to {result.delivered_count}/{result.target_count} users")

# Unregister
await client.registry.unregister(identity="user-alice-session-1")
"""


async def test_the_python_listing_runs_as_it_stands_and_ends_without_a_word(proxy: Proxy) -> None:
    program = f"import asyncio\nasync def main():\n{textwrap.indent(LISTING, '    ')}\nasyncio.run(main())\n"
    process = await asyncio.create_subprocess_exec(
        *_python("-W", "error", "-c", program),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(PRISM_ADDRESS=proxy.address),
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert (out.decode(), err.decode(), process.returncode) == (
        "Users in room: ['Alice']\nDelivered to 0/1 users\n",
        "",
        0,
    )


@pytest.fixture
def registry() -> Iterator[prism.sync.Registry]:
    with prism.sync.Client.embedded() as client:
        yield client.registry


def test_use_case_1_microservices(registry: prism.sync.Registry) -> None:
    registry.register(
        identity="payment-service-instance-42",
        metadata={
            "service_name": "payment-service",
            "version": "2.3.1",
            "endpoint": "http://" + "10.1.2.42:8080",
            "health_status": "healthy",
            "capabilities": ["credit-card", "paypal", "stripe"],
        },
        ttl=30,  # Heartbeat required every 30s
    )
    services = registry.enumerate(filter={"service_name": "payment-service", "health_status": "healthy"})
    assert [service.identity for service in services] == ["payment-service-instance-42"]
    result = registry.multicast(
        filter={"service_name": "*"},  # All services
        message={"type": "config_update", "feature_flags": {"new-checkout": True}},
    )
    assert result.target_count == 1


def test_use_case_2_devices(registry: prism.sync.Registry) -> None:
    registry.register(
        identity="sensor-temp-floor2-room5",
        metadata={
            "device_type": "sensor",
            "location": {"lat": 37.7749, "lon": -122.4194},
            "firmware_version": "1.0.3",
            "battery_level": 0.78,
            "capabilities": ["temperature", "humidity"],
        },
    )
    assert registry.enumerate(filter={"location.building": "HQ", "battery_level.lt": 0.2}) == []
    result = registry.multicast(
        filter={"firmware_version.startswith": "1.0"},
        message={"command": "update_firmware", "url": "https://..."},
    )
    assert result.target_count == 1


def test_use_case_3_presence(registry: prism.sync.Registry) -> None:
    registry.register(
        identity="user-alice-session-abc123",
        metadata={
            "user_id": "alice",
            "display_name": "Alice",
            "status": "online",
            "current_room": "engineering",
            "client_version": "web-2.0",
        },
    )
    participants = registry.enumerate(filter={"current_room": "engineering", "status": "online"})
    assert [participant.metadata["display_name"] for participant in participants] == ["Alice"]
    with registry.attach("user-alice-session-abc123") as inbox:
        registry.multicast(
            filter={"current_room": "engineering"},
            message={"type": "chat", "from": "alice", "text": "Hello team!"},
        )
        assert inbox.receive(10).content["text"] == "Hello team!"


def _python(*arguments: str) -> list[str]:
    import sys

    return [sys.executable, *arguments]


def _environment(**variables: str) -> dict[str, str]:
    import os

    return {**os.environ, **variables}
