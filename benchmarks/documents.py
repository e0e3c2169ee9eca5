"""The same made-up devices for every benchmark: about 300 bytes of metadata each, the same in every run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from prism.v1.registry_pb2 import IdentityPage

FLOORS = 40
REGIONS = 1_000
"""One device in a thousand is in each region: 100 hits among 100,000."""
REGISTERED_AT = 1_760_000_000_000_000


def document(number: int) -> dict[str, Any]:
    """The metadata of one device; 300 bytes of JSON, give or take ten."""
    return {
        "device_type": ("sensor", "actuator", "gateway")[number % 3],
        "firmware_version": f"1.{number % 20}.{number % 7}",
        "battery_level": (number * 37 % 1_000) / 1_000,
        "floor": number % FLOORS,
        "region": f"region-{number % REGIONS:04}",
        "status": ("online", "away", "busy", "offline")[number % 4],
        "location": {"lat": number % 180 - 89.5, "lon": number % 360 - 179.5},
        "capabilities": ["temperature", "humidity", f"model-{number % 11}"],
        "note": "installed by the own crew of the building, inspected every spring",
    }


def identity(number: int) -> str:
    """The name of one device."""
    return f"device-{number:07}"


def devices(count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The first `count` devices."""
    return ((identity(number), document(number)) for number in range(count))


def pages(count: int, page_size: int) -> Iterator[IdentityPage]:
    """The first `count` devices as the wire's columnar pages."""
    for start in range(0, count, page_size):
        numbers = range(start, min(start + page_size, count))
        size = len(numbers)
        yield IdentityPage(
            identities=[identity(number) for number in numbers],
            metadata_json=[orjson.dumps(document(number)) for number in numbers],
            registered_at_us=[REGISTERED_AT + number for number in numbers],
            updated_at_us=[REGISTERED_AT + number for number in numbers],
            expires_at_us=[0] * size,
            revisions=[REGISTERED_AT + number for number in numbers],
            attached=[False] * size,
        )
