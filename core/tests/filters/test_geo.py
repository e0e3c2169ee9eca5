"""Distances, boxes, and boxes around circles."""

from math import asin, atan2, cos, degrees, radians, sin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prism.filters.ast import Near
from prism.filters.geo import EARTH_RADIUS_M, bounding_box, distance_m, is_near, is_within

latitudes = st.floats(-90, 90) | st.sampled_from([-90.0, 0.0, 90.0, 89.999])
longitudes = st.floats(-180, 180) | st.sampled_from([-180.0, 180.0, 179.999])
radii = st.floats(0, 2.1e7) | st.sampled_from([0.0, 1.0, 1000.0])


def vector(lat: float, lon: float) -> tuple[float, float, float]:
    phi, theta = radians(lat), radians(lon)
    return cos(phi) * cos(theta), cos(phi) * sin(theta), sin(phi)


@pytest.mark.parametrize(
    ("start", "end", "metres"),
    [
        ((0, 0), (0, 180), 20_015_114),
        ((90, 0), (-90, 77), 20_015_114),
        ((0, 0), (0, 1), 111_195),
        ((0, 179.5), (0, -179.5), 111_195),
        ((12.5, 3.5), (12.5, 3.5), 0),
    ],
)
def test_distance_is_the_great_circle(start: tuple[float, float], end: tuple[float, float], metres: int) -> None:
    assert distance_m(*start, *end) == pytest.approx(metres, rel=2e-3, abs=1e-6)
    assert distance_m(*end, *start) == pytest.approx(metres, rel=2e-3, abs=1e-6)


@given(latitudes, longitudes, latitudes, longitudes)
@settings(max_examples=200, deadline=None)
def test_distance_is_the_angle_between_the_points_as_vectors(lat: float, lon: float, lat2: float, lon2: float) -> None:
    start, end = vector(lat, lon), vector(lat2, lon2)
    across = sum((a - b) ** 2 for a, b in zip(start, end, strict=True)) ** 0.5
    along = sum((a + b) ** 2 for a, b in zip(start, end, strict=True)) ** 0.5
    expected = 2 * EARTH_RADIUS_M * atan2(across, along)
    assert distance_m(lat, lon, lat2, lon2) == pytest.approx(expected, rel=1e-6, abs=0.5)


@given(latitudes, longitudes, latitudes, longitudes, radii)
@settings(max_examples=300, deadline=None)
def test_bounding_boxes_hold_the_whole_circle(lat: float, lon: float, lat2: float, lon2: float, radius: float) -> None:
    near, place = Near(lat, lon, radius), {"lat": lat2, "lon": lon2}
    if is_near(place, near):
        assert any(is_within(place, box) for box in bounding_box(near))


@given(latitudes, longitudes, st.floats(0, 3e6), st.floats(0, 359.9))
@settings(max_examples=300, deadline=None)
def test_bounding_boxes_hold_the_rim_of_the_circle(lat: float, lon: float, radius: float, bearing: float) -> None:
    angle, phi, turn = radius * 0.999 / EARTH_RADIUS_M, radians(lat), radians(bearing)
    phi2 = asin(max(-1.0, min(1.0, sin(phi) * cos(angle) + cos(phi) * sin(angle) * cos(turn))))
    east = degrees(atan2(sin(turn) * sin(angle) * cos(phi), cos(angle) - sin(phi) * sin(phi2)))
    place = {"lat": degrees(phi2), "lon": (lon + east + 180) % 360 - 180}
    assert any(is_within(place, box) for box in bounding_box(Near(lat, lon, radius)))


@given(latitudes, longitudes, radii)
@settings(max_examples=100, deadline=None)
def test_bounding_boxes_are_boxes_in_range_that_cross_nothing(lat: float, lon: float, radius: float) -> None:
    for box in bounding_box(Near(lat, lon, radius)):
        assert -90 <= box.south <= box.north <= 90
        assert -180 <= box.west <= box.east <= 180


def test_bounding_box_of_a_small_circle_is_small() -> None:
    [box] = bounding_box(Near(47, 8, 1000))
    assert box.north - box.south == pytest.approx(0.018, abs=0.001)
    assert box.east - box.west == pytest.approx(0.0264, abs=0.001)


@pytest.mark.parametrize(("lat", "radius"), [(70.0, 1.5e6), (-70.0, 1.5e6), (45.0, 4e6), (0.0, 9e6), (85.0, 5e5)])
def test_bounding_box_is_as_wide_as_the_circle_nearer_to_the_pole(lat: float, radius: float) -> None:
    angle = radius * 0.999999 / EARTH_RADIUS_M
    widest = {
        "lat": degrees(asin(sin(radians(lat)) / cos(angle))),
        "lon": degrees(asin(sin(angle) / cos(radians(lat)))),
    }
    assert is_near(widest, Near(lat, 0.0, radius))
    assert any(is_within(widest, box) for box in bounding_box(Near(lat, 0.0, radius)))
