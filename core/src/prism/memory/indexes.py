"""Which records a filter can match at all, from the inverted indexes: the query planner of the memory registry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prism.filters.ast import And, Compare, MetadataField, Node, Not, Op, Or, Order
from prism.memory.postings import Candidates, FieldIndex, union
from prism.memory.record import Record
from prism.model.json import Document
from prism.slots.context import IndexedField

_BOUNDS = {Op.LT: (False, False), Op.LTE: (False, True), Op.GT: (True, False), Op.GTE: (True, True)}
"""Whether the operand is the lower bound, and whether it is included."""


class Indexes:
    """The indexes of one table, kept up to date by it.

    `candidates` answers a superset: the table evaluates the whole filter on it. So an index needs to know
    nothing of a filter's finer points, and intersecting two candidate sets would save nothing: to look a
    record up in the other set costs as much as to evaluate the other clause.
    """

    def __init__(self) -> None:
        self._fields: dict[tuple[str, ...], FieldIndex] = {}

    def ensure(self, fields: Iterable[IndexedField], records: Iterable[Record]) -> None:
        """Makes the indexes that aren't there yet, and files the table's records in them."""
        missing = {field.keys for field in fields} - set(self._fields)
        added = {keys: FieldIndex(keys) for keys in sorted(missing)}
        if added:
            for record in records:
                for index in added.values():
                    index.add(record)
            self._fields |= added

    def add(self, record: Record) -> None:
        """Files a new record."""
        for index in self._fields.values():
            index.add(record)

    def remove(self, record: Record) -> None:
        """Takes a record out."""
        for index in self._fields.values():
            index.remove(record)

    def move(self, record: Record, document: Document) -> None:
        """Files a record anew for the document that it is about to get."""
        for index in self._fields.values():
            index.move(record, document)

    def candidates(self, conjuncts: Sequence[Node]) -> Candidates | None:
        """The smallest set known that holds every record for which all conjuncts hold; None for the whole table."""
        best: Candidates | None = None
        for node in conjuncts:
            found = self._of(node)
            if found is not None and (best is None or found.size < best.size):
                best = found
        return best

    def _of(self, node: Node) -> Candidates | None:
        match node:
            case Compare():
                return self._of_clause(node)
            case And():
                return self.candidates(node.children)
            case Or():
                return self._of_any(node.children)
            case Not():
                return None

    def _of_any(self, nodes: Sequence[Node]) -> Candidates | None:
        found = [self._of(node) for node in nodes]
        known = [part for part in found if part is not None]
        if len(known) < len(found):
            return None
        return union(sum(part.size for part in known), lambda: [part.rows() for part in known])

    def _of_clause(self, clause: Compare) -> Candidates | None:
        if not isinstance(clause.field, MetadataField):
            return None
        index = self._fields.get(clause.field.keys)
        if index is None:
            return None
        value = clause.value
        match clause.op:
            case Op.EQ:
                return index.equal(value)
            case Op.IN:
                return index.one_of(value) if isinstance(value, tuple) else None
            case Op.EXISTS:
                return index.present() if value else index.absent()
            case Op.STARTSWITH:
                return index.starting(value) if isinstance(value, str) else None
            case Op.CONTAINS:
                return index.having(value) if isinstance(value, (str, bool, int, float)) else None
            case Op.LT | Op.LTE | Op.GT | Op.GTE:
                return _ordered(index, clause)
            case _:
                return None


def _ordered(index: FieldIndex, clause: Compare) -> Candidates | None:
    value = clause.value
    if clause.order is not Order.NATURAL or isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    is_low, included = _BOUNDS[clause.op]
    if is_low:
        return index.ordered(value, None, with_low=included)
    return index.ordered(None, value, with_high=included)
