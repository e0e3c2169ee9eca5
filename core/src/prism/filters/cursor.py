"""Cursors: where a paged enumeration goes on, as opaque text that fits into a URL.

A cursor holds the sort values and identity of the last record that was given out, so that it stays good when
that record is gone, and a digest of filter and sort order, so that it can't be used with another query.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from prism.filters.ast import Node, SortKey
from prism.filters.mapping import to_mapping
from prism.filters.plan import normalise
from prism.filters.sorting import format_sort
from prism.model import json
from prism.model.errors import InvalidArgument, Violation
from prism.model.limits import check_size

MAX_CURSOR: Final = 512 * 1024
"""Characters a cursor may have; sort values are at most as long as metadata."""

_VERSION = 1
_FIX = "start again without a cursor, or send the filter and sort_by that it came with"


@dataclass(frozen=True, slots=True)
class Position:
    """The last record given out: its values of the sort keys (null for none, `{}` for an array or object)."""

    values: tuple[Any, ...]
    identity: str


def encode_cursor(node: Node, sort: Sequence[SortKey], position: Position) -> str:
    """The cursor that goes on after a position in the query of this filter and order.

    Raises LimitExceeded when the sort values are too long to be sent around.
    """
    content = orjson.dumps([_VERSION, _digest(node, sort), position.values, position.identity])
    text = urlsafe_b64encode(content).decode().rstrip("=")
    check_size("cursor", len(text), MAX_CURSOR, "characters", "sort by a field with shorter values")
    return text


def decode_cursor(text: str, node: Node, sort: Sequence[SortKey]) -> Position:
    """The position that a cursor holds.

    Raises InvalidArgument when it isn't a cursor, or is one of another filter or order.
    """
    if not isinstance(text, str):
        raise InvalidArgument.at("cursor", f"expected a string, got {json.describe(text)}")
    check_size("cursor", len(text), MAX_CURSOR, "characters", _FIX)
    try:
        content = orjson.loads(_bytes(text))
    except ValueError:
        raise InvalidArgument.at("cursor", f"is not a cursor of ours; {_FIX}") from None
    match content:
        case [int(version), str(digest), list(values), str(identity)] if version == _VERSION and identity:
            pass
        case _:
            raise InvalidArgument.at("cursor", f"is not a cursor of this version; {_FIX}")
    if digest != _digest(node, sort) or len(values) != len(sort):
        raise InvalidArgument.at("cursor", f"belongs to another query; {_FIX}")
    if not all(map(_is_sort_value, values)):
        raise InvalidArgument.at("cursor", f"was changed on its way; {_FIX}")
    return Position(tuple(values), identity)


def _bytes(text: str) -> bytes:
    data = text.encode("ascii")
    decoded = urlsafe_b64decode(data + b"=" * (-len(data) % 4))
    if urlsafe_b64encode(decoded).rstrip(b"=") != data:  # the decoder skips what it doesn't know
        raise binascii.Error("not as encode_cursor writes it")
    return decoded


def _is_sort_value(value: object) -> bool:
    problems: list[Violation] = []
    json.normalise(value, "cursor", problems)
    return not problems and (value == {} or not isinstance(value, (list, dict)))


def _digest(node: Node, sort: Sequence[SortKey]) -> str:
    order = [[text, key.order.value] for text, key in zip(format_sort(sort), sort, strict=True)]
    content = orjson.dumps([to_mapping(normalise(node)), order], option=orjson.OPT_SORT_KEYS)
    return blake2b(content, digest_size=9).hexdigest()
