"""Filters made for the records they meet, so that every operator is often true, often false, and often nearly true.

Drawn from a seed with plain `random`, a hundred times faster than drawing each choice; the strategies, which can
shrink what they find, cover the same ground more thinly.
"""

from __future__ import annotations

from random import Random
from typing import Any

from prism.filters.ast import And, Box, Compare, Field, MetadataField, Near, Node, Not, Op, Or, Order, RecordField
from prism.filters.record import Record

from prism_conformance.filters.strategies import COORDINATES, KEYS, MOMENTS, NUMBERS, TEXTS, VERSION_TEXTS

PATTERNS = ("", "a", "^a", "b$", r"^\d+\.", "(?i)A", r"\p{L}", "[^a]", "a|1", r"\x{1F600}", "^$")
TYPES = ("string", "number", "boolean", "array", "object")
RELATIONS = (Op.LT, Op.LTE, Op.GT, Op.GTE)
_ANY = (Op.EQ, Op.EQ, Op.NE, Op.TYPE, Op.EXISTS)
_STRING = (Op.STARTSWITH, Op.ENDSWITH, Op.CONTAINS, Op.REGEX, *RELATIONS, *RELATIONS)


class Meetings:
    """Draws filters and records from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - to be repeated, not to be secret

    def pair(self, *, own_fields: bool = True) -> tuple[Node, list[Record]]:
        """A filter and one to five records."""
        rows = [self.record(i) for i in range(self.random.randint(1, 5))]
        return self.tree(rows, self.random.choice((0, 0, 1, 2, 3)), own_fields=own_fields), rows

    def record(self, number: int) -> Record:
        """A record; the number makes its identity its own."""
        pick = self.random.choice
        document = {key: self.value(2) for key in ("a", "b", pick(KEYS)) if self.random.random() < 0.8}
        return Record(pick(TEXTS) + str(number), document, pick(MOMENTS), pick(MOMENTS), pick((None, *MOMENTS)))

    def scalar(self) -> Any:
        """A boolean, a number or a text."""
        pick = self.random.choice
        return pick(
            (
                True,
                False,
                pick(NUMBERS),
                pick(NUMBERS),
                pick((0, 1, 1.0)),
                pick(TEXTS),
                pick(VERSION_TEXTS),
                pick(VERSION_TEXTS),
            )
        )

    def value(self, depth: int) -> Any:
        """Anything metadata may hold, nested up to the depth."""
        chance = self.random.random()
        if depth == 0 or chance < 0.5:
            return self.scalar() if chance > 0.04 else None
        if chance < 0.65:
            return {"lat": self.coordinate(), "lon": self.coordinate()}
        if chance < 0.8:
            return [self.value(depth - 1) for _ in range(self.random.randint(0, 3))]
        return {self.random.choice(KEYS): self.value(depth - 1) for _ in range(self.random.randint(0, 3))}

    def coordinate(self) -> Any:
        """A degree, now and then one that is none."""
        return self.random.choice(COORDINATES if self.random.random() < 0.2 else (0, 0.0, 45, 45.0001, 90.0, -45))

    def tree(self, rows: list[Record], depth: int, *, own_fields: bool) -> Node:
        """A filter of clauses about the records."""
        if depth == 0 or self.random.random() < 0.2:
            return self.clause(self.random.choice(rows), own_fields=own_fields)
        if self.random.random() < 0.25:
            return Not(self.tree(rows, depth - 1, own_fields=own_fields))
        count = self.random.choice((0, 1, 2, 2, 3))
        children = tuple(self.tree(rows, depth - 1, own_fields=own_fields) for _ in range(count))
        return And(children) if self.random.random() < 0.5 else Or(children)

    def clause(self, row: Record, *, own_fields: bool) -> Compare:
        """A clause about something that is in the record, or now and then about something that isn't."""
        if own_fields and self.random.random() < 0.2:
            return self.own_clause(row)
        places = _places(row.document)
        if not places or self.random.random() < 0.1:
            path = tuple(self.random.choices(KEYS, k=self.random.randint(1, 3)))
            return self.about(MetadataField(path), self.scalar())
        path, value = self.random.choice(places)
        return self.about(MetadataField(path), value)

    def own_clause(self, row: Record) -> Compare:
        """A clause about one of the record's own fields."""
        if self.random.random() < 0.5:
            op = self.random.choice((Op.EQ, Op.NE, Op.EXISTS, Op.IN, *_STRING))
            return Compare(RecordField.IDENTITY, op, self.text_operand(op, row.identity))
        field = self.random.choice((RecordField.REGISTERED_AT, RecordField.UPDATED_AT, RecordField.EXPIRES_AT))
        op = self.random.choice((Op.EQ, Op.NE, Op.EXISTS, Op.IN, *RELATIONS))
        moments = tuple(self.random.sample(MOMENTS, 2))
        value = moments if op is Op.IN else self.random.random() < 0.5 if op is Op.EXISTS else moments[0]
        return Compare(field, op, value)

    def text_operand(self, op: Op, text: str) -> Any:
        """An operand for the text of an identity."""
        match op:
            case Op.IN:
                return tuple(self.random.sample([text, *TEXTS], 3))
            case Op.EXISTS:
                return self.random.random() < 0.5
        return self.operand(op, text)

    def about(self, field: Field, value: Any) -> Compare:
        """A clause about a field that has this value."""
        op = self.random.choice(_operators(value))
        if op in RELATIONS and self.random.random() < 0.4:
            return Compare(field, op, self.random.choice(VERSION_TEXTS), Order.VERSION)
        return Compare(field, op, self.operand(op, value))

    def operand(self, op: Op, value: Any) -> Any:
        """An operand that makes the operator true of the value, or false by little."""
        pick = self.random.choice
        match op:
            case Op.EXISTS:
                return pick((True, False))
            case Op.TYPE:
                return pick(TYPES)
            case Op.NEAR:
                return Near(pick((0.0, 45.0, -45.0)), pick((0.0, 45.0, -180.0)), pick((0.0, 12.0, 500.0, 5.1e6, 3e7)))
            case Op.WITHIN:
                return Box(
                    pick((-90.0, 0.0, 45.0)), pick((-180.0, 0.0, 45.0)), pick((45.0, 90.0)), pick((0.0, 45.0, 180.0))
                )
            case Op.REGEX:
                return pick(PATTERNS)
            case Op.IN:
                return tuple(
                    self.random.sample([value, _alike(value), self.scalar(), self.scalar()], self.random.randint(0, 4))
                )
            case Op.STARTSWITH:
                return value[: self.random.randint(0, len(value))]
            case Op.ENDSWITH:
                return value[self.random.randint(0, len(value)) :]
            case Op.CONTAINS if isinstance(value, str):
                return pick((value[self.random.randint(0, len(value)) :][:1], self.scalar()))
            case Op.CONTAINS:
                item = pick([item for item in value if item is not None] or ["a"])
                return pick((item, _alike(item), self.scalar()))
        if op in RELATIONS:
            return pick((value, pick(TEXTS + VERSION_TEXTS) if isinstance(value, str) else pick(NUMBERS)))
        return pick((value, value, _alike(value), self.scalar()))


def _places(value: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every path of a document with what stands there."""
    here = [(path, value)] if path and value is not None else []
    if isinstance(value, dict):
        return here + [place for key, item in value.items() for place in _places(item, (*path, key))]
    return here


def _alike(value: Any) -> Any:
    """What Python, but not the filter, finds equal: True for 1, 1.0 for 1, at any depth."""
    match value:
        case bool():
            return int(value)
        case 0 | 1:
            return bool(value)
        case int():
            return float(value)
        case list():
            return [_alike(item) for item in value]
        case dict():
            return {key: _alike(item) for key, item in value.items()}
    return value


def _operators(value: Any) -> tuple[Op, ...]:
    """The operators that can be true of a value."""
    match value:
        case bool():
            return (*_ANY, Op.IN, Op.IN)
        case str():
            return (*_ANY, Op.IN, *_STRING)
        case list():
            return (*_ANY, Op.CONTAINS, Op.CONTAINS, Op.CONTAINS)
        case dict():
            return (*_ANY, Op.NEAR, Op.NEAR, Op.WITHIN, Op.WITHIN)
    return (*_ANY, Op.IN, *RELATIONS)
