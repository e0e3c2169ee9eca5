"""What an application gives as metadata or as a patch, turned into bytes at once: changing it later changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from prism.model import json
from prism.model.errors import InvalidMetadata, Violation


def metadata_bytes(metadata: Mapping[str, Any] | bytes | None, place: str = "metadata") -> bytes:
    """The JSON bytes of a mapping; bytes are taken as JSON and pass unread, None is an empty object.

    Raises:
        InvalidMetadata: it isn't a mapping, or holds what JSON can't; with every place at fault.
    """
    if metadata is None:
        return b"{}"
    if isinstance(metadata, bytes):
        return metadata
    problems: list[Violation] = []
    if not isinstance(metadata, Mapping):
        _refuse(metadata, place)
    document = json.normalise(metadata, place, problems)
    if problems:
        raise InvalidMetadata.of(problems)
    return json.encode(document)


def _refuse(metadata: object, place: str) -> NoReturn:
    raise InvalidMetadata.at(place, f"expected a mapping, got {json.describe(metadata)}")
