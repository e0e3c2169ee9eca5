"""From what a caller gives as metadata to the bytes that a registry stores."""

from __future__ import annotations

import json as exact_json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prism.model import json
from prism.model.errors import InvalidMetadata, Violation
from prism.model.limits import Limits, check_size

if TYPE_CHECKING:
    from prism.model.time import Micros
    from prism.schema.identity import IdentitySchema

_PLACE = "metadata"
_DIGITS = bytes(ord("0") if chr(byte) in "0123456789" else ord(" ") for byte in range(256))
_LONG_NUMBER = b"0" * 19  # 2**63 has 19 digits


def prepare_metadata(
    identity: str,
    metadata: Mapping[str, Any] | bytes | None,
    schema: IdentitySchema | None,
    limits: Limits,
    now: Micros,
) -> bytes:
    """The canonical bytes of the metadata, checked and completed by the schema.

    Args:
        identity: whom the metadata belongs to.
        metadata: a mapping (which is copied), JSON bytes, or None for an empty object.
        schema: the namespace's; None takes any JSON object.
        limits: `metadata_bytes` holds before and after the schema fills in defaults.
        now: the moment for `auto: now`, microseconds.

    Raises:
        InvalidMetadata: it isn't a JSON object or doesn't match the schema; with every violation.
        LimitExceeded: it is too large.
    """
    if isinstance(metadata, (bytes, bytearray, memoryview)):
        return prepare_metadata_json(identity, bytes(metadata), schema, limits, now)
    problems: list[Violation] = []
    document = json.normalise({} if metadata is None else metadata, _PLACE, problems)
    if problems:
        raise InvalidMetadata.of(problems)
    return _finish(identity, _object(document), schema, limits, now)


def prepare_metadata_json(
    identity: str, data: bytes, schema: IdentitySchema | None, limits: Limits, now: Micros
) -> bytes:
    """`prepare_metadata` for JSON text. Of keys that stand there twice the last wins.

    Integers that don't fit 64 bits are refused, never rounded to floats.
    """
    check_size(_PLACE, len(data), limits.metadata_bytes, "bytes", "store less in it")
    try:
        document = json.decode(data)
    except ValueError as error:
        raise InvalidMetadata.at(_PLACE, f"is not valid JSON: {error}") from error
    # What a JSON text can hold that metadata can't, deep nesting and long integers, shows in the bytes.
    if data.count(b"[") + data.count(b"{") > json.MAX_NESTING:
        _refuse_problems(document)
    if _LONG_NUMBER in data.translate(_DIGITS):
        # The quick decoder makes floats of integers beyond 64 bits; this one keeps them, to be refused.
        _refuse_problems(exact_json.loads(data))
    return _finish(identity, _object(document), schema, limits, now)


def _finish(
    identity: str, document: json.Document, schema: IdentitySchema | None, limits: Limits, now: Micros
) -> bytes:
    data = json.encode(document)
    check_size(_PLACE, len(data), limits.metadata_bytes, "bytes", "store less in it")
    if schema is None:
        return data
    data = json.encode(schema.validate(identity, document, now))
    check_size(_PLACE, len(data), limits.metadata_bytes, "bytes with the schema's defaults", "store less in it")
    return data


def _object(document: object) -> json.Document:
    if not isinstance(document, dict):
        raise InvalidMetadata.at(_PLACE, f"expected an object, got {json.describe(document)}")
    return document


def _refuse_problems(document: object) -> None:
    problems: list[Violation] = []
    json.normalise(document, _PLACE, problems)
    if problems:
        raise InvalidMetadata.of(problems)
