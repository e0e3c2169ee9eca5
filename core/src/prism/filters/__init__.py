"""Filters: one meaning everywhere. AST, input forms, reference and compiled evaluators, pushdown planner.

Pure: no I/O, no async. Imports `model` alone.
"""

from __future__ import annotations

from prism.filters.ast import EVERYONE, And, Compare, Node, Not, Op, Or, SortKey, Support
from prism.filters.bind import SchemaView, bind, bind_sort
from prism.filters.build import F, Filter
from prism.filters.compiled import CompiledFilter, compile_filter
from prism.filters.mapping import to_mapping
from prism.filters.operands import compare
from prism.filters.parse import check, parse, parse_json
from prism.filters.plan import PushdownPlan, explain, split
from prism.filters.record import Record, RecordLike
from prism.filters.reference import matches
from prism.filters.sorting import parse_sort, sort_key

__all__ = [
    "EVERYONE",
    "And",
    "Compare",
    "CompiledFilter",
    "F",
    "Filter",
    "Node",
    "Not",
    "Op",
    "Or",
    "PushdownPlan",
    "Record",
    "RecordLike",
    "SchemaView",
    "SortKey",
    "Support",
    "bind",
    "bind_sort",
    "check",
    "compare",
    "compile_filter",
    "explain",
    "matches",
    "parse",
    "parse_json",
    "parse_sort",
    "sort_key",
    "split",
    "to_mapping",
]
