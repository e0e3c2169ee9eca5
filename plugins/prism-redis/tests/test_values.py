"""Encoded values sort and compare like the values, whatever they are."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prism.filters.ast import Compare, MetadataField, Op, RecordField
from prism.filters.parse import parse
from prism.filters.record import Record
from prism.filters.reference import matches
from prism.model.limits import Limits
from prism_redis.terms import answerable, predicate, read_terms, stretches, write_terms
from prism_redis.values import ABOVE, WHOLE_TEXT, encode

INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3).map(lambda off: 2**53 + off) | st.just(-(2**63))
NUMBERS = INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | INTEGERS.map(float)
TEXTS = st.text() | st.text(alphabet="a\x00\x01\xff\u0100\U0010ffff") | st.text("a", min_size=1020, max_size=1030)
A = ("a",)


def encoded(value: Any) -> bytes:
    found = encode(value)
    assert found is not None
    return found


@given(NUMBERS, NUMBERS)
def test_numbers_sort_by_value(one: float, other: float) -> None:
    assert (encoded(one) < encoded(other)) is (one < other)
    assert (encoded(one) == encoded(other)) is (one == other)


@given(TEXTS, TEXTS)
def test_texts_sort_by_code_point(one: str, other: str) -> None:
    if max(len(one.encode()), len(other.encode())) <= WHOLE_TEXT:
        assert (encoded(one) < encoded(other)) is (one < other)
    assert (encoded(one) == encoded(other)) is (one == other)


@given(TEXTS, TEXTS, st.text(min_size=1).filter(str.isprintable), st.text(min_size=1).filter(str.isprintable))
def test_entries_of_one_value_never_mix_with_those_of_another(
    one: str, other: str, identity: str, another: str
) -> None:
    entry = encoded(one) + identity.encode() + b"\0id\0address"
    low = encoded(other)
    assert (low <= entry < low + ABOVE) is (one == other)
    assert another


def test_boolean_is_no_number() -> None:
    assert len({encode(value) for value in (True, False, 1, 0, "1", "true")}) == 6


def test_zero_has_no_sign() -> None:
    assert encode(-0.0) == encode(0) == encode(0.0)


def test_long_texts_that_begin_alike_differ() -> None:
    assert encode("a" * 5000 + "b") != encode("a" * 5000 + "c")
    assert len(encoded("a" * 65_000)) < 1_100


@given(NUMBERS | TEXTS | st.booleans(), NUMBERS | TEXTS | st.booleans(), st.sampled_from(list(Op)))
def test_clause_that_the_index_answers_means_what_the_reference_says(value: Any, operand: Any, operator: Op) -> None:
    if operator in (Op.REGEX, Op.NEAR, Op.WITHIN):
        return
    if operator is Op.IN:
        operand = (operand, value)
    if operator is Op.EXISTS:
        operand = bool(operand)
    if operator is Op.TYPE:
        operand = "number"
    clause = Compare(MetadataField(A), operator, operand)
    if not answerable(clause, frozenset({A})):
        return
    document = {"a": value}
    terms = read_terms(write_terms(document, [(A, 7)]), {7: A})
    assert predicate(clause)(b"x", terms) is matches(clause, Record("x", document))


@given(st.text(min_size=1).filter(str.isprintable), st.text().filter(lambda text: not text or text.isprintable()))
def test_identity_clause_means_what_the_reference_says(identity: str, operand: str) -> None:
    for operator in (Op.EQ, Op.NE, Op.LT, Op.LTE, Op.GT, Op.GTE, Op.STARTSWITH):
        clause = Compare(RecordField.IDENTITY, operator, operand)
        assert predicate(clause)(identity.encode(), {}) is matches(clause, Record(identity, {}))


def test_what_no_index_decides_is_not_answered() -> None:
    indexes = frozenset({A})
    for written in (
        {"a.contains": "x"},
        {"a.endswith": "x"},
        {"a": [1]},
        {"b": 1},
        {"a.lt": "x" * 2_000},
        {"$or": [{"a": 1}, {"b": 1}]},
        {"$registered_at.gt": "2025-01-01T00:00:00Z"},
    ):
        assert not answerable(parse(written, Limits()), indexes), written


def test_number_too_close_for_a_double_is_still_told_apart() -> None:
    clause = Compare(MetadataField(A), Op.GT, 2**53)
    [stretch] = stretches(clause) or ()
    assert not stretch.low <= encoded(2**53) < stretch.high
    assert stretch.low <= encoded(2**53 + 1) < stretch.high
