"""The demo's data: the airports of the package `airportsdata`, and plain computations over them.

What is computed here uses none of Prism's code: it is what Prism's answers are checked against.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

NAMESPACE = "airports"

SCHEMA: dict[str, Any] = {
    "primary_key": "icao",
    "fields": {
        "icao": {"type": "string", "required": True},
        "iata": "string",
        "name": {"type": "string", "required": True},
        "city": "string",
        "country": {"type": "string", "required": True, "index": True},
        "subd": "string",
        "elevation": {"type": "float"},
        "location": {"type": "geo_point", "required": True},
        "tz": "string",
    },
}
"""The namespace's identity schema. Elevation is feet."""

LIVE = ("AT", "CH", "IE", "IS", "NO")
"""Countries (ISO 3166) whose airports attach as live sessions."""

GATEWAYS = ("IS", "NO")
"""Those of them that share one stream per country."""

HOME = "LSZH"
"""Zurich: the centre of what is sent, and the session that runs in a process of its own."""

EARTH_RADIUS = 6_371_008.8
"""Mean radius, metres."""

Airport: TypeAlias = dict[str, Any]


def load(count: int | None) -> dict[str, Airport]:
    """All airports by ICAO code, or `count` of them: those that attach first."""
    import airportsdata  # noqa: PLC0415 - reads the whole data set

    raw: dict[str, Any] = dict(airportsdata.load("ICAO"))
    order = sorted(raw, key=lambda icao: (raw[icao]["country"] not in LIVE, icao))
    return {icao: _airport(raw[icao]) for icao in order[:count]}


def select(airports: dict[str, Airport], matches: Callable[[Airport], bool]) -> set[str]:
    """The codes of the airports that match."""
    return {icao for icao, airport in airports.items() if matches(airport)}


def distance(one: Airport, other: Airport) -> float:
    """Metres along the great circle (haversine formula)."""
    south, north = math.radians(one["location"]["lat"]), math.radians(other["location"]["lat"])
    turn = math.radians(other["location"]["lon"] - one["location"]["lon"])
    half = math.sin((north - south) / 2) ** 2 + math.cos(south) * math.cos(north) * math.sin(turn / 2) ** 2
    return 2 * EARTH_RADIUS * math.asin(math.sqrt(half))


def _airport(raw: dict[str, Any]) -> Airport:
    """The metadata of one airport; what it doesn't have is left out."""
    texts = {key: raw[key] for key in ("icao", "iata", "name", "city", "country", "subd", "tz") if raw[key]}
    return {**texts, "elevation": raw["elevation"], "location": {"lat": raw["lat"], "lon": raw["lon"]}}
