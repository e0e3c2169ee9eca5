"""The compiled evaluator equals the reference, and never holds a filter's text in its source."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prism.filters.ast import EVERYONE, And, Compare, MetadataField, Node, Not, Op, Or, Order
from prism.filters.codegen import Source
from prism.filters.compiled import compile_filter
from prism.filters.parse import parse
from prism.filters.record import Record
from prism.filters.reference import matches
from prism_conformance.filters.meetings import Meetings
from prism_conformance.filters.strategies import filters, records

seeds = st.integers(0, 2**64)


@given(filters, st.lists(records, max_size=6))
@settings(max_examples=100, deadline=None)
def test_rows_are_those_of_the_reference(node: Node, rows: list[Record]) -> None:
    assert compile_filter(node).rows(rows) == [row for row in rows if matches(node, row)]


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_rows_are_those_of_the_reference_for_filters_made_for_them(seed: int) -> None:
    meetings = Meetings(seed)
    for _ in range(30):
        node, rows = meetings.pair()
        assert compile_filter(node).rows(rows) == [row for row in rows if matches(node, row)], node


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_documents_are_those_of_the_reference(seed: int) -> None:
    meetings = Meetings(seed)
    for _ in range(30):
        node, rows = meetings.pair(own_fields=False)
        found = compile_filter(node).documents([row.document for row in rows])
        assert found == [i for i, row in enumerate(rows) if matches(node, row)], node


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_a_single_record_matches_as_by_the_reference(seed: int) -> None:
    meetings = Meetings(seed)
    for _ in range(20):
        node, rows = meetings.pair()
        assert [compile_filter(node).matches(row) for row in rows] == [matches(node, row) for row in rows], node


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_a_filter_and_its_negation_partition_the_records(seed: int) -> None:
    meetings = Meetings(seed)
    for _ in range(20):
        node, rows = meetings.pair()
        held, others = compile_filter(node).rows(rows), compile_filter(Not(node)).rows(rows)
        assert sorted(row.identity for row in [*held, *others]) == sorted(row.identity for row in rows), node


def test_generated_filters_hold_and_fail_with_every_operator() -> None:
    meetings = Meetings(17)
    seen: Counter[tuple[Op, Order, bool]] = Counter()
    for _ in range(6000):
        row = meetings.record(0)
        clause = meetings.clause(row, own_fields=False)
        seen[clause.op, clause.order, matches(clause, row)] += 1
    kinds = {(op, order) for op, order, _ in seen}
    assert {op for op, _ in kinds} == set(Op)
    assert all(seen[op, order, True] >= 5 and seen[op, order, False] >= 5 for op, order in kinds), seen


def test_filters_of_one_shape_with_other_constants_stay_apart() -> None:
    rows = [Record("x", {"a": 1}), Record("y", {"a": True}), Record("z", {"b": 1})]
    answers = [
        [row.identity for row in compile_filter(parse(source)).rows(rows)]
        for source in ({"a": 1}, {"b": 1}, {"a": 2}, {"a": True})
    ]
    assert answers == [["x"], ["z"], [], ["y"]]


@pytest.mark.parametrize("text", ["'); import os; ('", "{0}", "{condition}", "\n", '"', "\\", "c0", "__import__"])
def test_source_holds_no_text_of_the_filter(text: str) -> None:
    parts = (
        Compare(MetadataField((text, text)), Op.EQ, text),
        Compare(MetadataField((text,)), Op.IN, (text, 5)),
        Compare(MetadataField((text,)), Op.NE, {text: [text]}),
    )
    node, one, two = And(parts), MetadataField(("k",)), MetadataField(("k", "k"))
    plain = And(tuple(replace(part, field=other) for part, other in zip(parts, (two, one, one), strict=True)))
    assert Source(node).condition == Source(plain).condition
    assert compile_filter(node).rows([Record("x", {text: {text: text}})]) == []


def test_records_own_fields_are_out_of_reach_of_bare_documents() -> None:
    compiled = compile_filter(parse({"$or": [{"a": 1}, {"$identity": "x"}]}))
    assert not compiled.metadata_only
    with pytest.raises(ValueError, match="use rows"):
        compiled.documents([{"a": 1}])


def test_everyone_and_nobody_compile() -> None:
    assert compile_filter(EVERYONE).documents([{}, {}]) == [0, 1]
    assert compile_filter(Or(())).documents([{}, {}]) == []


def test_filter_of_a_hundred_levels_compiles() -> None:
    node: Node = Compare(MetadataField(("a",)), Op.EQ, 1)
    for level in range(100):
        node = Or((node, Compare(MetadataField(("b",)), Op.EQ, level))) if level % 2 else Not(And((node, EVERYONE)))
    record = Record("x", {"a": 1})
    assert compile_filter(node).matches(record) is matches(node, record)
