"""Sort orders: `["metadata.created_at desc"]`, and keys that put any records into one total order.

Within a key come booleans, numbers, strings, then arrays and objects (which tie); `desc` turns that round.
Missing and null are last in both directions, and in a version order the texts that aren't versions come just
before them. Ties are broken by identity, ascending.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from prism.filters.ast import Field, MetadataField, Order, RecordField, SortKey
from prism.filters.paths import PathError, format_path, read_path
from prism.filters.record import RecordLike
from prism.filters.suggest import did_you_mean
from prism.filters.versions import VersionKey, version_key
from prism.model.errors import InvalidArgument, Violation
from prism.model.json import describe
from prism.model.limits import Limits, check_size

Comparable: TypeAlias = tuple[Any, ...]
"""A tuple that compares, in C, like the record's place in the order."""

_DIRECTIONS = {"asc": False, "desc": True}
_OTHER_WORDS = {
    "ascending": "asc", "up": "asc", "increasing": "asc",
    "descending": "desc", "down": "desc", "decreasing": "desc", "reverse": "desc", "reversed": "desc",
}  # fmt: skip
"""What else people write for a direction, and what it is here."""
_NO_VERSION, _NO_VALUE = 4, 5
"""Ranks behind the types' 0 to 3, in both directions."""

_INVERTED = bytes(0xFE - byte if byte < 0xFF else 0 for byte in range(256))
_END = b"\xff"


def parse_sort(items: Sequence[str | SortKey], limits: Limits) -> tuple[SortKey, ...]:
    """Reads `path`, `path asc` and `path desc` (RFC: sort_by).

    A path that looks like another way to write a direction (`battery down`, `-battery`) needs one beside it.

    Raises InvalidArgument naming each `sort_by[i]` at fault, LimitExceeded for too many keys.
    """
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise InvalidArgument.at("sort_by", f'expected a list such as ["room", "battery desc"], got {describe(items)}')
    check_size("sort_by", len(items), limits.sort_keys, "keys", "sort by fewer fields")
    problems: list[Violation] = []
    keys: list[SortKey] = []
    for i, item in enumerate(items):
        try:
            key = item if isinstance(item, SortKey) else _parse_key(item)
        except PathError as error:
            problems.append(Violation(f"sort_by[{i}]", f"{describe(item)} {error}"))
            continue
        if any(key.field == other.field for other in keys):
            problems.append(Violation(f"sort_by[{i}]", f'"{format_path(key.field)}" is named twice; remove one'))
        keys.append(key)
    if problems:
        raise InvalidArgument.of(problems)
    return tuple(keys)


def format_sort(keys: Sequence[SortKey]) -> list[str]:
    """The texts that `parse_sort` reads as these keys."""
    return [f"{format_path(key.field)} {'desc' if key.descending else 'asc'}" for key in keys]


def sort_key(keys: Sequence[SortKey]) -> Callable[[RecordLike], Comparable]:
    """A key function for `sorted`: ascending order of its results is the order that the keys ask for."""
    if not keys:
        return _identity_only
    parts = [(_getter(key.field), _place(key)) for key in keys]
    if len(parts) == 1:
        [(get, place)] = parts
        return lambda record: (*place(get(record)), record.identity)

    def comparable(record: RecordLike) -> Comparable:
        out: list[Any] = []
        for get, place in parts:
            out += place(get(record))
        out.append(record.identity)
        return tuple(out)

    return comparable


def sort_values(keys: Sequence[SortKey]) -> Callable[[RecordLike], tuple[Any, ...]]:
    """A function for the values that a cursor keeps of a record. Arrays and objects, which tie, become `{}`."""
    getters = [_getter(key.field) for key in keys]

    def values(record: RecordLike) -> tuple[Any, ...]:
        found = (get(record) for get in getters)
        return tuple({} if value.__class__ in (dict, list) else value for value in found)

    return values


def seek_key(keys: Sequence[SortKey], values: Sequence[Any], identity: str) -> Comparable:
    """What `sort_key` gives for a record with these values and this identity: records after it compare greater."""
    out: list[Any] = []
    for key, value in zip(keys, values, strict=True):
        out += _place(key)(value)
    return (*out, identity)


