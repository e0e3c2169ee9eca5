"""Points, great-circle distance and boxes on a sphere of the Earth's mean radius. Degrees and metres."""

from __future__ import annotations

from math import asin, cos, degrees, pi, radians, sin, sqrt

from prism.filters.ast import Box, Near

EARTH_RADIUS_M = 6_371_008.8
"""The mean radius (IUGG R1)."""

_MARGIN = 1e-6
"""Degrees (about 0.1 m) by which bounding boxes are wider than exact, so that rounding can't lose a point."""


def point(value: object) -> tuple[float, float] | None:
    """Latitude and longitude of a metadata value, None unless it is an object with both, as numbers in range."""
    if not isinstance(value, dict):
        return None
    lat, lon = value.get("lat"), value.get("lon")
    if lat.__class__ not in (int, float) or lon.__class__ not in (int, float):
        return None
    if -90 <= lat <= 90 and -180 <= lon <= 180:
        return lat, lon
    return None


def distance_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """The great-circle distance of two points in metres (haversine formula)."""
    phi1, phi2 = radians(lat1), radians(lat2)
    half_chord = sin((phi2 - phi1) / 2) ** 2 + cos(phi1) * cos(phi2) * sin(radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(half_chord)))


def is_near(value: object, near: Near) -> bool:
    """True when the value is a point at most `near.radius_m` metres from the centre."""
    place = point(value)
    return place is not None and distance_m(near.lat, near.lon, *place) <= near.radius_m


def is_within(value: object, box: Box) -> bool:
    """True when the value is a point in the box or on its edge."""
    place = point(value)
    if place is None:
        return False
    lat, lon = place
    if not box.south <= lat <= box.north:
        return False
    if box.west <= box.east:
        return box.west <= lon <= box.east
    return lon >= box.west or lon <= box.east


def bounding_box(near: Near) -> list[Box]:
    """One or two boxes that hold every point of the circle, none of them across the antimeridian.

    A superset: a backend that pushes it down answers INEXACT.
    """
    angle = near.radius_m / EARTH_RADIUS_M
    height = degrees(angle) + _MARGIN
    south, north = max(-90.0, near.lat - height), min(90.0, near.lat + height)
    if angle >= pi / 2 or south <= -90.0 or north >= 90.0:  # a pole is inside: every longitude is
        return [Box(south, -180.0, north, 180.0)]
    # The widest parallel isn't the centre's: asin(sin r / cos lat) is the longitude of the tangent meridian.
    width = degrees(asin(min(1.0, sin(angle) / cos(radians(near.lat))))) + _MARGIN
    west, east = near.lon - width, near.lon + width
    if west < -180.0:
        return [Box(south, west + 360.0, north, 180.0), Box(south, -180.0, north, east)]
    if east > 180.0:
        return [Box(south, west, north, 180.0), Box(south, -180.0, north, east - 360.0)]
    return [Box(south, west, north, east)]
