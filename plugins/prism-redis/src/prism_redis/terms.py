"""What the indexes know of a filter: which parts they can answer, from which stretches, and for which record."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from prism.filters.ast import And, Compare, MetadataField, Node, Not, Op, Or, Order, RecordField

from prism_redis import values

Keys: TypeAlias = tuple[str, ...]
"""The path of a metadata field."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Encoded values from `low` on and below `high`."""

    low: bytes
    high: bytes


Stretches: TypeAlias = tuple[Stretch, ...]

_ANY: Final = (Stretch(values.LOWEST, values.BEYOND),)
_TYPES: Final = {
    "boolean": (values.FALSE, values.NUMBER),
    "number": (values.NUMBER, values.TEXT),
    "string": (values.TEXT, values.ARRAY),
    "array": (values.ARRAY, values.OBJECT),
    "object": (values.OBJECT, values.BEYOND),
}
_FROM_START: Final = b""
_TO_END: Final = b"\xff"


@dataclass(frozen=True, slots=True)
class Where:
    """One field's stretches: the identity itself (`keys` None), or a metadata field."""

    keys: Keys | None
    stretches: Stretches

    @property
    def by_identity(self) -> bool:
        """Whether the entries of each stretch are in the order of the identities."""
        return self.keys is None or (len(self.stretches) == 1 and _is_one_value(self.stretches[0]))


Test: TypeAlias = Callable[[bytes, Mapping[Keys, bytes]], bool]
"""Says from an identity and the encoded values of its indexed fields whether a filter holds."""


def answerable(node: Node, indexed: frozenset[Keys]) -> bool:
    """Whether the indexes decide exactly for which records a node holds."""
    match node:
        case Compare():
            field = node.field
            known = field is RecordField.IDENTITY or (isinstance(field, MetadataField) and field.keys in indexed)
            return known and stretches(node) is not None
        case Not():
            return answerable(node.child, indexed)
        case And() | Or():
            return all(answerable(child, indexed) for child in node.children)


def fields_of(node: Node) -> set[Keys]:
    """The metadata fields that a node asks for."""
    match node:
        case Compare():
            return {node.field.keys} if isinstance(node.field, MetadataField) else set()
        case Not():
            return fields_of(node.child)
        case And() | Or():
            return {keys for child in node.children for keys in fields_of(child)}


def sources(node: Node) -> list[Where] | None:
    """Stretches that hold every record for which an answerable node holds, some twice perhaps; None for anywhere."""
    match node:
        case Compare():
            if _complement(node):
                return None
            found = stretches(node) or ()
            return [Where(_keys(node), found)] if found else []
        case Or():
            parts = [sources(child) for child in node.children]
            known = [part for part in parts if part is not None]
            return [where for part in known for where in part] if len(known) == len(parts) else None
        case And():
            return next((part for part in map(sources, node.children) if part is not None), None)
        case Not():
            return None


def predicate(node: Node) -> Test:
    """The test of an answerable node."""
    match node:
        case Compare():
            return _clause_test(node)
        case Not():
            inner = predicate(node.child)
            return lambda identity, terms: not inner(identity, terms)
        case And():
            every = [predicate(child) for child in node.children]
            return lambda identity, terms: all(test(identity, terms) for test in every)
        case Or():
            some = [predicate(child) for child in node.children]
            return lambda identity, terms: any(test(identity, terms) for test in some)


def read_terms(blob: bytes | None, names: Mapping[int, Keys]) -> dict[Keys, bytes]:
    """The encoded values of a record's indexed fields. Fields that aren't in `names` are left out."""
    found: dict[Keys, bytes] = {}
    at, end = 0, len(blob or b"")
    while blob is not None and at < end:
        number, length = struct.unpack_from(">HH", blob, at)
        keys = names.get(number)
        if keys is not None:
            found[keys] = blob[at + 4 : at + 4 + length]
        at += 4 + length
    return found


def write_terms(document: Mapping[str, Any], numbers: Sequence[tuple[Keys, int]]) -> bytes:
    """The encoded values of a document's indexed fields, as `read_terms` and the scripts read them."""
    out = b""
    for keys, number in numbers:
        value: Any = document
        for key in keys:
            if value.__class__ is not dict:
                value = None
                break
            value = value.get(key)
        encoded = values.encode(value)
        if encoded is not None:
            out += struct.pack(">HH", number, len(encoded)) + encoded
    return out


