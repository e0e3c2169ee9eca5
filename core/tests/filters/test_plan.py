"""The planner keeps a filter's meaning, whatever a backend claims to do of it."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prism.filters.ast import EVERYONE, And, Compare, Node, Not, Op, Or, Support
from prism.filters.parse import parse
from prism.filters.plan import NOBODY, conjuncts, explain, normalise, split
from prism.filters.reference import matches
from prism.filters.sorting import parse_sort
from prism.model.errors import InternalError
from prism.model.limits import Limits
from prism_conformance.filters.meetings import Meetings
from prism_conformance.filters.strategies import filters


def nodes(node: Node) -> list[Node]:
    inner = node.children if isinstance(node, (And, Or)) else (node.child,) if isinstance(node, Not) else ()
    return [node, *(part for child in inner for part in nodes(child))]


@given(st.integers(0, 2**64))
@settings(max_examples=80, deadline=None)
def test_normal_form_keeps_the_meaning(seed: int) -> None:
    meetings = Meetings(seed)
    for _ in range(30):
        node, rows = meetings.pair()
        normal = normalise(node)
        assert [matches(normal, row) for row in rows] == [matches(node, row) for row in rows], node


@given(filters)
@settings(max_examples=150, deadline=None)
def test_normal_form_negates_single_clauses_alone_and_is_flat(node: Node) -> None:
    for part in nodes(normalise(node)):
        if isinstance(part, Not):
            assert isinstance(part.child, Compare)
            assert part.child.op not in (Op.EQ, Op.NE, Op.EXISTS)
        if isinstance(part, (And, Or)):
            assert len(part.children) != 1
            assert not any(isinstance(child, type(part)) for child in part.children)
            assert EVERYONE not in part.children
            assert NOBODY not in part.children


@given(filters)
@settings(max_examples=50, deadline=None)
def test_normal_form_of_a_normal_form_is_itself(node: Node) -> None:
    normal = normalise(node)
    assert normalise(normal) == normal


@given(st.integers(0, 2**64))
@settings(max_examples=80, deadline=None)
def test_pushed_and_residual_together_are_the_filter(seed: int) -> None:
    meetings = Meetings(seed)
    random = meetings.random
    for _ in range(30):
        node, rows = meetings.pair()
        plan = split(node, lambda parts: [random.choice(list(Support)) for _ in parts])
        # By identity: as dataclasses, `contains 0` and `contains false` are equal.
        inexact = {id(part) for part, support in plan.support if support is Support.INEXACT}
        # A superset where the backend said INEXACT: now and then one too many.
        returned = [
            row
            for row in rows
            if all(matches(part, row) or (id(part) in inexact and random.random() < 0.5) for part in plan.pushed)
        ]
        answer = [row for row in returned if plan.residual is None or matches(plan.residual, row)]
        assert answer == [row for row in rows if matches(node, row)], node


def test_filter_of_exact_conjuncts_leaves_nothing_to_check() -> None:
    plan = split(parse({"a": 1, "b.lt": 2}), lambda parts: [Support.EXACT] * len(parts))
    assert plan.exact
    assert plan.residual is None
    assert plan.pushed == conjuncts(parse({"a": 1, "b.lt": 2}))


def test_inexact_conjuncts_are_pushed_and_checked_again() -> None:
    plan = split(parse({"a": 1}), lambda parts: [Support.INEXACT])
    assert plan.pushed == (parse({"a": 1}),)
    assert plan.residual == parse({"a": 1})
    assert not plan.exact


def test_unsupported_conjuncts_are_not_pushed() -> None:
    plan = split(parse({"a": 1, "b": 2}), lambda parts: [Support.UNSUPPORTED, Support.EXACT])
    assert plan.pushed == (parse({"b": 2}),)
    assert plan.residual == parse({"a": 1})
    assert not plan.exact


def test_everyone_is_exact_without_asking() -> None:
    def unasked(parts: Sequence[Node]) -> list[Support]:
        raise AssertionError(parts)

    assert split(EVERYONE, unasked).exact


def test_nobody_is_no_empty_conjunction() -> None:
    plan = split(Not(EVERYONE), lambda parts: [Support.UNSUPPORTED] * len(parts))
    assert plan.residual == NOBODY
    assert not plan.exact


@pytest.mark.parametrize("answers", [[], [Support.EXACT], [Support.EXACT] * 3])
def test_plan_of_another_length_is_a_bug_of_the_backend(answers: list[Support]) -> None:
    with pytest.raises(InternalError, match=f"answered {len(answers)} of 2"):
        split(parse({"a": 1, "b": 2}), lambda parts: answers)


@pytest.mark.parametrize("answer", ["exact", True, None])
def test_answer_that_is_no_support_is_a_bug_of_the_backend(answer: object) -> None:
    with pytest.raises(InternalError, match="Support"):
        split(parse({"a": 1}), lambda parts: [answer])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("source", "normal"),
    [
        ({"$not": {"a": 1}}, {"a.ne": 1}),
        ({"$not": {"a.ne": 1}}, {"a": 1}),
        ({"$not": {"a.exists": True}}, {"a.exists": False}),
        ({"$not": {"a.lt": 1}}, {"$not": {"a.lt": 1}}),
        ({"$not": {"$not": {"a.lt": 1}}}, {"a.lt": 1}),
        ({"$not": {"a": 1, "b.lt": 2}}, {"$or": [{"a.ne": 1}, {"$not": {"b.lt": 2}}]}),
        ({"$not": {"$or": [{"a": 1}, {"b": 2}]}}, {"$and": [{"a.ne": 1}, {"b.ne": 2}]}),
        ({"$and": [{"$and": [{"a": 1}, {}]}]}, {"a": 1}),
        ({"$or": [{"a": 1}, {"$or": [{"b": 1}, {"$not": {}}]}]}, {"$or": [{"a": 1}, {"b": 1}]}),
        ({"$or": [{"a": 1}, {}]}, {}),
    ],
)
def test_negation_moves_inwards(source: dict[str, object], normal: dict[str, object]) -> None:
    assert normalise(parse(source)) == parse(normal)


def test_explanation_prints_who_evaluates_what() -> None:
    sort = parse_sort(["b desc"], Limits())
    told = explain(parse({"$not": {"a": 1}, "b.lt": 2}), lambda parts: [Support.EXACT, Support.UNSUPPORTED], sort)
    assert told.to_mapping() == {
        "filter": {"$not": {"a": 1}, "b.lt": 2},
        "normalised": {"$and": [{"a.ne": 1}, {"b.lt": 2}]},
        "sort_by": ["b desc"],
        "sort_pushed": False,
        "exact": False,
        "pushed": [{"a.ne": 1}],
        "residual": {"b.lt": 2},
        "conjuncts": [
            {"filter": {"a.ne": 1}, "support": "exact"},
            {"filter": {"b.lt": 2}, "support": "unsupported"},
        ],
    }
