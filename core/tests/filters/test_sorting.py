"""Sort orders are total, read as in the RFC, and can be sought into."""

import re
from functools import cmp_to_key
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prism.filters.ast import MetadataField, Order, RecordField, SortKey
from prism.filters.record import Record
from prism.filters.reference import type_name, value_of
from prism.filters.sorting import format_sort, parse_sort, seek_key, sort_key, sort_values
from prism.filters.versions import version_key
from prism.model.errors import InvalidArgument, LimitExceeded
from prism.model.limits import Limits
from prism_conformance.filters.corpus import NO_VERSIONS, VERSIONS
from prism_conformance.filters.strategies import records, sort_orders

A = MetadataField(("a",))
RANKS = {"boolean": 0, "number": 1, "string": 2, "array": 3, "object": 3}


def by(*items: str) -> tuple[SortKey, ...]:
    return parse_sort(items, Limits())


def ordered(keys: tuple[SortKey, ...], values: list[Any]) -> list[Any]:
    """The values of records that were sorted by their field `a`; identities fall as the values come."""
    rows = [Record(f"{999 - i:03}", {"a": value}) for i, value in enumerate(values)]
    return [row.document["a"] for row in sorted(rows, key=sort_key(keys))]


def compare_slowly(keys: tuple[SortKey, ...], left: Record, right: Record) -> int:
    """The order as it is described, one step after the other."""
    for key in keys:
        verdict = compare_values(value_of(key.field, left), value_of(key.field, right), key)
        if verdict:
            return verdict
    return sign(left.identity, right.identity)


def compare_values(left: Any, right: Any, key: SortKey) -> int:
    lasts = last(left, key), last(right, key)
    if any(lasts):
        verdict = sign(*lasts)
        if verdict or left is None:
            return verdict
        verdict = sign(left, right)
    elif RANKS[type_name(left) or ""] != RANKS[type_name(right) or ""]:
        verdict = sign(RANKS[type_name(left) or ""], RANKS[type_name(right) or ""])
    elif isinstance(left, (list, dict)):
        return 0
    elif key.order is Order.VERSION and isinstance(left, str):
        verdict = sign(version_key(left), version_key(right))
    else:
        verdict = sign(left, right)
    return -verdict if key.descending else verdict


def last(value: Any, key: SortKey) -> int:
    """2 for no value and 1 for a text without a version: behind all else in both directions."""
    if value is None:
        return 2
    return int(key.order is Order.VERSION and isinstance(value, str) and version_key(value) is None)


