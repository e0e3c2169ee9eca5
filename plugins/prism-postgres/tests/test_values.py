"""What JSONB holds of a document compares as the document does."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prism.filters.versions import version_key
from prism.slots.context import Failure
from prism.slots.registry import Absent, Renewal, Renewed, Stored, Write
from prism_postgres import documents
from prism_postgres.patterns import Literal, literal
from prism_postgres.prefixes import successor
from prism_postgres.registry import PostgresRegistry
from prism_postgres.versions import version_text

from .conftest import Open

texts = st.text(st.sampled_from("\0\1\2\3ab\U0010ffff\ud7ff\ue000"), max_size=5)
numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([2**53, 2**53 + 1, 2.0**53, 1e23, -1e300, 5e-324, 0.1, -0.0, 2.0**63, 1e16, 1e15]),
)
versions = st.from_regex(r"\A[vV]?[0-9]{1,3}(\.[0-9]{1,3}){0,3}(-[0-9A-Za-z-]{1,3}(\.[0-9a]{1,3}){0,2})?(\+a)?\Z")


@given(texts, texts)
def test_held_texts_are_ordered_like_the_texts(left: str, right: str) -> None:
    one, other = documents.text(left), documents.text(right)
    assert (one < other, one == other) == (left < right, left == right)
    assert one.startswith(other) == left.startswith(right)
    if not documents.is_ambiguous_inside(right):
        assert (other in one) == (right in left)
        assert one.endswith(other) == left.endswith(right)


@given(numbers, numbers)
def test_held_numbers_are_ordered_like_the_numbers(left: float, right: float) -> None:
    one, other = documents.number(left), documents.number(right)
    assert (one < other, one == other) == (left < right, left == right)


@given(numbers)
def test_number_in_a_document_is_the_number_of_an_operand(number: float) -> None:
    metadata = orjson.dumps({"a": number})
    held = documents.jsonb_of(metadata, orjson.loads(metadata)) or metadata.decode()
    from decimal import Decimal

    assert json.loads(held, parse_int=Decimal, parse_float=Decimal)["a"] == documents.number(number)


@given(texts)
def test_texts_after_a_prefix_begin_at_its_successor(prefix: str) -> None:
    end = successor(prefix)
    if end is None:
        assert not prefix.strip("\U0010ffff")
        return
    assert prefix < end
    assert prefix + "\U0010ffff" * 3 < end
    assert not end.startswith(prefix) or not prefix


@given(versions, versions)
def test_version_texts_are_ordered_like_the_versions(left: str, right: str) -> None:
    one, other = version_text(left), version_text(right)
    first, second = version_key(left), version_key(right)
    assert one is not None
    assert other is not None
    assert first is not None
    assert second is not None
    assert (one < other, one == other) == (first < second, first == second)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("abc", Literal("abc", anchored=False, whole=True)),
        ("^abc", Literal("abc", anchored=True, whole=True)),
        ("^abc$", Literal("abc", anchored=True, whole=False)),
        ("abc*", Literal("ab", anchored=False, whole=False)),
        ("abc{2}", Literal("ab", anchored=False, whole=False)),
        ("a.c", Literal("a", anchored=False, whole=False)),
        ("^(?i)abc", None),
        ("(?i)abc", None),
        ("abc|x", None),
        ("a?", None),
        ("", None),
        ("^", None),
    ],
)
def test_only_plain_text_is_taken_from_a_pattern(pattern: str, found: Literal | None) -> None:
    assert literal(pattern) == found


async def test_longest_time_to_live_is_stored_and_a_longer_one_fails_alone(
    config: dict[str, Any], opened: Open
) -> None:
    registry = await opened(PostgresRegistry, config)
    ttls = (2**55, 2**55 + 1, 2**62 - 1)
    longest, *longer = await registry.set([Write(f"user-{ttl}", b"{}", "r1", ttl, Absent()) for ttl in ttls])
    assert isinstance(longest, Stored)
    renewed, *refused = await registry.expire([Renewal(f"user-{2**55}", None, ttl) for ttl in ttls])
    assert isinstance(renewed, Renewed)
    assert all(isinstance(outcome, Failure) for outcome in (*longer, *refused))


async def test_the_server_makes_the_same_version_texts(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    await opened(PostgresRegistry, config)
    generated: list[str] = []

    @settings(max_examples=300, database=None)
    @given(st.one_of(versions, st.text(st.sampled_from("v0019.-+ab\n "), max_size=12)))
    def collect(text: str) -> None:
        generated.append(text)

    collect()
    fixed = [
        "1.0.0",
        "1",
        "v1.2",
        "1.2.3-rc.1+b",
        "01.002",
        "1.0-01",
        "1" * 18,
        "1" * 19,
        "",
        "1.",
        "1\n",
        "1.0-" + "9" * 20,
    ]
    asked = [*generated, *fixed]
    rows = await bare.fetch(
        "SELECT version_key(t) AS key FROM unnest($1::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n", asked
    )
    assert [row["key"] for row in rows] == [version_text(text) for text in asked]
