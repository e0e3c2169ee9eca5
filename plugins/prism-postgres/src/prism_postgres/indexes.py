"""Which fields are indexed, and how: from `indexes:` in the configuration and `index: true` in the schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from prism.filters.ast import MetadataField
from prism.filters.paths import PathError, read_path
from prism.model.errors import InvalidConfig, Violation
from prism.slots.context import IndexedField

from prism_postgres.config import Index, IndexType

Keys: TypeAlias = tuple[str, ...]
"""The path of a metadata field; none is the whole document."""

_CONTAINERS = ("array", "object")


@dataclass(frozen=True, slots=True, order=True)
class FieldIndex:
    """One index of one field. `kind` is the schema's type, "" where it has none."""

    keys: Keys
    type: IndexType
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What is indexed, for quick look-up."""

    texts: frozenset[Keys] = frozenset()
    numbers: frozenset[Keys] = frozenset()
    booleans: frozenset[Keys] = frozenset()
    versions: frozenset[Keys] = frozenset()
    elements: frozenset[Keys] = frozenset()
    """By GIN."""
    places: frozenset[Keys] = frozenset()
    document: bool = False
    """The whole, by GIN."""

    @classmethod
    def of(cls, fields: Iterable[FieldIndex]) -> Indexed:
        """What these indexes are of."""
        fields = tuple(fields)

        def keys(*columns: str) -> frozenset[Keys]:
            return frozenset(field.keys for field in fields if set(columns) & set(columns_of(field)))

        return cls(
            keys("text"), keys("number"), keys("boolean"), keys("version"), keys("elements"), keys("place"),
            any(not field.keys for field in fields),
        )  # fmt: skip


def columns_of(field: FieldIndex) -> tuple[str, ...]:
    """What is in the index of a field: an index each. A field of no known type may hold texts and numbers."""
    if field.type is IndexType.GIST:
        return ("place",)
    if field.type is IndexType.GIN:
        return ("elements", "odd") if field.keys else ("document",)
    match field.kind:
        case "int" | "float":
            return ("number",)
        case "bool":
            return ("boolean",)
        case "version":
            return ("text", "version")
        case "":
            return ("text", "number")
        case _:
            return ("text",)


def wanted(
    configured: Iterable[Index], declared: Iterable[IndexedField], kinds: Mapping[Keys, str]
) -> tuple[FieldIndex, ...]:
    """The indexes to have, each once. `kinds` are the schema's types of all fields.

    Raises InvalidConfig for a path that isn't one, and for a field of the record itself.
    """
    found: dict[tuple[Keys, IndexType], FieldIndex] = {}
    for entry in configured:
        keys = () if entry.field == "*" else _keys(entry.field)
        kind = kinds.get(keys, "")
        index_type = entry.type or _suited(kind)
        found[keys, index_type] = FieldIndex(keys, index_type, kind)
    named = {keys for keys, _ in found}
    for field in declared:
        if field.keys not in named:
            found[field.keys, _suited(field.kind)] = FieldIndex(field.keys, _suited(field.kind), field.kind)
    return tuple(found.values())


def _suited(kind: str) -> IndexType:
    if kind == "geo_point":
        return IndexType.GIST
    return IndexType.GIN if kind.startswith(_CONTAINERS) else IndexType.BTREE


def _keys(path: str) -> Keys:
    try:
        field = read_path(path)
    except PathError as error:
        raise _bad(path, str(error)) from None
    if not isinstance(field, MetadataField):
        raise _bad(path, "is a field of the record itself, which needs no index of its own; leave it out")
    return field.keys


def _bad(path: str, problem: str) -> InvalidConfig:
    text = f'"{path}" {problem}'
    return InvalidConfig(f"indexes: {text}", violations=(Violation("indexes", text),))
