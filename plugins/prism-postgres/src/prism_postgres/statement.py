"""A statement's parameters: every value of a query is bound, none is ever part of the text."""

from __future__ import annotations

from typing import Any


class Parameters:
    """Values in the order of their numbers."""

    def __init__(self, *values: Any) -> None:
        self.values: list[Any] = list(values)
        self._known: dict[tuple[str, str], str] = {}

    def bind(self, value: Any, kind: str) -> str:
        """The SQL that stands for a value of a type."""
        self.values.append(value)
        return f"${len(self.values)}::{kind}"

    def bind_key(self, key: str) -> str:
        """The SQL that stands for a key of a document; the same for the same key."""
        known = self._known.get((key, "key"))
        if known is None:
            known = self._known[key, "key"] = self.bind(key, "text")
        return known
