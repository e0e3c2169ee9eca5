"""Identities as rows: which columns there are, and what an identity has in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
import typer

from prism.cli.durations import ago, rfc3339
from prism.cli.screen import cell
from prism.filters.ast import MetadataField, RecordField
from prism.filters.paths import PathError, read_path
from prism.model.time import from_datetime

if TYPE_CHECKING:
    from rich.text import Text

    from prism import Identity

Reader: TypeAlias = "Callable[[Identity], object]"

DEFAULT_COLUMNS = ("$identity", "$attached", "$expires_in", "metadata")
"""What `prism ls` shows unless told otherwise."""


CELL = 200
"""Characters of a cell in a list; `prism get` and JSON have all of them."""


def read_columns(text: str | None) -> dict[str, Reader]:
    """The columns of a comma-separated list, each with how to read it. Raises typer.BadParameter.

    A column is a metadata path (`country`, `location.lat`), `metadata` as a whole, or one of the record's own:
    `$identity`, `$registered_at`, `$updated_at`, `$expires_at`, `$expires_in`, `$revision`, `$attached`.
    """
    names = [name.strip() for name in text.split(",")] if text is not None else list(DEFAULT_COLUMNS)
    return {name: _reader(name) for name in names}


def row(identity: Identity, columns: dict[str, Reader]) -> list[Text]:
    """What a table shows of an identity; what is longer than CELL characters is cut."""
    cells = [cell(_shown(read(identity))) for read in columns.values()]
    for text in cells:
        text.truncate(CELL, overflow="ellipsis")
    return cells


def as_json(identity: Identity) -> dict[str, Any]:
    """An identity as `--json` and `prism export` write it."""
    return _record(identity, identity.metadata)


def json_line(identity: Identity) -> bytes:
    """The same as bytes; the metadata isn't decoded on the way."""
    return orjson.dumps(_record(identity, orjson.Fragment(identity.metadata_json)))


def _record(identity: Identity, metadata: object) -> dict[str, Any]:
    return {
        "identity": identity.identity,
        "metadata": metadata,
        "registered_at": rfc3339(identity.registered_at),
        "updated_at": rfc3339(identity.updated_at),
        "expires_at": rfc3339(identity.expires_at),
        "revision": identity.revision,
        "attached": identity.attached,
    }


def value_at(document: object, keys: Sequence[str]) -> object:
    """What a document holds at a place, None where it holds nothing."""
    for key in keys:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def _reader(name: str) -> Reader:
    if name in _RECORD:
        return _RECORD[name]
    try:
        field = read_path(name)
    except PathError as error:
        known = ", ".join(_RECORD)
        raise typer.BadParameter(f'--columns: "{name}": {error}; the record\'s own columns are {known}') from error
    if isinstance(field, RecordField):
        return _RECORD[field.value]
    return _metadata_reader(field)


def _metadata_reader(field: MetadataField) -> Reader:
    return lambda identity: value_at(identity.metadata, field.keys)


def _expires_in(identity: Identity) -> str:
    if identity.expires_at is None:
        return "never"
    left = from_datetime(identity.expires_at) - from_datetime(datetime.now(UTC))
    return ago(max(left, 0))


_RECORD: dict[str, Reader] = {
    "$identity": lambda identity: identity.identity,
    "$registered_at": lambda identity: identity.registered_at,
    "$updated_at": lambda identity: identity.updated_at,
    "$expires_at": lambda identity: identity.expires_at,
    "$expires_in": _expires_in,
    "$revision": lambda identity: identity.revision,
    "$attached": lambda identity: "yes" if identity.attached else "no",
    "metadata": lambda identity: identity.metadata,
}


def _shown(value: object) -> object:
    return rfc3339(value) if isinstance(value, datetime) else value
