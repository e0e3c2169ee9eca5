"""Sort orders and keyset positions as SQL; see `prism.filters.sorting` for what the order is.

A key becomes a rank (ascending, which depends on the direction), a number and a text (in the key's direction).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from prism.filters.ast import MetadataField, Order, RecordField, SortKey
from prism.slots.registry import After

from prism_postgres import documents, expressions
from prism_postgres.statement import Parameters
from prism_postgres.versions import version_text

PARTS: Final = 3
"""Parts of each key."""
_NO_VERSION: Final = 4
_NO_VALUE: Final = 5
_RANKS: Final = {"boolean": (0, 3), "number": (1, 2), "string": (2, 1)}
"""Of a type in ascending and descending order; all else is the other end."""
_OTHERS: Final = (3, 0)
_MOMENTS: Final = {
    RecordField.REGISTERED_AT: "r.registered_at",
    RecordField.UPDATED_AT: "r.updated_at",
    RecordField.EXPIRES_AT: "l.expires_at",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One expression to order by, of a type. None of them is ever null."""

    sql: str
    type: str
    descending: bool = False


def order(sort: Sequence[SortKey], parameters: Parameters) -> list[Part]:
    """What a query orders by, the identity last."""
    parts = [part for key in sort for part in _parts(key, parameters)]
    return [*parts, Part("r.identity", "text")]


def position(sort: Sequence[SortKey], after: After) -> list[Any]:
    """The values of the parts for the record to go on after."""
    places = [place for key, value in zip(sort, after.values, strict=True) for place in _place(key, value)]
    # No identity has a U+0000, nor can the server be given one: what comes after it comes after all before it.
    return [*places, after.identity.partition("\0")[0]]


def order_by(parts: Sequence[Part]) -> str:
    """The ORDER BY of these."""
    return ", ".join(part.sql + (" DESC" if part.descending else "") for part in parts)


def beyond(parts: Sequence[Part], values: Sequence[Any], parameters: Parameters) -> str:
    """The condition on what comes after a position."""
    places = [parameters.bind(value, part.type) for part, value in zip(parts, values, strict=True)]
    condition = f"{parts[-1].sql} > {places[-1]}"
    for part, place in reversed(list(zip(parts[:-1], places[:-1], strict=True))):
        sign = "<" if part.descending else ">"
        condition = f"({part.sql} {sign} {place} OR ({part.sql} = {place} AND {condition}))"
    return condition


def _parts(key: SortKey, parameters: Parameters) -> list[Part]:
    """Rank, number and text."""
    if key.field is RecordField.IDENTITY:
        rank, number, text = "2", "0", "r.identity"
        if key.order is Order.VERSION:
            version = "__schema__.version_key(r.identity)"
            rank = f"(CASE WHEN {version} IS NULL THEN {_NO_VERSION} ELSE 2 END)"
            text = f"coalesce({version}, r.identity)"
    elif isinstance(key.field, MetadataField):
        value = expressions.value([parameters.bind_key(documents.text(name)) for name in key.field.keys])
        rank, number, text = _of_metadata(key, value)
    else:
        column = _MOMENTS[key.field]
        rank, number, text = f"(CASE WHEN {column} IS NULL THEN {_NO_VALUE} ELSE 1 END)", f"coalesce({column}, 0)", "''"
    return [
        Part(f"{rank}::integer", "integer"),
        Part(f"{number}::numeric", "numeric", key.descending),
        Part(f'({text}::text COLLATE "C")', "text", key.descending),
    ]


def _of_metadata(key: SortKey, value: str) -> tuple[str, str, str]:
    at = 1 if key.descending else 0
    ranks = {name: places[at] for name, places in _RANKS.items()}
    text, string = expressions.text(value), str(ranks["string"])
    if key.order is Order.VERSION:
        version = expressions.version_key(value)
        string = f"CASE WHEN {version} IS NULL THEN {_NO_VERSION} ELSE {string} END"
        text = f"coalesce({version}, {text})"
    rank = (
        f"(CASE coalesce(jsonb_typeof({value}), 'null') WHEN 'null' THEN {_NO_VALUE} WHEN 'string' THEN {string} "
        f"WHEN 'number' THEN {ranks['number']} WHEN 'boolean' THEN {ranks['boolean']} ELSE {_OTHERS[at]} END)"
    )
    number = f"coalesce({expressions.number(value)}, {expressions.boolean(value)}::integer::numeric, 0)"
    return rank, number, f"coalesce({text}, '')"


def _place(key: SortKey, value: Any) -> tuple[int, Any, str]:
    """The rank, number and text of a value."""
    at, zero = 1 if key.descending else 0, documents.number(0)
    if value is None:
        return _NO_VALUE, zero, ""
    if isinstance(key.field, RecordField) and key.field is not RecordField.IDENTITY:
        return 1, documents.number(value), ""
    if isinstance(value, bool):
        return _RANKS["boolean"][at], documents.number(int(value)), ""
    if isinstance(value, (int, float)):
        return _RANKS["number"][at], documents.number(value), ""
    if not isinstance(value, str):
        return _OTHERS[at], zero, ""
    is_identity = key.field is RecordField.IDENTITY
    rank = 2 if is_identity else _RANKS["string"][at]
    text = value.partition("\0")[0] if is_identity else documents.text(value)
    if key.order is Order.VERSION:
        version = version_text(value)
        return (_NO_VERSION, zero, text) if version is None else (rank, zero, version)
    return rank, zero, text