def _identity_only(record: RecordLike) -> Comparable:
    return (record.identity,)


def _parse_key(item: str) -> SortKey:
    if not isinstance(item, str):
        raise PathError('is no sort key; write "path" or "path desc"')
    path, _, last = item.strip().rpartition(" ")
    direction = last.lower()
    if not path:
        return SortKey(_undirected(last))
    if direction in _DIRECTIONS:
        return SortKey(read_path(path.rstrip()), _DIRECTIONS[direction])
    whole = item.strip()
    if direction in _OTHER_WORDS:
        fix = f'write "{_OTHER_WORDS[direction]}" (for a field of this name, "{whole} asc")'
        raise PathError(f'has the direction "{last}"; {fix}')
    if hint := did_you_mean(direction, (*_DIRECTIONS, *_OTHER_WORDS), cutoff=0.7):
        raise PathError(
            f'has "{last}" for a direction{hint} Write asc or desc (for a field of this name, "{whole} asc")'
        )
    return SortKey(read_path(whole))


def _undirected(path: str) -> Field:
    """The field of a key without a direction; `-battery` is how others write one."""
    if path[:1] in ("-", "+") and path[1:]:
        direction = "desc" if path[0] == "-" else "asc"
        raise PathError(f'has a sign; write "{path[1:]} {direction}" (for a field of this name, "{path} asc")')
    return read_path(path)


def _getter(field: Field) -> Callable[[RecordLike], Any]:
    match field:
        case RecordField.IDENTITY:
            return lambda record: record.identity
        case RecordField.REGISTERED_AT:
            return lambda record: record.registered_at
        case RecordField.UPDATED_AT:
            return lambda record: record.updated_at
        case RecordField.EXPIRES_AT:
            return lambda record: record.expires_at
        case MetadataField():
            return _metadata_getter(field.keys)


def _metadata_getter(keys: tuple[str, ...]) -> Callable[[RecordLike], Any]:
    if len(keys) == 1:
        [key] = keys
        return lambda record: record.document.get(key)

    def get(record: RecordLike) -> Any:
        value: Any = record.document
        for key in keys:
            if value.__class__ is not dict:
                return None
            value = value.get(key)
        return value

    return get


def _place(key: SortKey) -> Callable[[Any], tuple[int, Any]]:
    """A function from a value to its rank and what to compare within the rank."""
    if key.order is Order.VERSION:
        return _version_descending if key.descending else _version_ascending
    return _descending if key.descending else _ascending


def _ascending(value: Any) -> tuple[int, Any]:
    kind = value.__class__
    if kind is str:
        return 2, value
    if kind is int or kind is float:
        return 1, value
    if value is None:
        return _NO_VALUE, 0
    return (0, value) if kind is bool else (3, 0)


def _descending(value: Any) -> tuple[int, Any]:
    kind = value.__class__
    if kind is str:
        return 1, _inverted(value)
    if kind is int or kind is float:
        return 2, -value
    if value is None:
        return _NO_VALUE, 0
    return (3, not value) if kind is bool else (0, 0)


def _inverted(text: str) -> bytes:
    """Bytes that sort in the reverse of code-point order.

    UTF-8 sorts like code points and has no byte above 0xF4, so its complement stays below the end mark, which
    puts a longer text before its own beginning.
    """
    return text.encode(errors="surrogatepass").translate(_INVERTED) + _END


def _version_ascending(value: Any) -> tuple[int, Any]:
    if value.__class__ is not str:
        return _ascending(value)
    version = version_key(value)
    return (2, version) if version is not None else (_NO_VERSION, value)


def _version_descending(value: Any) -> tuple[int, Any]:
    if value.__class__ is not str:
        return _descending(value)
    version = version_key(value)
    return (1, _inverted_version(version)) if version is not None else (_NO_VERSION, _inverted(value))


def _inverted_version(version: VersionKey) -> Comparable:
    """Negated numbers; end marks, greater than any part, put the longer before its own beginning."""
    numbers, release, identifiers = version
    parts = [(0, 0, _inverted(text)) if rank else (1, -number, b"") for rank, number, text in identifiers]
    return (*(-number for number in numbers), 1), -release, (*parts, (2, 0, b""))
