"""The devices: a building full of them, and the world's airports as outdoor stations. Plain data, and plain questions.

What is computed here uses nothing of Prism: it is what the registry's answers are held against.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import airportsdata

Device: TypeAlias = dict[str, Any]
Fleet: TypeAlias = dict[str, Device]

BUILDING = "HQ"
FLOORS = 6
ROOMS = 20
HQ = {"lat": 37.7749, "lon": -122.4194}
FIRMWARE = ("1.0.3", "1.0.7", "1.1.0", "2.0.1", "10.0.1", "2.1.0", "1.1.2", "2.0.1", "2.1.0", "2.1.0")
"""What devices run, in about equal parts. 10.0.1 doesn't begin with 1.0."""
EARTH_RADIUS_KM = 6_371.0088


def building() -> Fleet:
    """A temperature sensor and a lamp in each room of HQ, and a gateway on each floor."""
    fleet: Fleet = {}
    for floor in range(1, FLOORS + 1):
        fleet[f"gateway-floor{floor}"] = _device(f"gateway-floor{floor}", "gateway", _indoors(floor, 0), ["uplink"])
        for room in range(1, ROOMS + 1):
            place = f"floor{floor}-room{room}"
            for kind, name, able in (
                ("sensor", f"sensor-temp-{place}", ["temperature", "humidity"]),
                ("actuator", f"lamp-{place}", ["dim"]),
            ):
                fleet[name] = _device(name, kind, _indoors(floor, room), able)
    return fleet


def stations(count: int | None = None, first: Collection[str] = ()) -> Fleet:
    """A weather station at each airport that the package `airportsdata` knows.

    Args:
        count: only so many.
        first: countries (ISO 3166) whose airports come first.
    """
    fleet: Fleet = {}
    airports = airportsdata.load("ICAO").items()
    for icao, airport in sorted(airports, key=lambda each: (each[1]["country"] not in first, each[0]))[:count]:
        location = {"lat": airport["lat"], "lon": airport["lon"], "country": airport["country"]}
        name = f"station-{icao}"
        fleet[name] = _device(name, "sensor", location, ["wind", "temperature"])
    return fleet


def select(fleet: Fleet, matches: Callable[[Device], bool]) -> set[str]:
    """The names of the devices that match."""
    return {name for name, device in fleet.items() if matches(device)}


def distance_km(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Along the great circle."""
    south, north = math.radians(one["lat"]), math.radians(other["lat"])
    turn = math.radians(other["lon"] - one["lon"])
    half = math.sin((north - south) / 2) ** 2 + math.cos(south) * math.cos(north) * math.sin(turn / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(half))


def _indoors(floor: int, room: int) -> dict[str, Any]:
    shift = room / 100_000
    return {"lat": HQ["lat"] + shift, "lon": HQ["lon"] + shift, "building": BUILDING, "floor": floor, "room": room}


def _device(name: str, kind: str, location: dict[str, Any], capabilities: list[str]) -> Device:
    """Firmware and battery follow from the name, so that every run has the same fleet."""
    number = zlib.crc32(name.encode())
    return {
        "device_id": name,
        "device_type": kind,
        "location": location,
        "firmware_version": FIRMWARE[number % len(FIRMWARE)],
        "battery_level": number // 16 % 101 / 100,
        "capabilities": capabilities,
    }
