"""Faults of a registry: filters, indexes, plans."""

from __future__ import annotations

from typing import Any

import pytest
from prism.filters.ast import And, Compare, Op, Support
from prism.filters.compiled import compile_filter
from prism.memory import table as tables
from prism.memory.indexes import Indexes
from prism.memory.postings import FieldIndex
from prism.memory.registry import MemoryRegistry
from prism.memory.table import Table

from .running import registry

MP = pytest.MonkeyPatch


@registry("FIL-010", "FIL-022")
def null_is_not_missing(patch: MP) -> None:
    _judged(patch, lambda clause, record: clause.op is Op.EXISTS and _null(clause, record))


@registry("FIL-020", "FIL-010", "FIL-021", "FIL-022", "FIL-030", "FIL-031", "FIL-032", "FIL-033", "FIL-034")
def count_ignores_the_filter(patch: MP) -> None:
    original = MemoryRegistry.count

    async def count(self: Any, conjuncts: Any) -> int:
        del conjuncts
        return await original(self, ())

    patch.setattr(MemoryRegistry, "count", count)


@registry("FIL-022", "FIL-021")
def index_is_not_told_of_what_is_written_over(patch: MP) -> None:
    patch.setattr(Indexes, "move", lambda self, record, document: None)
    patch.setattr(Indexes, "remove", lambda self, record: None)


@registry("FIL-030", "FIL-010")
def index_takes_true_for_one(patch: MP) -> None:
    original = FieldIndex.equal
    patch.setattr(FieldIndex, "equal", lambda self, value: original(self, int(value) if value is True else value))


@registry("FIL-031", "FIL-010")
def index_does_not_know_that_an_int_is_a_float(patch: MP) -> None:
    original = FieldIndex.ordered

    def ordered(self: Any, low: Any, high: Any, **more: Any) -> Any:
        return original(self, float(low) + 1 if isinstance(low, int) and low >= 2**53 else low, high, **more)

    patch.setattr(FieldIndex, "ordered", ordered)


@registry("FIL-032")
def prefix_ends_before_the_last_code_point(patch: MP) -> None:
    original = FieldIndex._range

    def starting(self: Any, prefix: str) -> Any:
        return original(self, self._ordered_texts(), prefix, prefix + "\U0010ffff", with_high=False)

    patch.setattr(FieldIndex, "starting", starting)


@registry("FIL-033", "FIL-010", "FIL-032")
def index_of_elements_answers_for_texts_too(patch: MP) -> None:
    original = FieldIndex.having

    def having(self: Any, element: Any) -> Any:
        kept, self._text_keys = self._text_keys, 0
        try:
            return original(self, element)
        finally:
            self._text_keys = kept

    patch.setattr(FieldIndex, "having", having)


@registry("FIL-034")
def quote_ends_the_text(patch: MP) -> None:
    _judged(patch, lambda clause, record: isinstance(clause.value, str) and "'" in clause.value)


@registry("FIL-040")
def index_keeps_the_expired(patch: MP) -> None:
    walk = Table.matching

    def matching(self: Any, conjuncts: Any, *more: Any) -> Any:
        for records in walk(self, conjuncts, *more):
            expired = [record for record in self._records.values() if record.dies_at <= self.now()] if conjuncts else []
            yield [*compile_filter(And(tuple(conjuncts))).rows(expired), *records] if expired else records

    patch.setattr(Table, "matching", matching)


@registry("REG-230", "FIL-010", "FIL-020", "FIL-021", "FIL-022")
def plan_answers_once_for_all(patch: MP) -> None:
    patch.setattr(MemoryRegistry, "plan", lambda self, conjuncts: [Support.EXACT])


def _null(clause: Compare, record: Any) -> bool:
    key = getattr(clause.field, "keys", ("",))[0]
    return key in record.document and record.document[key] is None


def _judged(patch: MP, wrong: Any) -> None:
    """Turns a filter of one clause around where the judgement is wrong."""
    original = tables.compile_filter

    class Wrong:
        def __init__(self, node: Any) -> None:
            self.right = original(node)
            self.clauses = [part for part in node.children if isinstance(part, Compare)]

        def rows(self, records: Any) -> Any:
            held = {id(record) for record in self.right.rows(records)}
            return [
                record
                for record in records
                if (id(record) in held) != any(wrong(clause, record) for clause in self.clauses)
            ]

    patch.setattr(tables, "compile_filter", Wrong)
