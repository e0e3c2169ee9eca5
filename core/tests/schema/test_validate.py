"""Checking metadata against a schema."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prism.filters import bind
from prism.model import json, time
from prism.model.errors import InvalidMetadata
from prism.schema import IdentitySchema, parse_schema

NOW = time.from_datetime(datetime(2025, 10, 9, 12, tzinfo=UTC))
PRESENCE = parse_schema({"status": "enum[online, away, busy, offline]", "room": "string"})


def check(source: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    return parse_schema(source).validate("someone", document, NOW)


def violations(source: dict[str, Any], document: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidMetadata) as caught:
        check(source, document)
    return [str(violation) for violation in caught.value.violations]


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("string", ""),
        ("string", "ünï 🦜"),
        ("int", -(2**63)),
        ("float", 1),
        ("float", 0.5),
        ("bool", False),
        ("version", "1.10.2"),
        ("version", "v2.0.0-rc.1+build"),
        ("enum[a, b]", "b"),
        ("timestamp", "2025-10-09T12:00:00.000000Z"),
        ("geo_point", {"lat": 90, "lon": -180.0}),
        ("geo_point", {"lat": 1.5, "lon": 2, "building": "HQ", "floor": 2}),
        ("array", [1, "x", None, {}]),
        ("array[string]", []),
        ("array[float]", [1, 2.5]),
        ("array[bool]", [True]),
        ("array[enum[a, b]]", ["a", "a"]),
        ("array[geo_point]", [{"lat": 0, "lon": 0}]),
        ("object", {"any": {"thing": [1]}}),
    ],
)
def test_a_value_of_the_type_passes_unchanged(declared: str, value: Any) -> None:
    assert check({"f": declared}, {"f": value}) == {"f": value}


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ("string", 1, "metadata.f: expected a string, got the number 1"),
        ("int", 1.0, "metadata.f: expected an integer, got the number 1.0"),
        ("int", True, "metadata.f: expected an integer, got the boolean true"),
        ("int", "1", 'metadata.f: expected an integer, got the string "1"'),
        ("float", True, "metadata.f: expected a number, got the boolean true"),
        ("float", "0.5", 'metadata.f: expected a number, got the string "0.5"'),
        ("bool", 0, "metadata.f: expected true or false, got the number 0"),
        ("version", 1.2, "metadata.f: expected a version as a string"),
        (
            "version",
            "latest",
            'metadata.f: expected a version as a string, such as "1.10.2" or "2.0.0-rc.1", got the st',
        ),
        ("version", "x" * 100, "metadata.f: expected a version as a string"),
        ("enum[online, away]", "onlin", 'metadata.f: "onlin" is not one of online, away; did you mean "online"?'),
        ("enum[online, away]", "zzz", 'metadata.f: "zzz" is not one of online, away'),
        ("enum[online, away]", ["online"], "metadata.f: expected a string, got a list"),
        ("timestamp", 1760011200, "metadata.f: expected an RFC 3339 timestamp as a string"),
        ("timestamp", "yesterday", "metadata.f: expected an RFC 3339 timestamp as a string"),
        ("timestamp", "2025-10-09T12:00:00", "metadata.f: expected an RFC 3339 timestamp as a string"),
        ("timestamp", "2025-W41-4T12:00:00Z", "metadata.f: expected an RFC 3339 timestamp as a string"),
        ("timestamp", "2025-02-30T12:00:00Z", 'metadata.f: "2025-02-30T12:00:00Z" is not a point in time'),
        ("timestamp", "2025-02-30T12:00:00.000000Z", "is not a point in time"),
        ("timestamp", "2025-10-09T24:00:00.000000Z", "is not a point in time"),
        ("timestamp", "0001-01-01T00:00:00+23:00", "is not a point in time"),
        ("geo_point", [1, 2], "metadata.f: expected an object with lat and lon in degrees, got a list"),
        ("geo_point", {"lat": 1}, "metadata.f.lon: expected degrees as a number, got nothing"),
        ("geo_point", {"lat": "1", "lon": 2}, 'metadata.f.lat: expected degrees as a number, got the string "1"'),
        ("geo_point", {"lat": True, "lon": 2}, "metadata.f.lat: expected degrees as a number, got the boolean true"),
        ("geo_point", {"lat": 90.1, "lon": 0}, "metadata.f.lat: 90.1 is not within -90 and 90 degrees"),
        ("geo_point", {"lat": 0, "lon": -181}, "metadata.f.lon: -181 is not within -180 and 180 degrees"),
        ("array", "x", 'metadata.f: expected a list, got the string "x"'),
        ("array[string]", ["a", 1], "metadata.f[1]: expected a string, got the number 1"),
        ("array[string]", ["a", None], "metadata.f[1]: expected a string, got null"),
        ("array[int]", [1, True], "metadata.f[1]: expected an integer, got the boolean true"),
        ("array[enum[a, b]]", ["c"], 'metadata.f[0]: "c" is not one of a, b'),
        ("array[array[int]]", [[1], ["x"]], "metadata.f[1][0]: expected an integer"),
        ("object", 5, "metadata.f: expected an object, got the number 5"),
    ],
)
def test_a_value_of_another_type_is_refused(declared: str, value: Any, expected: str) -> None:
    (violation,) = violations({"f": declared}, {"f": value})
    assert expected in violation


def test_a_near_miss_is_told_as_the_design_promises() -> None:
    with pytest.raises(InvalidMetadata) as caught:
        PRESENCE.validate("x", {"status": "onlin"}, NOW)
    expected = 'metadata.status: "onlin" is not one of online, away, busy, offline; did you mean "online"?'
    assert str(caught.value) == expected


def test_all_violations_are_reported_at_once() -> None:
    found = violations({"a": "int", "b": "string", "c": {"type": "bool", "required": True}}, {"a": "x", "b": 1})
    assert [text.split(":")[0] for text in found] == ["metadata.a", "metadata.b", "metadata.c"]


@pytest.mark.parametrize(
    ("given", "fixed"),
    [
        ("2025-10-09T12:00:00Z", "2025-10-09T12:00:00.000000Z"),
        ("2025-10-09t12:00:00.5z", "2025-10-09T12:00:00.500000Z"),
        ("2025-10-09 14:00:00+02:00", "2025-10-09T12:00:00.000000Z"),
        ("2025-10-09T12:00:00.123456789Z", "2025-10-09T12:00:00.123456Z"),
    ],
)
def test_timestamps_become_fixed_width_text_in_utc(given: str, fixed: str) -> None:
    assert check({"t": "timestamp"}, {"t": given}) == {"t": fixed}


def test_timestamps_inside_arrays_are_normalised_too() -> None:
    fixed = check({"t": "array[timestamp]"}, {"t": ["2025-10-09T12:00:00Z"]})
    assert fixed == {"t": ["2025-10-09T12:00:00.000000Z"]}


@pytest.mark.parametrize("document", [{}, {"s": None}])
def test_a_default_fills_in_what_is_missing_or_null(document: dict[str, Any]) -> None:
    assert check({"s": {"type": "string", "default": "x"}}, document) == {"s": "x"}


def test_a_default_leaves_a_given_value_alone() -> None:
    assert check({"n": {"type": "int", "default": 5}}, {"n": 0}) == {"n": 0}


def test_a_mutable_default_is_not_shared() -> None:
    schema = parse_schema({"tags": {"type": "array[string]", "default": []}})
    schema.validate("a", {}, NOW)["tags"].append("changed")
    assert schema.validate("b", {}, NOW) == {"tags": []}


def test_auto_now_is_the_time_of_registration() -> None:
    assert check({"t": {"type": "timestamp", "auto": "now"}}, {}) == {"t": "2025-10-09T12:00:00.000000Z"}


def test_auto_now_leaves_a_given_time_alone() -> None:
    document = {"t": "2020-01-01T00:00:00.000000Z"}
    assert check({"t": {"type": "timestamp", "auto": "now"}}, dict(document)) == document


@pytest.mark.parametrize(("document", "state"), [({}, "is missing"), ({"n": None}, "is null")])
def test_a_required_field_must_have_a_value(document: dict[str, Any], state: str) -> None:
    expected = [f"metadata.n: {state}, but the schema requires it"]
    assert violations({"n": {"type": "int", "required": True}}, document) == expected


def test_an_optional_field_may_be_null() -> None:
    assert check({"n": "int"}, {"n": None}) == {"n": None}


def test_max_length_counts_characters_not_bytes() -> None:
    source = {"s": {"type": "string", "max_length": 3}}
    assert check(source, {"s": "🦜🦜🦜"}) == {"s": "🦜🦜🦜"}
    (text,) = violations(source, {"s": "abcd"})
    assert text == "metadata.s: 4 characters are over the schema's max_length of 3; shorten it"


def test_max_length_of_an_array_counts_items() -> None:
    (text,) = violations({"a": {"type": "array[int]", "max_length": 2}}, {"a": [1, 2, 3]})
    assert text.startswith("metadata.a: 3 items are over the schema's max_length of 2")


def test_max_length_of_array_items_holds_for_each() -> None:
    source = {"a": {"type": "array", "items": {"type": "string", "max_length": 2}}}
    (text,) = violations(source, {"a": ["ab", "abc"]})
    assert text.startswith("metadata.a[1]: 3 characters")


def test_an_open_schema_takes_fields_it_lacks() -> None:
    document = {"status": "online", "capabilities": ["chat"], "location": {"building": "HQ"}}
    assert PRESENCE.validate("x", dict(document), NOW) == document


def test_a_closed_schema_refuses_fields_it_lacks() -> None:
    source = {"fields": {"status": "string", "room": "string"}, "additional_fields": False}
    (text,) = violations(source, {"statsu": "x"})
    assert text == 'metadata.statsu: the schema has no such field (it has: room, status); did you mean "status"?'


def test_nested_fields_are_checked_and_filled_in() -> None:
    inner = {"type": "object", "fields": {"cpu": "int", "kind": {"type": "string", "default": "x"}}}
    assert check({"r": inner}, {"r": {"cpu": 4, "other": 1}}) == {"r": {"cpu": 4, "other": 1, "kind": "x"}}
    assert violations({"r": inner}, {"r": {"cpu": "4"}})[0].startswith("metadata.r.cpu: expected an integer")


def test_defaults_inside_a_missing_object_do_not_create_it() -> None:
    inner = {"type": "object", "fields": {"kind": {"type": "string", "default": "x", "required": True}}}
    assert check({"r": inner}, {}) == {}


def test_a_nested_object_can_be_closed_by_itself() -> None:
    inner = {"type": "object", "fields": {"cpu": "int"}, "additional_fields": False}
    assert violations({"r": inner}, {"r": {"gpu": 1}, "more": 1})[0].startswith("metadata.r.gpu: the schema has no")


def test_objects_in_arrays_are_checked_field_by_field() -> None:
    source = {"a": {"type": "array", "items": {"type": "object", "fields": {"n": "int"}}}}
    assert violations(source, {"a": [{"n": 1}, {"n": "x"}]})[0].startswith("metadata.a[1].n: expected an integer")


KEYED = {"fields": {"id": "string"}, "primary_key": "id"}


@pytest.mark.parametrize("document", [{}, {"id": None}, {"id": "someone"}])
def test_the_primary_key_is_the_identity(document: dict[str, Any]) -> None:
    assert check(KEYED, document) == {"id": "someone"}


def test_a_primary_key_that_differs_is_refused() -> None:
    (text,) = violations(KEYED, {"id": "else"})
    assert text.startswith(
        'metadata.id: is the primary key and must equal the identity "someone", got the string "else"'
    )


def test_a_required_primary_key_is_filled_in() -> None:
    source = {"fields": {"id": {"type": "string", "required": True}}, "primary_key": "id"}
    assert check(source, {}) == {"id": "someone"}


def test_the_types_are_what_a_filter_is_bound_to() -> None:
    view: bind.SchemaView = parse_schema({"r": {"type": "object", "fields": {"cpu": "int"}}, "v": "version"})
    found = view.field_type(("r", "cpu"))
    assert found is not None
    assert found.kind == "int"
    assert view.field_type(("unknown",)) is None
    assert list(view.names()) == ["r", "r.cpu", "v"]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
EVERYTHING = parse_schema(
    {
        "a": "string",
        "b": "int",
        "c": {"type": "float", "default": 1},
        "d": "array[timestamp]",
        "e": {"type": "object", "fields": {"x": "enum[p, q]", "y": "geo_point"}},
        "f": {"type": "timestamp", "auto": "now"},
        "g": "version",
    }
)


@given(st.dictionaries(st.sampled_from("abcdefgh"), JSON_VALUES))
def test_metadata_that_passed_once_passes_again_unchanged(document: dict[str, Any]) -> None:
    once = json.decode(json.encode(document))
    with contextlib.suppress(InvalidMetadata):
        EVERYTHING.validate("x", once, NOW)
        again = EVERYTHING.validate("x", json.decode(json.encode(once)), NOW + 1)
        assert again == once


@given(st.dictionaries(st.sampled_from("abcdefgh"), JSON_VALUES))
def test_only_invalid_metadata_is_ever_raised_and_every_violation_has_a_place(document: dict[str, Any]) -> None:
    found: list[str] = []
    try:
        EVERYTHING.validate("x", json.decode(json.encode(document)), NOW)
    except InvalidMetadata as error:
        found = [violation.field for violation in error.violations]
    assert all(field.startswith("metadata.") for field in found)


def test_a_schema_has_a_readable_repr() -> None:
    assert repr(IdentitySchema()) == "IdentitySchema(fields=(), closed=False, primary_key=None)"
