"""Reading identity schemas, in short and long form, and refusing unsound ones."""

from __future__ import annotations

from typing import Any

import pytest
from prism.model.errors import InvalidSchema
from prism.schema import Field, FieldType, IdentitySchema, Kind, parse_schema

RFC_LONG_FORM = {
    "primary_key": "string",
    "fields": {
        "user_id": {"type": "string", "required": True},
        "display_name": {"type": "string", "max_length": 100},
        "status": {"type": "enum", "values": ["online", "away", "busy", "offline"], "default": "offline"},
        "current_room": {"type": "string", "required": False, "index": True},
        "last_activity": {"type": "timestamp", "auto": "now"},
        "capabilities": {"type": "array", "items": "string"},
    },
}


def violations(source: Any) -> list[str]:
    with pytest.raises(InvalidSchema) as caught:
        parse_schema(source)
    return [str(violation) for violation in caught.value.violations]


def test_the_short_form_reads_every_type() -> None:
    schema = parse_schema(
        {
            "a": "string",
            "b": "int",
            "c": "float",
            "d": "bool",
            "e": "timestamp",
            "f": "version",
            "g": "geo_point",
            "h": "object",
            "i": "array",
            "j": "array[string]",
            "k": "enum[online, away]",
            "l": "array[enum[x, y]]",
            "m": "array[array[int]]",
        }
    )
    kinds = [str(field.type) for field in schema.fields]
    assert kinds == [
        "string",
        "int",
        "float",
        "bool",
        "timestamp",
        "version",
        "geo_point",
        "object",
        "array",
        "array[string]",
        "enum[online, away]",
        "array[enum[x, y]]",
        "array[array[int]]",
    ]
    assert not schema.closed
    assert schema.primary_key is None


def test_the_long_form_of_the_rfc_reads_as_printed() -> None:
    schema = parse_schema(RFC_LONG_FORM)
    fields = {field.name: field for field in schema.fields}
    assert fields["user_id"].required
    assert fields["display_name"].type.max_length == 100
    assert fields["status"].type.values == ("online", "away", "busy", "offline")
    assert fields["status"].default == "offline"
    assert fields["current_room"].index
    assert fields["last_activity"].auto_now
    assert fields["capabilities"].type.items == FieldType(Kind.STRING)


def test_the_rfcs_primary_key_string_names_a_type_and_adds_no_field() -> None:
    assert parse_schema(RFC_LONG_FORM).primary_key is None


def test_a_short_form_field_may_be_a_mapping() -> None:
    schema = parse_schema({"room": {"type": "string", "index": True}, "status": "enum[a, b]"})
    assert schema.fields[0] == Field("room", FieldType(Kind.STRING), index=True)


def test_a_long_form_field_may_be_a_type_text() -> None:
    assert parse_schema({"fields": {"n": "int"}}) == parse_schema({"n": "int"})


def test_a_type_text_with_brackets_works_under_type_too() -> None:
    schema = parse_schema({"s": {"type": "enum[a, b]", "default": "a"}, "t": {"type": "array[int]", "max_length": 2}})
    assert schema.fields[0].type.values == ("a", "b")
    assert str(schema.fields[1].type) == "array[int]"


def test_objects_nest() -> None:
    inner = {"type": "object", "fields": {"cpu": {"type": "int", "index": True}}, "additional_fields": False}
    schema = parse_schema({"resources": inner})
    assert schema.fields[0].type.closed
    assert schema.indexed_fields == ((("resources", "cpu"), "int"),)


def test_array_items_may_be_a_mapping() -> None:
    schema = parse_schema({"a": {"type": "array", "items": {"type": "object", "fields": {"n": "int"}}}})
    assert schema.fields[0].type.items == FieldType(Kind.OBJECT, fields=(Field("n", FieldType(Kind.INT)),))


def test_a_field_called_like_a_long_form_key_is_a_field_in_the_short_form() -> None:
    schema = parse_schema({"fields": "object", "primary_key": "string"})
    assert [field.name for field in schema.fields] == ["fields", "primary_key"]


