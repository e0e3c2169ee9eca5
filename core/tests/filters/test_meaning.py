"""The decided meanings, case by case, by both evaluators."""

from dataclasses import replace

import pytest
from prism.filters.ast import Compare, MetadataField, Op, Order
from prism.filters.compiled import compile_filter
from prism.filters.parse import parse
from prism.filters.record import Record
from prism.filters.reference import matches
from prism_conformance.filters.corpus import CASES, NO_VERSIONS, RECORD, SAME_VERSIONS, VERSIONS, Case

RELATIONS = ((Op.LT, "<"), (Op.LTE, "<="), (Op.GT, ">"), (Op.GTE, ">="))


def version_clause(op: Op, text: str) -> Compare:
    return Compare(MetadataField(("version",)), op, text, Order.VERSION)


def by_version(op: Op, value: str, operand: str) -> bool:
    record = Record("x", {"version": value})
    clause = version_clause(op, operand)
    answer = matches(clause, record)
    assert compile_filter(clause).matches(record) is answer
    return answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_reference_holds_for_exactly_the_decided_documents(case: Case) -> None:
    node = parse(case.filter)
    assert [matches(node, replace(RECORD, document=document)) for document in case.holds] == [True] * len(case.holds)
    assert [matches(node, replace(RECORD, document=document)) for document in case.fails] == [False] * len(case.fails)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_compiled_filter_selects_exactly_the_decided_rows(case: Case) -> None:
    wanted = [replace(RECORD, document=document) for document in case.holds]
    others = [replace(RECORD, document=document) for document in case.fails]
    assert compile_filter(parse(case.filter)).rows([*wanted, *others]) == wanted


def test_no_case_is_named_twice_or_empty() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.holds or case.fails for case in CASES)


@pytest.mark.parametrize(("earlier", "later"), VERSIONS)
def test_versions_compare_by_their_numbers(earlier: str, later: str) -> None:
    assert [by_version(op, earlier, later) for op, _ in RELATIONS] == [True, True, False, False]
    assert [by_version(op, later, earlier) for op, _ in RELATIONS] == [False, False, True, True]


@pytest.mark.parametrize(("left", "right"), SAME_VERSIONS)
def test_versions_that_differ_in_writing_alone_are_level_in_order_and_unequal(left: str, right: str) -> None:
    assert [by_version(op, left, right) for op, _ in RELATIONS] == [False, True, False, True]
    assert not by_version(Op.EQ, left, right)
    assert by_version(Op.NE, left, right)


@pytest.mark.parametrize("text", NO_VERSIONS)
def test_text_that_is_no_version_is_neither_before_nor_after_one(text: str) -> None:
    assert not any(by_version(op, text, "1.0") for op, _ in RELATIONS)
    assert not any(by_version(op, "1.0", text) for op, _ in RELATIONS)
