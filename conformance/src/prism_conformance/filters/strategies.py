"""Filters and records for property tests: few names and values, so that they meet, and every awkward one."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from prism.filters.ast import And, Box, Compare, MetadataField, Near, Node, Not, Op, Or, Order, RecordField, SortKey
from prism.filters.record import Record

KEYS = ("a", "b", "a.b", "eq", "contains", "$and", "metadata", "\\", "é\U0001f600")
TEXTS = (
    "",
    "a",
    "ab",
    "b",
    "A",
    "*",
    "\x00",
    "é",
    "e\u0301",
    "\uffff",
    "\U0001f600",
    "1.9",
    "1.10",
    "v2.0-rc.1",
    "1.0",
    "1.0.0",
)
NUMBERS = (
    0,
    1,
    -1,
    2,
    2**53,
    2**53 + 1,
    2**53 - 1,
    -(2**53) - 1,
    2**63 - 1,
    -(2**63),
    0.0,
    -0.0,
    1.0,
    0.5,
    -1.5,
    1e300,
    2.0**53,
    2.0**63,
    5e-324,
)
VERSION_TEXTS = ("1.9", "1.10", "v2.0-rc.1", "1.0", "1.0.0", "2", "1.0-a")
COORDINATES = (0, 0.0, 45, 45.0001, -45, 90, -90, 179.999, 180, -180, -179.999, 91, 1e300, True, "45")
MOMENTS = (0, 1, 1_760_000_000_000_000, 1_760_000_000_000_001)

texts = (
    st.sampled_from(TEXTS)
    | st.sampled_from(VERSION_TEXTS)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
)
numbers = st.sampled_from(NUMBERS) | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.booleans() | numbers | texts
keys = st.sampled_from(KEYS)
points = st.fixed_dictionaries({"lat": st.sampled_from(COORDINATES), "lon": st.sampled_from(COORDINATES)}) | (
    st.fixed_dictionaries({"lat": st.sampled_from((0, 45, 45.0001, -90)), "lon": st.sampled_from((0, 179.999, -180))})
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | scalars | points,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
documents = st.dictionaries(keys, values, max_size=4)
records = st.builds(
    Record,
    identity=st.sampled_from(TEXTS[1:]) | st.text(min_size=1, max_size=3, alphabet="ab\U0001f600"),
    document=documents,
    registered_at=st.sampled_from(MOMENTS),
    updated_at=st.sampled_from(MOMENTS),
    expires_at=st.none() | st.sampled_from(MOMENTS),
)

metadata_fields = st.lists(keys, min_size=1, max_size=3).map(lambda path: MetadataField(tuple(path)))
times = st.sampled_from([RecordField.REGISTERED_AT, RecordField.UPDATED_AT, RecordField.EXPIRES_AT])
patterns = st.sampled_from(["", "a", "^a", "b$", r"^\d+\.", "(?i)A", r"\p{L}", "[^a]", "a|1", r"\x{1F600}", "^$"])
_degrees = (0.0, 45.0, 45.0001, -45.0, 90.0, -90.0)
_longitudes = (0.0, 45.0, 179.999, 180.0, -180.0, -179.999)
nears = st.builds(
    Near, st.sampled_from(_degrees), st.sampled_from(_longitudes), st.sampled_from([0.0, 12.0, 500.0, 1e6, 1.1e7, 3e7])
)
boxes = st.builds(
    lambda a, west, b, east: Box(min(a, b), west, max(a, b), east),
    st.sampled_from(_degrees),
    st.sampled_from(_longitudes),
    st.sampled_from(_degrees),
    st.sampled_from(_longitudes),
)
_RELATIONS = st.sampled_from([Op.LT, Op.LTE, Op.GT, Op.GTE])
_EQUALITIES = st.sampled_from([Op.EQ, Op.NE])
not_null = values.filter(lambda value: value is not None)


def _metadata_compares(orders: st.SearchStrategy[Order]) -> st.SearchStrategy[Compare]:
    field = metadata_fields
    return st.one_of(
        st.builds(Compare, field, _EQUALITIES, not_null),
        st.builds(Compare, field, _RELATIONS, numbers | texts, orders),
        st.builds(Compare, field, st.sampled_from([Op.STARTSWITH, Op.ENDSWITH]), texts),
        st.builds(Compare, field, st.just(Op.CONTAINS), not_null),
        st.builds(Compare, field, st.just(Op.REGEX), patterns),
        st.builds(Compare, field, st.just(Op.IN), st.lists(scalars, max_size=4).map(tuple)),
        st.builds(Compare, field, st.just(Op.EXISTS), st.booleans()),
        st.builds(
            Compare, field, st.just(Op.TYPE), st.sampled_from(["string", "number", "boolean", "array", "object"])
        ),
        st.builds(Compare, field, st.just(Op.NEAR), nears),
        st.builds(Compare, field, st.just(Op.WITHIN), boxes),
    )


_moments = st.sampled_from(MOMENTS)
_record_compares = st.one_of(
    st.builds(Compare, times, _EQUALITIES | _RELATIONS, _moments),
    st.builds(Compare, times, st.just(Op.IN), st.lists(_moments, max_size=3).map(tuple)),
    st.builds(Compare, times, st.just(Op.EXISTS), st.booleans()),
    st.builds(
        Compare,
        st.just(RecordField.IDENTITY),
        _EQUALITIES | _RELATIONS | st.sampled_from([Op.STARTSWITH, Op.ENDSWITH, Op.CONTAINS]),
        texts,
    ),
    st.builds(Compare, st.just(RecordField.IDENTITY), st.just(Op.REGEX), patterns),
    st.builds(Compare, st.just(RecordField.IDENTITY), st.just(Op.IN), st.lists(texts, max_size=3).map(tuple)),
)


def _trees(compares: st.SearchStrategy[Compare]) -> st.SearchStrategy[Node]:
    return st.recursive(
        compares,
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda children: And(tuple(children)))
            | st.lists(inner, min_size=1, max_size=3).map(lambda children: Or(tuple(children)))
            | inner.map(Not)
        ),
        max_leaves=5,
    )


metadata_compares = _metadata_compares(st.just(Order.NATURAL))
written_filters = _trees(metadata_compares | _record_compares)
"""Filters as any input form can give them."""

metadata_filters = _trees(_metadata_compares(st.sampled_from(Order)))
"""Filters of metadata alone, as the binder leaves them."""

filters = _trees(_metadata_compares(st.sampled_from(Order)) | _record_compares)
"""Filters of everything, as the binder leaves them."""


sort_orders = st.lists(
    st.builds(SortKey, metadata_fields | st.sampled_from(RecordField), st.booleans(), st.sampled_from(Order)),
    max_size=3,
    unique_by=lambda key: key.field,
)