def test_keys_with_dots_are_taken_as_they_are() -> None:
    schema = parse_schema({"a.b": {"type": "string", "index": True}})
    assert schema.indexed_fields == ((("a.b",), "string"),)
    assert schema.names() == [r"a\.b"]


def test_an_empty_schema_declares_nothing() -> None:
    assert parse_schema({}) == IdentitySchema()


def test_a_default_is_stored_normalised() -> None:
    schema = parse_schema({"t": {"type": "timestamp", "default": "2025-10-09T14:00:00+02:00"}})
    assert schema.fields[0].default == "2025-10-09T12:00:00.000000Z"


def test_every_mistake_is_reported_at_once() -> None:
    found = violations({"fields": {"a": "strng", "b": {"type": "enum", "values": []}}, "additional_fields": "no"})
    assert len(found) == 3


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"a": "strng"}, 'identity_schema.a: unknown type "strng"; allowed are string, int,'),
        ({"a": "strng"}, '; did you mean "string"?'),
        ({"a": "integer"}, '; did you mean "int"?'),
        ({"a": "Boolean"}, '; did you mean "bool"?'),
        ({"a": "array[foo]"}, 'identity_schema.a: unknown type "foo"'),
        ({"a": "string[5]"}, "identity_schema.a: string takes nothing in brackets"),
        ({"a": "enum"}, "identity_schema.a: an enum needs at least one value"),
        ({"a": "enum[]"}, "identity_schema.a: an enum needs at least one value"),
        ({"a": "enum[x, ]"}, "identity_schema.a: an enum value is empty"),
        ({"a": "enum[x, x]"}, 'identity_schema.a: "x" stands there twice'),
        ({"a": "enum[x"}, 'identity_schema.a: unknown type "enum[x"'),
        ({"a": ["x", "y"]}, "identity_schema.a: expected a type, one of string"),
        ({"a": ["x", "y"]}, "got a list; write the allowed values as enum[a, b]"),
        ({"a": None}, "got null"),
        ({"a": True}, "got the boolean true"),
        ({1: "string"}, "field names are non-empty strings, got the number 1; quote it"),
        ({"": "string"}, "field names are non-empty strings, got an empty name"),
        ([], "identity_schema: expected a mapping of field names to types, got a list"),
        ({"a": {}}, "identity_schema.a.type: expected one of string"),
        ({"a": {"type": 5}}, "got the number 5"),
        ({"a": {"type": "int", "requird": True}}, "identity_schema.a.requird: unknown key; allowed are type, required"),
        ({"a": {"type": "int", "requird": True}}, 'did you mean "required"?'),
        ({"a": {"type": "nope", "requird": True}}, 'did you mean "required"?'),
        ({"a": {"type": "int", "required": "yes"}}, "identity_schema.a.required: expected true or false, got the str"),
        ({"a": {"type": "int", "default": "x"}}, "identity_schema.a.default: expected an integer, got the string"),
        ({"a": {"type": "int", "default": 1.0}}, "identity_schema.a.default: expected an integer, got the number 1.0"),
        ({"a": {"type": "int", "default": None}}, "identity_schema.a.default: null is no default"),
        ({"a": {"type": "int", "default": 2**63}}, "does not fit a 64-bit signed integer"),
        ({"a": {"type": "enum[x, y]", "default": "z"}}, 'identity_schema.a.default: "z" is not one of x, y'),
        ({"a": {"type": "geo_point", "default": {"lat": 1}}}, "identity_schema.a.default: lon: expected degrees"),
        ({"a": {"type": "array[int]", "default": [1, "x"]}}, "identity_schema.a.default: [1]: expected an integer"),
        ({"a": {"type": "int", "auto": "now"}}, "identity_schema.a.auto: now is for fields of type timestamp, not int"),
        ({"a": {"type": "timestamp", "auto": "later"}}, 'identity_schema.a.auto: expected "now"'),
        ({"a": {"type": "timestamp", "auto": "now", "default": "x"}}, "a field with `auto: now` takes no default"),
        ({"a": {"type": "int", "max_length": 3}}, "identity_schema.a.max_length: is for string and array, not int"),
        ({"a": {"type": "string", "max_length": 0}}, "identity_schema.a.max_length: expected a whole number from 1"),
        ({"a": {"type": "string", "max_length": True}}, "identity_schema.a.max_length: expected a whole number"),
        ({"a": {"type": "string", "values": ["x"]}}, "identity_schema.a.values: is for enum, not string"),
        ({"a": {"type": "int", "items": "int"}}, "identity_schema.a.items: is for array, not int"),
        ({"a": {"type": "array", "items": {"type": "int", "index": True}}}, "identity_schema.a.items.index: unknown"),
        ({"a": {"type": "array[int]", "items": "int"}}, "the item type stands in the type already"),
        ({"a": {"type": "enum[x]", "values": ["x"]}}, "the values stand in the type already"),
        ({"a": {"type": "enum", "values": "x"}}, "identity_schema.a.values: expected a list of strings"),
        ({"a": {"type": "enum", "values": [True]}}, "quote it, YAML reads on, off, yes and no as booleans"),
        ({"a": {"type": "enum", "values": [1]}}, "enum values are strings, got the number 1; quote it"),
        ({"fields": {"s": {"type": "enum", "values": ["x", "x"]}}}, "identity_schema.fields.s.values: "),
        ({"a": {"type": "object", "index": True}}, "identity_schema.a.index: object can't be indexed"),
        ({"a": {"type": "array", "index": True}}, "identity_schema.a.index: array can't be indexed"),
        ({"a": {"type": "array[array[int]]", "index": True}}, "identity_schema.a.index: array[array[int]] can't be"),
        ({"a": {"type": "object", "fields": ["x"]}}, "identity_schema.a.fields: expected a mapping of field names"),
        (
            {"a": {"type": "array", "items": {"type": "object", "fields": {"n": {"type": "int", "index": True}}}}},
            "identity_schema.a.items: fields inside array items can't be indexed",
        ),
        ({"additional_fields": False, "a": "int"}, "identity_schema.additional_fields: is a key of the long form"),
        ({"primary_key": "id", "id": "string"}, "identity_schema.primary_key: is a key of the long form"),
        ({"fields": {"id": "string"}, "primary_key": "ide"}, '"ide" is not one of the fields (id); did you mean "id"?'),
        ({"fields": {"id": "string"}, "primary_key": 5}, "identity_schema.primary_key: expected a field's name"),
        ({"fields": {"id": "int"}, "primary_key": "id"}, '"id" is of type int; a primary key equals the identity'),
        (
            {"fields": {"id": {"type": "string", "default": "x"}}, "primary_key": "id"},
            "identity_schema.fields.id.default: the primary key is filled in",
        ),
        (
            {"fields": {}, "primery_key": "id"},
            "unknown key; allowed are primary_key, fields, additional_fields; did you",
        ),
    ],
)
def test_an_unsound_schema_is_refused_with_the_place_and_the_fix(source: Any, expected: str) -> None:
    assert any(expected in text for text in violations(source)), violations(source)


def test_a_type_that_nests_too_deep_is_refused() -> None:
    assert "nested deeper than 32 levels" in violations({"a": "array[" * 40 + "int" + "]" * 40})[0]


def test_a_mapping_that_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {"type": "object"}
    endless["fields"] = {"again": endless}
    assert "nested deeper" in violations({"a": endless})[0]


def test_schemas_that_declare_the_same_are_equal() -> None:
    assert parse_schema(RFC_LONG_FORM) == parse_schema(dict(RFC_LONG_FORM))
    assert parse_schema({"a": "int"}) != parse_schema({"a": "float"})


def test_indexed_fields_have_keys_and_the_name_of_the_type() -> None:
    schema = parse_schema({t: {"type": t, "index": True} for t in ("string", "geo_point", "version", "array[string]")})
    assert [kind for _, kind in schema.indexed_fields] == ["string", "geo_point", "version", "array"]
