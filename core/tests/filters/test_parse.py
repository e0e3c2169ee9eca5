"""The RFC's dictionaries into trees, and what is refused, where."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from prism.filters.ast import EVERYONE, And, Compare, MetadataField, Near, Node, Not, Op, Or, RecordField
from prism.filters.mapping import to_mapping
from prism.filters.operands import compare
from prism.filters.parse import check, parse, parse_json
from prism.model.errors import InvalidFilter, LimitExceeded
from prism.model.limits import Limits
from prism_conformance.filters.corpus import CASES, REFUSED, Case
from prism_conformance.filters.strategies import written_filters

ROOMY = replace(Limits(), filter_depth=40, filter_clauses=200)


def clause(key: str, op: Op, value: Any) -> Compare:
    return Compare(MetadataField(tuple(key.split("."))), op, value)


def exactly(node: Node) -> str:
    """The tree as text, in which 1, 1.0 and True differ."""
    return repr(strip(node))


def strip(node: Node) -> Node:
    match node:
        case Compare():
            return replace(node, at="")
        case Not():
            return Not(strip(node.child))
        case And():
            return And(tuple(map(strip, node.children)))
        case Or():
            return Or(tuple(map(strip, node.children)))


@pytest.mark.parametrize(("source", "place", "part"), REFUSED)
def test_refused_filter_names_place_and_reason(source: dict[str, Any], place: str, part: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse(source, ROOMY)
    violations = {violation.field: violation.description for violation in caught.value.violations}
    assert part in violations[place]
    assert str(caught.value).encode()


@pytest.mark.parametrize("source", [5, "a=1", [{"a": 1}], True, object(), b"{}"])
def test_what_is_no_filter_is_refused(source: Any) -> None:
    with pytest.raises(InvalidFilter, match="expected a filter object"):
        parse(source)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse({"a": None, "$or": [{"b.lt": []}, {"c.regex": "("}], "d.in": [None, {}]})
    places = [violation.field for violation in caught.value.violations]
    assert places == ["$.a", "$.$or[0].b.lt", "$.$or[1].c.regex", "$.d.in[0]", "$.d.in[1]"]


def test_report_of_many_problems_is_bounded() -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse({"a.in": [None] * 1000})
    assert len(caught.value.violations) == 21
    assert "980 more problems" in str(caught.value)


def test_filter_keeps_the_place_of_every_clause() -> None:
    node = parse({"$and": [{"a": 1}, {"metadata.b.lt": 2, "$not": {"c": "*"}}]})
    assert isinstance(node, And)
    first, second = node.children
    assert isinstance(first, Compare)
    assert isinstance(second, And)
    lt, negation = second.children
    assert isinstance(lt, Compare)
    assert isinstance(negation, Not)
    assert isinstance(negation.child, Compare)
    assert [first.at, lt.at, negation.child.at] == ["$.$and[0].a", "$.$and[1].metadata.b.lt", "$.$and[1].$not.c"]


@pytest.mark.parametrize(
    ("source", "node"),
    [
        (None, EVERYONE),
        ({}, EVERYONE),
        ({"a": 1}, clause("a", Op.EQ, 1)),
        ({"a": 1, "b.lt": 2}, And((clause("a", Op.EQ, 1), clause("b", Op.LT, 2)))),
        ({"$and": [{"a": 1}]}, And((clause("a", Op.EQ, 1),))),
        ({"$or": ({"a": 1}, {})}, Or((clause("a", Op.EQ, 1), EVERYONE))),
        ({"$not": {"a.in": [1, "x"]}}, Not(clause("a", Op.IN, (1, "x")))),
        ({"a": [1, {"b": None}]}, clause("a", Op.EQ, [1, {"b": None}])),
        ({"a": (1, 2)}, clause("a", Op.EQ, [1, 2])),
        ({"a": "*"}, clause("a", Op.EXISTS, True)),
        ({"metadata.exists": "b.c"}, clause("b.c", Op.EXISTS, True)),
        ({"metadata.exists": "metadata.b"}, clause("b", Op.EXISTS, True)),
        ({"a.near": {"lat": 1, "lon": 2, "radius_km": 1.5}}, clause("a", Op.NEAR, Near(1.0, 2.0, 1500.0))),
        ({"$registered_at.lt": "1970-01-01T00:00:01Z"}, Compare(RecordField.REGISTERED_AT, Op.LT, 1_000_000)),
        (MappingProxyType({"a": 1}), clause("a", Op.EQ, 1)),
    ],
)
def test_dictionary_becomes_a_tree(source: Any, node: Node) -> None:
    assert exactly(parse(source)) == exactly(node)


def test_datetime_is_text_in_metadata_and_microseconds_on_the_record() -> None:
    moment = datetime(2025, 10, 9, 12, tzinfo=UTC)
    in_metadata = parse({"seen.gt": moment})
    on_record = parse({"$updated_at.gt": moment})
    assert in_metadata == clause("seen", Op.GT, "2025-10-09T12:00:00.000000Z")
    assert on_record == Compare(RecordField.UPDATED_AT, Op.GT, 1_760_011_200_000_000)


def test_operand_is_a_copy_of_what_was_given() -> None:
    given_list = [1]
    node = parse({"a": given_list})
    given_list.append(2)
    assert node == clause("a", Op.EQ, [1])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_canonical_form_of_each_case_parses_to_an_equal_tree(case: Case) -> None:
    node = parse(case.filter)
    assert exactly(parse(to_mapping(node))) == exactly(node)


@given(written_filters)
@settings(max_examples=200, deadline=None)
def test_canonical_form_parses_to_an_equal_tree(node: Node) -> None:
    assert exactly(parse(to_mapping(node), ROOMY)) == exactly(node)


@given(written_filters)
@settings(max_examples=100, deadline=None)
def test_canonical_form_survives_json(node: Node) -> None:
    text = json.dumps(to_mapping(node))
    assert exactly(parse_json(text, ROOMY)) == exactly(node)


@given(written_filters)
@settings(max_examples=100, deadline=None)
def test_tree_parses_to_itself(node: Node) -> None:
    assert exactly(parse(node, ROOMY)) == exactly(node)


def test_clauses_of_a_bare_tree_are_checked_like_written_ones() -> None:
    node = And((clause("a", Op.LT, True), Compare(RecordField.REGISTERED_AT, Op.NEAR, 5)))
    with pytest.raises(InvalidFilter) as caught:
        parse(node)
    assert len(caught.value.violations) == 2


NESTED: list[tuple[dict[str, Any], int]] = [
    ({}, 1),
    ({"a": 1}, 1),
    ({"a": 1, "b": 2}, 2),
    ({"$and": [{"a": 1}]}, 2),
    ({"$not": {"a": 1}}, 2),
    ({"$and": [{"a": 1, "b": 1}]}, 3),
    ({"c": 1, "$or": [{"$not": {"a": 1, "b": 1}}]}, 5),
    ({"$or": [{"$or": [{"$or": [{"$or": [{"a": 1}]}]}]}]}, 5),
]


@pytest.mark.parametrize(("source", "depth"), NESTED)
@pytest.mark.parametrize("read", [parse, lambda source, limits: check(parse(source), limits)], ids=["parse", "check"])
def test_depth_is_counted_as_written(source: Any, depth: int, read: Callable[[Any, Limits], Node]) -> None:
    read(source, replace(Limits(), filter_depth=depth))
    if depth > 1:
        with pytest.raises(LimitExceeded, match=f"limit of {depth - 1} levels"):
            read(source, replace(Limits(), filter_depth=depth - 1))


def test_every_clause_counts_against_the_limit() -> None:
    widest = {"$or": [{f"a{i}": i} for i in range(20)]}
    assert parse(widest)
    with pytest.raises(LimitExceeded, match="limit of 20 clauses"):
        parse({"$and": [widest, {"x.exists": False}]})


def test_limits_hold_for_trees_built_in_python() -> None:
    node = Or(tuple(clause(f"a{i}", Op.EQ, i) for i in range(21)))
    for read in (parse, check):
        with pytest.raises(LimitExceeded, match="20 clauses"):
            read(node)


def test_operands_together_are_bounded_in_bytes() -> None:
    small = replace(Limits(), filter_bytes=100)
    assert parse({"a": "x" * 90}, small)
    with pytest.raises(LimitExceeded, match="100 bytes"):
        parse({"a": "é" * 50}, small)
    with pytest.raises(LimitExceeded, match="100 bytes"):
        parse({"a": "x" * 50, "b.in": ["y" * 50]}, small)
    with pytest.raises(LimitExceeded, match="100 bytes"):
        parse({"k" * 101: 1}, small)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"a": 1, "a": 2}', '"a" is given twice'),
        ('{"a": {"b": 1, "b": 1}}', "given twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('{"a": 1e999}', "inf"),
        ('{"a": 9223372036854775808}', "64-bit"),
        ('{"a": "\\ud800"}', "surrogate"),
        ("[]", "expected a filter object, got a list"),
        ("null", "got null"),
        ('"room=x"', "got the string"),
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"a": ' + "[" * 20_000, "nested too deeply"),
        ("\ud800", "not JSON"),
    ],
)
def test_json_that_is_no_filter_is_refused(text: str, part: str) -> None:
    with pytest.raises(InvalidFilter, match=part):
        parse_json(text)


def test_json_text_is_bounded() -> None:
    with pytest.raises(LimitExceeded, match="65,536"):
        parse_json('{"a": 1}' + " " * 65_536)


def test_json_bytes_are_read_like_text() -> None:
    assert parse_json('{"a": "é"}'.encode()) == clause("a", Op.EQ, "é")


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(InvalidFilter, match="not JSON"):
        parse_json(b'{"a": "\xff\xfe"}')


def test_clause_is_built_with_the_same_checks() -> None:
    assert compare(MetadataField(("a",)), Op.IN, [1, 2], "$.a.in").value == (1, 2)
    with pytest.raises(InvalidFilter) as caught:
        compare(MetadataField(("a",)), Op.IN, [None, {}], "here")
    assert [violation.field for violation in caught.value.violations] == ["here[0]", "here[1]"]
