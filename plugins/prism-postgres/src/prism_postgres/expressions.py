"""SQL for the values in a document. An index is found only by the very expression it was made of, so each is here once.

`r` is the row of `registrations`, `l` that of `leases`. Keys are SQL too: a parameter, or a literal the server quoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

KEY_LENGTH: Final = 256
"""Characters of a text that are indexed: an entry of a B-tree has room for some 2,700 bytes, a text may have more."""


def value(keys: Sequence[str], document: str = "r.document") -> str:
    """The value at a path, null where there is none. Arrays have no keys."""
    return "(" + " -> ".join([document, *keys]) + ")"


def text(value: str) -> str:
    """A string, null for any other value. Ordered by code point."""
    return f"(CASE jsonb_typeof({value}) WHEN 'string' THEN {value} #>> '{{}}' END COLLATE \"C\")"


def text_key(value: str) -> str:
    """The beginning of a string: it compares with a shorter text as the whole does."""
    return f"left({text(value)}, {KEY_LENGTH})"


def number(value: str) -> str:
    """A number, null for any other value."""
    return f"(CASE jsonb_typeof({value}) WHEN 'number' THEN ({value})::numeric END)"


def boolean(value: str) -> str:
    """A boolean, null for any other value."""
    return f"(CASE jsonb_typeof({value}) WHEN 'boolean' THEN ({value})::boolean END)"


def version_key(value: str) -> str:
    """What orders versions; null for what isn't one. Of the schema `__schema__`."""
    return f"__schema__.version_key({text(value)})"


def short_version_key(value: str) -> str:
    """The beginning of `version_key`: it compares with a shorter key as the whole does."""
    return f'left({version_key(value)} COLLATE "C", {KEY_LENGTH})'


def place(value: str) -> str:
    """A point of longitude and latitude; null for what isn't one. Of the schema `__schema__`."""
    return f"__schema__.place({value})"
