"""Value messages: what crosses the wire comes back as it was, and malformed ones are refused with their place."""

from __future__ import annotations

import math

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prism.model.errors import InvalidArgument, InvalidMetadata, Violation
from prism.model.json import INT64_MAX, INT64_MIN, MAX_NESTING
from prism.v1.registry_pb2 import RegisterRequest
from prism.v1.value_pb2 import ListValue, ObjectValue, Value
from prism.wire.values import document_from_fields, fill_fields, from_value, to_value

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(INT64_MIN, INT64_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)


def exactly(value: object) -> bytes:
    """JSON text, which tells 1 from 1.0 and from true."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def problems_of(message: Value) -> list[Violation]:
    problems: list[Violation] = []
    from_value(message, "x", problems)
    return problems


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_every_json_value_survives_the_wire(value):
    problems: list[Violation] = []
    sent = Value.FromString(to_value(value).SerializeToString())
    received = from_value(sent, "x", problems)
    assert exactly(received) == exactly(value)
    assert problems == []


def test_the_largest_64_bit_integers_are_not_rounded():
    assert from_value(to_value(2**63 - 1), "x", []) == 2**63 - 1
    assert from_value(to_value(-(2**63)), "x", []) == -(2**63)


def test_empty_list_and_empty_object_are_values():
    assert from_value(to_value([]), "x", []) == []
    assert from_value(to_value({}), "x", []) == {}


def test_a_value_without_a_kind_is_refused_at_its_place():
    message = Value(list_value=ListValue(values=[to_value(1), Value()]))
    (problem,) = problems_of(message)
    assert problem.field == "x[1]"
    assert "no kind set" in problem.description


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_refused(number):
    (problem,) = problems_of(Value(object_value=ObjectValue(fields={"a": Value(double_value=number)})))
    assert problem.field == "x.a"
    assert "not a JSON number" in problem.description


def test_an_unknown_null_is_refused():
    message = Value.FromString(b"\x08\x07")
    (problem,) = problems_of(message)
    assert "null_value is 7" in problem.description


def test_nesting_beyond_the_limit_is_refused():
    message = to_value(1)
    for _ in range(MAX_NESTING + 1):
        message = Value(list_value=ListValue(values=[message]))
    (problem,) = problems_of(message)
    assert f"deeper than {MAX_NESTING} levels" in problem.description


def test_nesting_up_to_the_limit_is_read():
    document = inner = {}
    for _ in range(MAX_NESTING - 1):
        inner["a"] = {}
        inner = inner["a"]
    request = RegisterRequest()
    fill_fields(request.metadata, document)
    received = RegisterRequest.FromString(request.SerializeToString())
    assert document_from_fields(received.metadata) == document


def test_metadata_reports_every_malformed_place_at_once():
    fields = {"a": Value(), "b": to_value(1), "c": Value(double_value=math.nan)}
    with pytest.raises(InvalidMetadata) as caught:
        document_from_fields(fields)
    assert {violation.field for violation in caught.value.violations} == {"metadata.a", "metadata.c"}


def test_what_is_not_json_cannot_be_sent():
    with pytest.raises(InvalidArgument, match="expected a JSON value"):
        to_value(object())
