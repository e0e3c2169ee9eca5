"""The identity schema of a namespace: what metadata may look like (RFC: schema definition)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from prism.filters.ast import MetadataField
from prism.filters.paths import format_path
from prism.model import json
from prism.model.errors import InvalidMetadata, Violation
from prism.schema.check import Check, compile_object
from prism.schema.types import Field, FieldType

if TYPE_CHECKING:
    from prism.model.time import Micros


@dataclass(frozen=True)
class IdentitySchema:
    """A schema that is known to be sound; `parse_schema` makes it.

    `closed` refuses fields that are not declared. `primary_key` names the field that always equals the
    identity. Two schemas are equal when they declare the same.
    """

    fields: tuple[Field, ...] = ()
    closed: bool = False
    primary_key: str | None = None
    _check: Check = field(init=False, repr=False, compare=False)
    _by_keys: dict[tuple[str, ...], FieldType] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_check", compile_object(self.fields, closed=self.closed))
        object.__setattr__(self, "_by_keys", dict(_walk((), self.fields)))

    def validate(self, identity: str, document: json.Document, now: Micros) -> json.Document:
        """Checks metadata and fills in the primary key, defaults and `auto: now`. Null counts as missing.

        Timestamps become fixed-width RFC 3339 in UTC. Nothing is coerced: 1.0 is no int and "1" no number.

        Args:
            identity: whom the metadata belongs to.
            document: a normalised copy (`prism.model.json.normalise`) that is the callee's: changed in place.
            now: the moment for `auto: now`, microseconds.

        Returns:
            The document.

        Raises:
            InvalidMetadata: with every violation at once.
        """
        problems: list[Violation] = []
        key = self.primary_key
        if key is not None:
            given = document.get(key)
            if given is None:
                document[key] = identity
            elif given != identity:
                text = f'is the primary key and must equal the identity "{identity}", got {json.describe(given)}'
                problems.append(Violation(f"metadata.{key}", f"{text}; leave it out and it is filled in"))
        self._check(document, "metadata", problems, now)
        if problems:
            raise InvalidMetadata.of(problems)
        return document

    @cached_property
    def indexed_fields(self) -> tuple[tuple[tuple[str, ...], str], ...]:
        """The fields marked `index: true`: keys from the outside in, and the name of the type."""
        return tuple(_indexed((), self.fields))

    @cached_property
    def kinds(self) -> dict[tuple[str, ...], str]:
        """The name of the type of every declared field, by its keys from the outside in."""
        return {keys: str(declared.kind) for keys, declared in self._by_keys.items()}

    def field_type(self, keys: tuple[str, ...]) -> FieldType | None:
        """The type declared for the field that these keys lead to, None when none is."""
        return self._by_keys.get(keys)

    def names(self) -> list[str]:
        """The declared paths as filters write them."""
        return [format_path(MetadataField(keys)) for keys in self._by_keys]


def _walk(outer: tuple[str, ...], fields: tuple[Field, ...]) -> Iterator[tuple[tuple[str, ...], FieldType]]:
    for declared in fields:
        keys = (*outer, declared.name)
        yield keys, declared.type
        yield from _walk(keys, declared.type.fields)


def _indexed(outer: tuple[str, ...], fields: tuple[Field, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for declared in fields:
        keys = (*outer, declared.name)
        if declared.index:
            yield keys, str(declared.type.kind)
        yield from _indexed(keys, declared.type.fields)
