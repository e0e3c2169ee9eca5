"""The types a field can have, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any


class Kind(StrEnum):
    """Type names as a schema writes them."""

    STRING = "string"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    ENUM = "enum"
    TIMESTAMP = "timestamp"
    VERSION = "version"
    GEO_POINT = "geo_point"
    ARRAY = "array"
    OBJECT = "object"


SCALARS = frozenset({Kind.STRING, Kind.INT, Kind.FLOAT, Kind.BOOL, Kind.ENUM, Kind.TIMESTAMP, Kind.VERSION})

OTHER_NAMES = {
    "integer": "int",
    "long": "int",
    "int64": "int",
    "int32": "int",
    "number": "float",
    "double": "float",
    "decimal": "float",
    "boolean": "bool",
    "str": "string",
    "text": "string",
    "uuid": "string",
    "list": "array",
    "dict": "object",
    "map": "object",
    "json": "object",
    "datetime": "timestamp",
    "date": "timestamp",
    "time": "timestamp",
    "geo": "geo_point",
    "point": "geo_point",
    "location": "geo_point",
    "semver": "version",
}
"""What other systems call our types: spelled too differently to be found as a near match."""


class Missing(Enum):
    """The sentinel for a default that isn't there."""

    MISSING = "missing"


MISSING = Missing.MISSING


@dataclass(frozen=True, slots=True)
class FieldType:
    """The type of a value.

    `values` are an enum's. `items` is an array's item type, None for any. `fields` and `closed` are an
    object's; an object without fields takes anything. `max_length` counts a string's characters or an
    array's items.
    """

    kind: Kind
    values: tuple[str, ...] = ()
    items: FieldType | None = None
    fields: tuple[Field, ...] = ()
    closed: bool = False
    max_length: int | None = None

    def __str__(self) -> str:
        if self.kind is Kind.ENUM:
            return f"enum[{', '.join(self.values)}]"
        if self.kind is Kind.ARRAY and self.items is not None:
            return f"array[{self.items}]"
        return str(self.kind)


@dataclass(frozen=True, slots=True)
class Field:
    """One declared field of the metadata, or of an object in it.

    `default` is a JSON value that fits the type, MISSING for none. `auto_now` fills in the time of the
    registration. `index` asks the backend for an index.
    """

    name: str
    type: FieldType
    required: bool = False
    default: Any = MISSING
    auto_now: bool = False
    index: bool = False
