"""Filters written in Python give the trees of the dictionaries, and can't go wrong silently."""

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from prism.filters import F, Filter, parse
from prism.filters.ast import EVERYONE, And, Not, Or
from prism.model.errors import InvalidFilter, LimitExceeded

POINT = {"lat": 47.0, "lon": 8.0, "radius_m": 500.0}
BOX = {"south": 1.0, "west": 2.0, "north": 3.0, "east": 4.0}

FORMS: list[tuple[dict[str, Any], list[Filter]]] = [
    (
        {"room": "x"},
        [Filter(room="x"), Filter().eq("room", "x"), F.room == "x", F["room"] == "x", F.metadata.room == "x"],
    ),
    ({"a.ne": 1}, [Filter(a__ne=1), Filter().ne("a", 1), F.a != 1]),
    ({"a.lt": 1}, [Filter(a__lt=1), Filter().lt("a", 1), F.a < 1, operator.gt(1, F.a)]),
    ({"a.lte": 1}, [Filter(a__lte=1), Filter().lte("a", 1), F.a <= 1]),
    ({"a.gt": 1}, [Filter(a__gt=1), Filter().gt("a", 1), F.a > 1]),
    ({"a.gte": 1}, [Filter(a__gte=1), Filter().gte("a", 1), F.a >= 1]),
    ({"a.startswith": "x"}, [Filter(a__startswith="x"), Filter().startswith("a", "x"), F.a.startswith("x")]),
    ({"a.endswith": "x"}, [Filter(a__endswith="x"), Filter().endswith("a", "x"), F.a.endswith("x")]),
    ({"a.contains": "x"}, [Filter(a__contains="x"), Filter().contains("a", "x"), F.a.contains("x")]),
    ({"a.regex": "x"}, [Filter(a__regex="x"), Filter().regex("a", "x"), F.a.regex("x")]),
    ({"a.in": [1, 2]}, [Filter(a__in=[1, 2]), Filter().in_("a", (1, 2)), F.a.in_([1, 2])]),
    ({"a": "*"}, [Filter(a="*"), Filter().exists("a"), F.a.exists()]),
    ({"a.eq": "*"}, [Filter().eq("a", "*"), F.a == "*"]),
    ({"a.exists": False}, [Filter(a__exists=False), Filter().exists("a", False), F.a.exists(False)]),
    ({"a.type": "array"}, [Filter(a__type="array"), Filter().type_("a", "array"), F.a.type_("array")]),
    ({"a.near": POINT}, [Filter(a__near=POINT), Filter().near("a", **POINT), F.a.near(**POINT)]),
    ({"a.within": BOX}, [Filter(a__within=BOX), Filter().within("a", **BOX), F.a.within(**BOX)]),
    ({"a.b.c": 1}, [Filter(a__b__c=1), F.a.b.c == 1, F["a.b"].c == 1, F.a["b.c"] == 1, F.metadata["a.b.c"] == 1]),
    ({r"a\.b": 1}, [F[r"a\.b"] == 1, Filter().eq(r"a\.b", 1)]),
    ({"contains": 1}, [Filter(contains=1), F["contains"] == 1]),
    ({"a.contains.eq": 1}, [F["a.contains"] == 1, F.a["contains"] == 1]),
    ({"metadata.metadata": 1}, [F.metadata.metadata == 1, F["metadata.metadata"] == 1]),
    ({"$identity": "x"}, [F["$identity"] == "x", Filter(**{"$identity": "x"})]),
    ({"a": 1, "b": 2}, [Filter(a=1, b=2), Filter(a=1).eq("b", 2), (F.a == 1) & (F.b == 2), Filter({"a": 1}, b=2)]),
    ({"$or": [{"a": 1}, {"b": 2}]}, [(F.a == 1) | (F.b == 2), Filter({"$or": [F.a == 1, {"b": 2}]})]),
    ({"$not": {"a": 1}}, [~(F.a == 1), ~Filter(a=1)]),
    ({}, [Filter(), Filter({}), Filter(None)]),
]


@pytest.mark.parametrize(("source", "built"), FORMS, ids=lambda value: str(value)[:40])
def test_every_form_gives_the_tree_of_the_dictionary(source: dict[str, Any], built: list[Filter]) -> None:
    assert [parse(form) for form in built] == [parse(source)] * len(built)


def test_methods_leave_the_filter_they_are_called_on_unchanged() -> None:
    base = Filter(a=1)
    longer = base.eq("b", 2)
    assert base == Filter(a=1)
    assert longer == Filter(a=1, b=2)


def test_filter_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Filter(a=1).node = EVERYONE  # type: ignore[misc]


