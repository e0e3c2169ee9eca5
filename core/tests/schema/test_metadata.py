"""From a caller's metadata to the bytes a registry stores."""

from __future__ import annotations

import json as standard_json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prism.model import json
from prism.model.errors import InvalidMetadata, LimitExceeded
from prism.model.limits import Limits
from prism.schema import IdentitySchema, merge_patch, parse_schema, prepare_metadata, prepare_metadata_json

LIMITS = Limits()


def prepare(metadata: Any, schema: IdentitySchema | None = None, limits: Limits = LIMITS) -> Any:
    return json.decode(prepare_metadata("someone", metadata, schema, limits, 0))


def refusal(metadata: Any) -> str:
    with pytest.raises(InvalidMetadata) as caught:
        prepare(metadata)
    return str(caught.value)


def test_a_mapping_becomes_compact_json() -> None:
    assert prepare_metadata("x", {"a": 1, "b": ["ü"]}, None, LIMITS, 0) == '{"a":1,"b":["ü"]}'.encode()


def test_no_metadata_is_an_empty_object() -> None:
    assert prepare_metadata("x", None, None, LIMITS, 0) == b"{}"


def test_json_bytes_are_taken_as_well() -> None:
    assert prepare_metadata("x", b' { "a" : 1 } ', None, LIMITS, 0) == b'{"a":1}'


def test_the_callers_mapping_is_left_alone() -> None:
    metadata: dict[str, Any] = {"nested": {"t": "2025-10-09T12:00:00Z"}}
    inner = {"type": "object", "fields": {"t": "timestamp", "n": {"type": "int", "default": 1}}}
    prepare(metadata, parse_schema({"nested": inner}))
    assert metadata == {"nested": {"t": "2025-10-09T12:00:00Z"}}


def test_the_schema_completes_both_forms_alike() -> None:
    schema = parse_schema({"s": {"type": "string", "default": "x"}, "t": {"type": "timestamp", "auto": "now"}})
    expected = {"a": 1, "s": "x", "t": "1970-01-01T00:00:00.000000Z"}
    assert prepare({"a": 1}, schema) == prepare(b'{"a":1}', schema) == expected


def test_json_is_checked_against_the_schema() -> None:
    with pytest.raises(InvalidMetadata, match=r"metadata\.s: expected a string"):
        prepare(b'{"s":1}', parse_schema({"s": "string"}))


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ([1], "metadata: expected an object, got a list"),
        (b"[1]", "metadata: expected an object, got a list"),
        (b"null", "metadata: expected an object, got null"),
        (b"", "metadata: is not valid JSON"),
        (b"{", "metadata: is not valid JSON"),
        (b'{"a":1} x', "metadata: is not valid JSON"),
        (b'{"a":NaN}', "metadata: is not valid JSON"),
        (b'{"a":1e999}', "metadata: is not valid JSON"),
        (b'{"a":"\xff"}', "metadata: is not valid JSON"),
        (rb'{"a":"\ud800"}', "metadata: is not valid JSON"),
        ({"a": float("nan")}, "metadata.a: nan is not a JSON number"),
        ({"a": object()}, "metadata.a: expected a JSON value"),
        ({1: "a"}, "metadata: keys must be strings"),
        ({"a": "\ud800"}, "metadata.a: text holds a lone surrogate"),
    ],
)
def test_what_is_no_json_object_is_refused(metadata: Any, expected: str) -> None:
    assert refusal(metadata).startswith(expected)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**30])
def test_an_integer_beyond_64_bits_in_json_is_refused_never_rounded(number: int) -> None:
    assert refusal(f'{{"a":[{{"b":{number}}}]}}'.encode()).endswith("does not fit a 64-bit signed integer")


def test_an_integer_beyond_any_float_is_refused() -> None:
    assert "not valid JSON" in refusal(b'{"a":' + b"1" * 5_000 + b"}")


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 0, 10**18])
def test_a_64_bit_integer_in_json_survives_exactly(number: int) -> None:
    assert prepare(f'{{"a":{number}}}'.encode()) == {"a": number}


@pytest.mark.parametrize(
    "text",
    ['{"a":0.1234567890123456789012}', '{"a":1e30}', '{"a":"12345678901234567890123"}', '{"99999999999999999999":1}'],
)
def test_long_runs_of_digits_that_are_no_integers_are_fine(text: str) -> None:
    assert prepare(text.encode()) == standard_json.loads(text)


def test_of_duplicate_keys_in_json_the_last_wins() -> None:
    assert prepare_metadata_json("x", b'{"a":1,"a":2}', None, LIMITS, 0) == b'{"a":2}'


@pytest.mark.parametrize("depth", [33, 200, 1_000])
def test_json_nested_too_deep_is_refused(depth: int) -> None:
    with pytest.raises(InvalidMetadata, match="nested deeper than 32 levels"):
        prepare(b'{"a":' + b"[" * depth + b"]" * depth + b"}")


def test_json_nested_deeper_than_a_decoder_goes_is_refused() -> None:
    with pytest.raises(InvalidMetadata, match="not valid JSON"):
        prepare(b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}")


def test_many_shallow_lists_are_not_deep() -> None:
    assert prepare(b'{"a":[' + b",".join([b"[]"] * 100) + b"]}") == {"a": [[]] * 100}


@pytest.mark.parametrize("form", [dict, json.encode])
def test_metadata_over_the_limit_is_refused_naming_size_limit_and_fix(form: Any) -> None:
    with pytest.raises(LimitExceeded, match="metadata: 108 bytes is over the limit of 100; store less"):
        prepare(form({"a": "x" * 100}), limits=Limits(metadata_bytes=100))


def test_the_limit_holds_after_defaults_too() -> None:
    schema = parse_schema({"s": {"type": "string", "default": "x" * 100}})
    with pytest.raises(LimitExceeded, match="with the schema's defaults is over the limit of 50"):
        prepare({}, schema, Limits(metadata_bytes=50))


def test_metadata_of_exactly_the_limit_passes() -> None:
    assert prepare({"a": "x" * 92}, limits=Limits(metadata_bytes=100)) == {"a": "x" * 92}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_both_forms_of_the_same_metadata_store_the_same_bytes(metadata: dict[str, Any]) -> None:
    by_mapping = prepare_metadata("x", metadata, None, LIMITS, 0)
    assert prepare_metadata_json("x", by_mapping, None, LIMITS, 0) == by_mapping


@pytest.mark.parametrize(
    ("document", "patch", "merged"),
    [  # RFC 7396, appendix A, as far as objects patch objects
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "text"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_a_merge_patch_does_what_rfc_7396_says(
    document: dict[str, Any], patch: dict[str, Any], merged: dict[str, Any]
) -> None:
    before = json.encode(document)
    assert merge_patch(document, patch) == merged
    assert json.encode(document) == before
