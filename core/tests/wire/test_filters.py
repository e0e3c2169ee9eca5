"""Filter messages: the tree survives, places are the written form's, and nothing that is dropped widens a filter."""

from __future__ import annotations

import pytest
from prism.filters.ast import EVERYONE, And, Compare, Node, Not, Or
from prism.filters.parse import parse
from prism.model.errors import InvalidFilter, LimitExceeded
from prism.model.limits import Limits
from prism.v1.filter_pb2 import OPERATOR_EQ, OPERATOR_LT, Comparison, Filter, FilterList
from prism.wire.filters import from_filter, to_filter
from prism.wire.values import to_value

WRITTEN = [
    {},
    {"room": "engineering"},
    {"room": "*"},
    {"room.eq": "*"},
    {"a": 1, "b.gt": 2, "c.contains": "x"},
    {"a.contains.eq": 1},
    {"type": "sensor"},
    {"$and": [{"a": 1}, {"a": 2}]},
    {"$or": [{"a.in": [1, "x", True]}, {"$not": {"b.exists": False}}]},
    {"$and": [{"battery_level.lt": 0.2}, {"a": 1, "$or": [{"x.ne": 1}, {"y.regex": "^a+"}]}]},
    {"location.near": {"lat": 48.1, "lon": 11.5, "radius_m": 1000}},
    {"location.within": {"south": -1, "west": 170, "north": 1, "east": -170}},
    {"$registered_at.lt": "2025-10-09T12:00:00Z"},
    {"$identity.startswith": "device-"},
    {"$identity": "a"},
    {r"a\.b.c": {"deep": [1, None, 2.5]}},
    {"a.eq": 2**63 - 1},
]


def places(node: Node) -> list[str]:
    match node:
        case Compare():
            return [node.at]
        case Not(child):
            return places(child)
        case And() | Or():
            return [place for child in node.children for place in places(child)]


def comparison(path: str, operand: object = 1, operator: int = OPERATOR_EQ) -> Filter:
    return Filter(comparison=Comparison(path=path, operator=operator, operand=to_value(operand)))


def refused(message: Filter) -> dict[str, str]:
    with pytest.raises(InvalidFilter) as caught:
        from_filter(message)
    return {violation.field: violation.description for violation in caught.value.violations}


@pytest.mark.parametrize("written", WRITTEN, ids=str)
def test_a_filter_survives_the_wire(written):
    node = parse(written)
    assert from_filter(Filter.FromString(to_filter(node).SerializeToString())) == node


@pytest.mark.parametrize(
    "written", [w for w in WRITTEN if not any(key.endswith(".eq") for key in w) and w != {"room": "*"}], ids=str
)
def test_clauses_have_the_places_of_the_written_form(written):
    node = parse(written)
    assert places(from_filter(to_filter(node))) == places(node)


def test_a_filter_that_matches_nobody_stays_one():
    assert from_filter(to_filter(Or(()))) == Not(EVERYONE)


def test_a_wrong_operand_is_reported_at_its_place():
    lt = Filter(comparison=Comparison(path="battery_level", operator=OPERATOR_LT, operand=to_value(True)))
    message = Filter(all_of=FilterList(filters=[comparison("a"), lt]))
    assert list(refused(message)) == ["$.$and[1].battery_level.lt"]


def test_all_problems_are_reported_at_once():
    message = Filter(any_of=FilterList(filters=[comparison(""), comparison("a", None), comparison("b")]))
    assert list(refused(message)) == ["$.$or[0].", "$.$or[1].a"]


def test_a_filter_without_a_kind_does_not_mean_everyone():
    assert "no kind set" in refused(Filter())["$"]


def test_a_nested_filter_without_a_kind_is_refused():
    message = Filter(negated=Filter(all_of=FilterList(filters=[Filter()])))
    assert "no kind set" in refused(message)["$.$not.$and[0]"]


def test_an_empty_any_of_is_refused():
    assert "at least one" in refused(Filter(any_of=FilterList()))["$.$or"]


def test_an_operator_that_is_not_set_is_refused():
    assert "not set" in refused(comparison("a", operator=0))["$.a"]


def test_an_unknown_operator_is_refused():
    assert "99 is no Operator" in refused(comparison("a", operator=99))["$.a"]


def test_an_operand_that_is_not_set_is_refused():
    message = Filter(comparison=Comparison(path="a", operator=OPERATOR_EQ))
    assert "not set" in refused(message)["$.a.eq"]


def test_a_malformed_operand_is_refused_inside_its_clause():
    message = Filter(comparison=Comparison(path="a", operator=OPERATOR_EQ))
    message.comparison.operand.list_value.values.add()
    assert "no kind set" in refused(message)["$.a[0]"]


def test_a_part_that_this_version_does_not_know_is_refused():
    unknown = b"\x50\x01"  # field 10, varint 1
    assert "unknown field 10" in refused(Filter.FromString(unknown))["$"]
    inside = comparison("a")
    inside.comparison.MergeFromString(unknown)
    assert "unknown field 10" in refused(inside)["$"]


def test_json_reads_like_the_written_form():
    message = Filter(json='{"battery_level.lt": 0.2, "room": "a"}')
    assert from_filter(message) == parse({"battery_level.lt": 0.2, "room": "a"})


def test_json_inside_another_filter_has_its_places_there():
    good, bad = Filter(json='{"a": 1}'), Filter(json='{"b.lt": null}')
    node = from_filter(Filter(all_of=FilterList(filters=[good, good])))
    assert places(node) == ["$.$and[0].a", "$.$and[1].a"]
    assert list(refused(Filter(all_of=FilterList(filters=[good, bad])))) == ["$.$and[1].b.lt"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1, "a": 2}', '{"a": NaN}'])
def test_json_that_is_no_filter_is_refused(text):
    assert "$" in refused(Filter(json=text))


def test_more_clauses_than_the_limit_are_refused():
    message = Filter(all_of=FilterList(filters=[comparison(f"f{i}") for i in range(21)]))
    with pytest.raises(LimitExceeded, match="limit of 20 clauses"):
        from_filter(message)


def test_a_namespace_may_allow_more_clauses():
    message = Filter(all_of=FilterList(filters=[comparison(f"f{i}") for i in range(21)]))
    node = from_filter(message, Limits(filter_clauses=21))
    assert isinstance(node, And)
    assert len(node.children) == 21


def test_a_flood_of_empty_lists_is_refused_early():
    message = Filter(all_of=FilterList(filters=[Filter(all_of=FilterList())] * 1_000))
    with pytest.raises(LimitExceeded, match="parts"):
        from_filter(message)
