"""Who is meant: `--where` and `--filter` into one filter."""

from __future__ import annotations

from prism.cli.source import read_bytes
from prism.cli.where import parse_wheres
from prism.filters.ast import EVERYONE, And, Node
from prism.filters.parse import parse_json
from prism.model.limits import Limits

_READABLE = Limits(filter_depth=64, filter_clauses=10_000, filter_bytes=1024 * 1024)
"""Bounds of what is read here; the namespace's own limits are checked by the proxy, which knows them."""


def read_filter(where: list[str] | None, filter_json: str | None) -> Node:
    """The filter that the options make together; everyone when neither is given.

    Raises WhereError, InvalidFilter, or typer.BadParameter where a file can't be read.
    """
    clauses = parse_wheres(where or ())
    if filter_json is None:
        return clauses
    written = parse_json(read_bytes(filter_json), _READABLE)
    return written if clauses == EVERYONE else And((clauses, written))
