"""The filter as a frozen tree, into which every input form parses (design section 6)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Op(StrEnum):
    """Operators by the name they have at the end of a path: `battery_level.lt`."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    STARTSWITH = "startswith"
    ENDSWITH = "endswith"
    CONTAINS = "contains"
    REGEX = "regex"
    IN = "in"
    EXISTS = "exists"
    TYPE = "type"
    NEAR = "near"
    WITHIN = "within"


class Order(StrEnum):
    """How lt, lte, gt and gte compare strings."""

    NATURAL = "natural"
    """By Unicode code point."""
    VERSION = "version"
    """By the numbers in them: 1.10 after 1.9. Set by `bind` where the schema says `version`."""


class RecordField(StrEnum):
    """The record's own fields; everything else is metadata."""

    IDENTITY = "$identity"
    REGISTERED_AT = "$registered_at"
    UPDATED_AT = "$updated_at"
    EXPIRES_AT = "$expires_at"


@dataclass(frozen=True, slots=True)
class MetadataField:
    """A place in the metadata: keys from the outside in, never empty. Paths go through objects only."""

    keys: tuple[str, ...]


Field: TypeAlias = MetadataField | RecordField


@dataclass(frozen=True, slots=True)
class Near:
    """Within `radius_m` metres (inclusive) of a point, along the great circle. Degrees."""

    lat: float
    lon: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Box:
    """A latitude/longitude rectangle, edges included; `west > east` crosses the antimeridian. Degrees."""

    south: float
    west: float
    north: float
    east: float


Operand: TypeAlias = (
    "bool | int | float | str | tuple[Operand, ...] | list[Operand | None] | dict[str, Operand | None] | Near | Box"
)
"""A JSON value (arrays as tuples for `in`, as lists for deep equality), or a region. Never changed once parsed.

For $registered_at, $updated_at and $expires_at: an int, microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Compare:
    """One clause: a field, an operator, an operand. `at` is its place in the written form, for messages."""

    field: Field
    op: Op
    value: Operand
    order: Order = Order.NATURAL
    at: str = dataclasses.field(default="$", compare=False)


@dataclass(frozen=True, slots=True)
class And:
    """All children hold; with none, everything matches.

    `implicit` is true when it was written as several keys of one mapping; only error places depend on it.
    """

    children: tuple[Node, ...]
    implicit: bool = dataclasses.field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Or:
    """Any child holds; with none, nothing matches (only the planner makes that)."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The child doesn't hold: logical complement, so that a filter and its negation partition."""

    child: Node


Node: TypeAlias = Compare | And | Or | Not

EVERYONE = And(())
"""What no filter and `{}` mean."""


class Support(StrEnum):
    """What a backend says of one pushed conjunct (after DataFusion's TableProvider)."""

    EXACT = "exact"
    """It returns exactly the matching records."""
    INEXACT = "inexact"
    """It returns a superset; the core checks the rest."""
    UNSUPPORTED = "unsupported"
    """It ignores the conjunct; the core checks it."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of a sort order. Missing and null are last in both directions."""

    field: Field
    descending: bool = False
    order: Order = Order.NATURAL