def sign(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


@given(sort_orders, st.lists(records, max_size=8, unique_by=lambda row: row.identity))
@settings(max_examples=200, deadline=None)
def test_order_is_the_one_described(keys: list[SortKey], rows: list[Record]) -> None:
    def compare(left: Record, right: Record) -> int:
        return compare_slowly(tuple(keys), left, right)

    assert sorted(rows, key=sort_key(keys)) == sorted(rows, key=cmp_to_key(compare))


@given(sort_orders, st.lists(records, min_size=1, max_size=6, unique_by=lambda row: row.identity))
@settings(max_examples=100, deadline=None)
def test_order_is_total(keys: list[SortKey], rows: list[Record]) -> None:
    comparable = sorted(map(sort_key(keys), rows))
    assert all(left < right for left, right in pairwise(comparable))


@given(sort_orders, records)
@settings(max_examples=100, deadline=None)
def test_key_rebuilt_from_sort_values_is_the_records_own(keys: list[SortKey], record: Record) -> None:
    assert seek_key(keys, sort_values(keys)(record), record.identity) == sort_key(keys)(record)


MIXED: list[Any] = [None, "b", {"x": 1}, 2, True, "a", 1.5, False]


def test_types_follow_each_other() -> None:
    assert ordered(by("a"), MIXED) == [False, True, 1.5, 2, "a", "b", {"x": 1}, None]


def test_descending_turns_types_and_values_round_but_keeps_no_value_last() -> None:
    assert ordered(by("a desc"), MIXED) == [{"x": 1}, "b", "a", 2, 1.5, True, False, None]


def test_missing_and_null_tie() -> None:
    rows = [Record("y", {"a": None}), Record("z", {}), Record("x", {})]
    assert [row.identity for row in sorted(rows, key=sort_key(by("a desc")))] == ["x", "y", "z"]


def test_ties_are_broken_by_identity_ascending_in_both_directions() -> None:
    rows = [Record(name, {"a": value}) for name, value in (("c", 1), ("a", 1.0), ("b", 1))]
    for order in ("a", "a desc"):
        assert [row.identity for row in sorted(rows, key=sort_key(by(order)))] == ["a", "b", "c"]


def test_arrays_and_objects_tie() -> None:
    rows = [Record("b", {"a": [1]}), Record("a", {"a": {"x": 9}})]
    assert [row.identity for row in sorted(rows, key=sort_key(by("a")))] == ["a", "b"]


def test_huge_integers_sort_exactly_in_both_directions() -> None:
    values = [2**53 + 1, float(2**53), 2**53 + 2, -(2**63), 2**63 - 1]
    assert ordered(by("a"), values) == sorted(values)
    assert ordered(by("a desc"), values) == sorted(values, reverse=True)


def test_descending_text_puts_the_longer_before_its_own_beginning() -> None:
    values = ["a", "ab", "", "a\x00", "\U0001f600", "\uffff", "é"]
    assert ordered(by("a desc"), values) == sorted(values, reverse=True)


@pytest.mark.parametrize(("earlier", "later"), VERSIONS)
def test_versions_sort_by_their_numbers(earlier: str, later: str) -> None:
    ascending = (SortKey(A, order=Order.VERSION),)
    descending = (SortKey(A, descending=True, order=Order.VERSION),)
    assert ordered(ascending, [later, earlier]) == [earlier, later]
    assert ordered(descending, [earlier, later]) == [later, earlier]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("text", NO_VERSIONS)
def test_text_without_a_version_sorts_after_those_with_one(text: str, descending: bool) -> None:
    keys = (SortKey(A, descending, Order.VERSION),)
    assert ordered(keys, [None, text, "1.0"]) == ["1.0", text, None]


def test_no_keys_sort_by_identity() -> None:
    rows = [Record("b", {}), Record("a", {}), Record("\U0001f600", {}), Record("\uffff", {})]
    assert [row.identity for row in sorted(rows, key=sort_key(()))] == ["a", "b", "\uffff", "\U0001f600"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("metadata.created_at desc", SortKey(MetadataField(("created_at",)), descending=True)),
        ("a", SortKey(A)),
        ("a asc", SortKey(A)),
        ("a ASC", SortKey(A)),
        (" a  DESC ", SortKey(A, descending=True)),
        ("a.lt", SortKey(MetadataField(("a", "lt")))),
        ("desc", SortKey(MetadataField(("desc",)))),
        ("desc desc", SortKey(MetadataField(("desc",)), descending=True)),
        ("first name", SortKey(MetadataField(("first name",)))),
        (r"a\.b desc", SortKey(MetadataField(("a.b",)), descending=True)),
        ("$registered_at desc", SortKey(RecordField.REGISTERED_AT, descending=True)),
    ],
)
def test_text_names_field_and_direction(text: str, key: SortKey) -> None:
    assert parse_sort([text], Limits()) == (key,)


@given(
    st.lists(
        st.sampled_from(["a", "a.b", "eq", "b c", "$identity", r"x\.y", "metadata.metadata", "d desc asc"]), unique=True
    )
)
def test_formatted_sort_parses_to_its_keys(items: list[str]) -> None:
    keys = parse_sort(items, Limits())
    assert parse_sort(format_sort(keys), Limits()) == keys


def test_keys_that_are_parsed_already_are_taken() -> None:
    assert parse_sort(by("a desc"), Limits()) == by("a desc")


def test_every_wrong_sort_key_is_named() -> None:
    items: list[Any] = ["a", "$x", "b..c", "d descending", 5, "a desc", ""]
    with pytest.raises(InvalidArgument) as caught:
        parse_sort(items, Limits())
    assert [violation.field for violation in caught.value.violations] == [f"sort_by[{i}]" for i in range(1, 7)]


@pytest.mark.parametrize("items", ["a", {"a": 1}, 5, None])
def test_sort_order_that_is_no_list_is_refused(items: Any) -> None:
    with pytest.raises(InvalidArgument, match="expected a list"):
        parse_sort(items, Limits())


def test_number_of_sort_keys_is_bounded() -> None:
    with pytest.raises(LimitExceeded, match="9 keys is over the limit of 8"):
        parse_sort([f"a{i}" for i in range(9)], Limits())


@pytest.mark.parametrize(
    ("item", "fix"),
    [
        ("floor up", 'has the direction "up"; write "asc"'),
        ("floor Down", 'has the direction "Down"; write "desc"'),
        ("-floor", 'has a sign; write "floor desc"'),
        ("floor dsc", 'has "dsc" for a direction; did you mean "desc"?'),
        ("floor descend", 'has "descend" for a direction; did you mean "descending"?'),
        ("+floor", 'has a sign; write "floor asc"'),
    ],
)
def test_a_mistyped_direction_is_no_field(item: str, fix: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(f'sort_by[0]: the string "{item}" {fix}')):
        by(item)


def test_a_field_that_looks_like_a_mistake_is_named_with_its_direction() -> None:
    assert by("thumbs up asc", "-floor desc", "thumb nail") == (
        SortKey(MetadataField(("thumbs up",))),
        SortKey(MetadataField(("-floor",)), True),
        SortKey(MetadataField(("thumb nail",))),
    )