def stretches(clause: Compare) -> Stretches | None:
    """The encoded values for which a clause holds, of `ne` and `exists: false` those for which it doesn't.

    None where encoded values can't decide.
    """
    if clause.field is RecordField.IDENTITY:
        return _of_identity(clause)
    value = clause.value
    match clause.op:
        case Op.EQ | Op.NE:
            return _equal([value]) if _is_scalar(value) else None
        case Op.IN:
            return _equal([item for item in value if _is_scalar(item)]) if isinstance(value, tuple) else None
        case Op.EXISTS:
            return _ANY
        case Op.TYPE:
            bounds = _TYPES.get(str(value))
            return None if bounds is None else (Stretch(*bounds),)
        case Op.STARTSWITH:
            if not isinstance(value, str) or not values.is_whole(value):
                return None
            start = values.prefix(value)
            return (Stretch(start, start + values.ABOVE),)
        case Op.LT | Op.LTE | Op.GT | Op.GTE:
            return _relation(clause)
        case _:
            return None


def _relation(clause: Compare) -> Stretches | None:
    value = clause.value
    if clause.order is not Order.NATURAL or isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    if isinstance(value, str) and not values.is_whole(value):
        return None
    low, high = _TYPES["string" if isinstance(value, str) else "number"]
    encoded = values.encode(value)
    assert encoded is not None
    match clause.op:
        case Op.LT:
            return (Stretch(low, encoded),)
        case Op.LTE:
            return (Stretch(low, encoded + values.ABOVE),)
        case Op.GT:
            return (Stretch(encoded + values.ABOVE, high),)
        case _:
            return (Stretch(encoded, high),)


def _of_identity(clause: Compare) -> Stretches | None:
    """An identity stands for itself; 00 after it is below every longer one."""
    value = clause.value
    if clause.op is Op.EXISTS:
        return (Stretch(_FROM_START, _TO_END),)
    if clause.op is Op.IN and isinstance(value, tuple):
        names = sorted({item.encode() for item in value if isinstance(item, str)})
        return tuple(Stretch(name, name + b"\x00") for name in names)
    if not isinstance(value, str):
        return None
    name = value.encode()
    match clause.op:
        case Op.EQ | Op.NE:
            return (Stretch(name, name + b"\x00"),)
        case Op.LT:
            return (Stretch(_FROM_START, name),)
        case Op.LTE:
            return (Stretch(_FROM_START, name + b"\x00"),)
        case Op.GT:
            return (Stretch(name + b"\x00", _TO_END),)
        case Op.GTE:
            return (Stretch(name, _TO_END),)
        case Op.STARTSWITH:
            return (Stretch(name, name + values.ABOVE),)
        case _:
            return None


def _equal(items: Sequence[Any]) -> Stretches:
    encoded = {item for item in map(values.encode, items) if item is not None}
    return tuple(Stretch(item, item + values.ABOVE) for item in sorted(encoded))


def _clause_test(clause: Compare) -> Test:
    found, keys, negated = stretches(clause) or (), _keys(clause), _complement(clause)
    bounds = [(stretch.low, stretch.high) for stretch in found]

    def test(identity: bytes, terms: Mapping[Keys, bytes]) -> bool:
        value = identity if keys is None else terms.get(keys)
        holds = value is not None and any(low <= value < high for low, high in bounds)
        return holds is not negated

    return test


def _complement(clause: Compare) -> bool:
    return clause.op is Op.NE or (clause.op is Op.EXISTS and clause.value is False)


def _keys(clause: Compare) -> Keys | None:
    return clause.field.keys if isinstance(clause.field, MetadataField) else None


def _is_scalar(value: object) -> bool:
    return isinstance(value, (str, bool, int, float))


def _is_one_value(stretch: Stretch) -> bool:
    """Whether a stretch holds the entries of one value, which are in the order of the identities."""
    return (
        stretch.high == stretch.low + values.ABOVE and stretch.low.endswith(b"\x00") and stretch.low[:1] < values.ARRAY
    )
