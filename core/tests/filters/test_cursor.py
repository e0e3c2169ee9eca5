"""Cursors go on exactly where they were made, and with no other query."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prism.filters.ast import Order, SortKey
from prism.filters.cursor import MAX_CURSOR, Position, decode_cursor, encode_cursor
from prism.filters.parse import parse
from prism.filters.record import Record
from prism.filters.sorting import parse_sort, seek_key, sort_key, sort_values
from prism.model.errors import InvalidArgument, LimitExceeded
from prism.model.limits import Limits
from prism_conformance.filters.strategies import records, sort_orders

NODE = parse({"room": "x"})
SORT = parse_sort(["a desc", "b"], Limits())
CURSOR = encode_cursor(NODE, SORT, Position((1, None), "alice"))


def forged(content: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("=")


def contents() -> list[Any]:
    return list(orjson.loads(base64.urlsafe_b64decode(CURSOR + "=" * (-len(CURSOR) % 4))))


@given(sort_orders, st.lists(records, min_size=1, max_size=8, unique_by=lambda row: row.identity), st.data())
@settings(max_examples=100, deadline=None)
def test_pages_by_cursor_skip_and_repeat_nobody(keys: list[SortKey], rows: list[Record], data: st.DataObject) -> None:
    in_order = sorted(rows, key=sort_key(keys))
    at = data.draw(st.integers(0, len(rows) - 1))
    text = encode_cursor(NODE, keys, Position(sort_values(keys)(in_order[at]), in_order[at].identity))
    position = decode_cursor(text, NODE, keys)
    after = seek_key(keys, position.values, position.identity)
    assert [row for row in in_order if sort_key(keys)(row) > after] == in_order[at + 1 :]


def test_cursor_fits_into_a_url() -> None:
    assert CURSOR.replace("-", "").replace("_", "").isalnum()
    assert CURSOR.isascii()


def test_equal_filters_share_their_cursors() -> None:
    written_otherwise = parse({"$and": [{"metadata.room.eq": "x"}]})
    assert decode_cursor(CURSOR, written_otherwise, SORT) == Position((1, None), "alice")


@pytest.mark.parametrize(
    ("source", "items"),
    [({"room": "y"}, ["a desc", "b"]), ({}, ["a desc", "b"]), ({"room": "x"}, ["a", "b"]), ({"room": "x"}, ["a desc"])],
)
def test_cursor_of_another_query_is_refused(source: dict[str, Any], items: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="belongs to another query"):
        decode_cursor(CURSOR, parse(source), parse_sort(items, Limits()))


def test_cursor_of_true_is_not_one_of_one() -> None:
    text = encode_cursor(parse({"a": True}), (), Position((), "alice"))
    with pytest.raises(InvalidArgument, match="another query"):
        decode_cursor(text, parse({"a": 1}), ())


def test_cursor_of_another_order_of_versions_is_refused() -> None:
    by_version = tuple(SortKey(key.field, key.descending, Order.VERSION) for key in SORT)
    with pytest.raises(InvalidArgument, match="another query"):
        decode_cursor(CURSOR, NODE, by_version)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "!!!!",
        CURSOR[:-4],
        CURSOR + "AAAA",
        CURSOR + "=",
        CURSOR + "\n",
        "é" * 8,
        "\ud800",
        forged({}),
        forged([]),
        forged([1, 2, 3, 4]),
        forged("x"),
    ],
)
def test_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^cursor: "):
        decode_cursor(text, NODE, SORT)


@pytest.mark.parametrize(
    ("index", "value"),
    [(0, 2), (1, "0" * 18), (2, [1]), (2, [1, [2]]), (2, [1, {"x": 1}]), (2, [1, 2**63]), (3, ""), (3, 5), (3, None)],
)
def test_cursor_changed_on_its_way_is_refused(index: int, value: Any) -> None:
    changed = contents()
    changed[index] = value
    with pytest.raises(InvalidArgument):
        decode_cursor(forged(changed), NODE, SORT)


def test_forged_cursor_of_the_right_shape_is_the_one_that_was_made() -> None:
    assert forged(contents()) == CURSOR


def test_cursor_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="expected a string"):
        decode_cursor(5, NODE, SORT)  # type: ignore[arg-type]


def test_cursors_are_bounded_in_both_directions() -> None:
    with pytest.raises(LimitExceeded):
        encode_cursor(NODE, SORT, Position(("x" * MAX_CURSOR, None), "alice"))
    with pytest.raises(LimitExceeded):
        decode_cursor("A" * (MAX_CURSOR + 1), NODE, SORT)
