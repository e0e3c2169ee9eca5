"""Holds the fields that a registry is to index (RFC: `backend_slots.registry.indexes`) against the identity schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prism.filters.ast import MetadataField
from prism.filters.paths import PathError, read_path
from prism.filters.suggest import did_you_mean
from prism.schema import Field, IdentitySchema, Kind


@dataclass(frozen=True, slots=True)
class Undeclared:
    """An entry of `indexes` whose field the schema doesn't declare; `closed` where it can't ever exist."""

    position: int
    text: str
    closed: bool


def undeclared_indexes(schema: IdentitySchema | None, options: Mapping[str, Any]) -> Iterator[Undeclared]:
    """The entries at fault. A path that isn't one, and the fields within one of any content, are not looked into."""
    entries = options.get("indexes")
    if schema is None or not isinstance(entries, (list, tuple)):
        return
    for position, entry in enumerate(entries):
        path = entry.get("field") if isinstance(entry, Mapping) else None
        if not isinstance(path, str) or path == "*":
            continue
        try:
            field = read_path(path)
        except PathError:
            continue
        if isinstance(field, MetadataField):
            closed = _closed_against(field.keys, schema.fields, schema.closed)
            if closed is not None:
                hint = did_you_mean(path, schema.names())
                text = f'the schema has no field "{path}"{hint or "; it has: " + (", ".join(schema.names()) or "none")}'
                yield Undeclared(position, text, closed)


def _closed_against(keys: tuple[str, ...], fields: tuple[Field, ...], closed: bool) -> bool | None:
    """None where the keys lead to a declared field, or into one of any content; else whether others are refused."""
    if not keys or not (fields or closed):
        return None
    declared = next((field.type for field in fields if field.name == keys[0]), None)
    if declared is None:
        return closed
    if declared.kind is not Kind.OBJECT:
        return None
    return _closed_against(keys[1:], declared.fields, declared.closed)