def test_long_chains_stay_flat() -> None:
    conjunction, disjunction = Filter(), F.a == 0
    for i in range(100):
        conjunction = conjunction & (F.a == i)
        disjunction = disjunction | (F.a == i + 1)
    assert isinstance(conjunction.node, And)
    assert isinstance(disjunction.node, Or)
    assert len(conjunction.node.children) == 100
    assert len(disjunction.node.children) == 101


def test_everyone_or_anything_keeps_everyone() -> None:
    assert (Filter() | (F.a == 1)).node == Or((EVERYONE, (F.a == 1).node))


def test_negation_wraps_the_whole_filter() -> None:
    assert (~Filter(a=1, b=2)).node == Not(Filter(a=1, b=2).node)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: 1 < F.a < 2,
        lambda: (F.a == 1) and (F.b == 2),
        lambda: (F.a == 1) or (F.b == 2),
        lambda: operator.not_(F.a == 1),
        lambda: bool(Filter()),
        lambda: F.a in ["x", "y"],
        lambda: "x" in F.tags,
        lambda: not F.a,
        lambda: list(F.a),
        lambda: {F.a: 1},
        lambda: operator.and_(Filter(a=1), {"b": 1}),
        lambda: operator.or_(Filter(a=1), True),
    ],
)
def test_python_operators_that_would_mean_something_else_raise(misuse: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        misuse()


def test_guard_of_truth_says_what_to_write_instead() -> None:
    with pytest.raises(TypeError, match=r"& \| ~ in parentheses"):
        bool(F.a == 1)


@pytest.mark.parametrize(
    ("build", "place"),
    [
        (lambda: Filter(a=None), "$.a"),
        (lambda: Filter(a__b__lt=[]), "$.a.b.lt"),
        (lambda: Filter(a__=1), "$.a."),
        (lambda: Filter().lt("a.b", True), "$.a.b.lt"),
        (lambda: Filter().eq("a..b", 1), "$.a..b"),
        (lambda: F.a == None, "$.a.eq"),  # noqa: E711 - the mistake under test
        (lambda: F.a.near(91, 0, 1), "$.a.near.lat"),
        (lambda: F.a.within(2, 0, 1, 1), "$.a.within.south"),
        (lambda: F.a.near(1, 2), "$.a.near"),
        (lambda: Filter().near("a", 1, 2, 3, radius_km=4), "$.a"),
        (lambda: F.a.near(1, 2, radius_km=-1), "$.a.near.radius_m"),
        (lambda: F["$identity"].near(1, 2, 3), "$.$identity.near"),
        (lambda: F["$identity"].x, "$.$identity"),
        (lambda: F.a[0], "$.0"),
        (lambda: F.a.regex("["), "$.a.regex"),
        (lambda: F.a.in_("xy"), "$.a.in"),
        (lambda: Filter(F.a), "$"),
        (lambda: Filter({"$and": [F]}), "$.$and[0]"),
        (lambda: Filter({"$or": [True]}), "$.$or[0]"),
        (lambda: Filter(**{"a.b": 1, "a__b": 2}), "$"),
    ],
)
def test_mistake_is_refused_where_it_is_made(build: Callable[[], Filter], place: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        build()
    assert caught.value.violations[0].field == place


def test_limits_of_the_namespace_hold_for_built_filters() -> None:
    wide = Filter({"$or": [{"a": i} for i in range(21)]})
    with pytest.raises(LimitExceeded):
        parse(wide)


def test_filters_nested_by_mistake_are_refused() -> None:
    nested = F.a == 1

    def wrap() -> None:
        nonlocal nested
        for _ in range(100):
            nested = ~nested

    with pytest.raises(LimitExceeded):
        wrap()


def test_names_with_an_underscore_in_front_need_brackets() -> None:
    assert parse(F["_a"] == 1) == parse({"_a": 1})
    with pytest.raises(AttributeError, match=r'F\["_a"\]'):
        F._a  # noqa: B018
    with pytest.raises(AttributeError):
        F.a._b  # noqa: B018


def test_filters_can_be_pickled_copied_and_compared() -> None:
    built = Filter(a=1) | ~(F.b < 2)
    assert pickle.loads(pickle.dumps(built)) == built
    assert copy.deepcopy(built) == built
    assert built != Filter(a=1)
    assert len({Filter(a=1), Filter(a=1), Filter(a=2)}) == 2


def test_repr_shows_the_dictionary() -> None:
    assert repr(Filter(room="x", a__lt=2)) == "Filter({'room': 'x', 'a.lt': 2})"
    assert repr(Filter()) == "Filter()"
    assert repr(F.a["b.c"]) == 'F["a.b.c"]'


def test_a_radius_may_be_given_in_kilometres() -> None:
    expected = Filter({"a.near": {"lat": 1, "lon": 2, "radius_m": 3000}})
    assert F.a.near(1, 2, radius_km=3) == Filter().near("a", 1, 2, radius_km=3) == expected
    assert F.a.near(lat=1, lon=2, radius_m=3000) == expected
