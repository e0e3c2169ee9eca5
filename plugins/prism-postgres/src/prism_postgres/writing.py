"""Batches of writes, removals and renewals: what goes to the server's functions, and outcomes of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from prism.model.errors import InvalidArgument, InvalidMetadata, PrismError, Violation
from prism.model.identity import Registration, Target
from prism.slots.registry import (
    Absent,
    AtRevision,
    Deleted,
    DeleteOutcome,
    Fence,
    Keep,
    Refusal,
    Refused,
    SetOutcome,
    Stored,
    Write,
)

from prism_postgres.documents import jsonb_of

_LONGEST: Final = 2**55
"""Microseconds, eleven centuries: what `leases.bucket` has room for, and to spare."""


def document_of(write: Write) -> str | None:
    """The document for filters, None where it's the metadata itself. Raises PrismError where it can't be stored."""
    if "\0" in write.identity or "\0" in write.registration_id or "\0" in write.address or "\0" in write.owner:
        fields = ("identity", "registration_id", "address", "owner")
        field = next(field for field in fields if "\0" in getattr(write, field))
        raise InvalidArgument.at(field, "has the character U+0000; remove it")
    ttl = write.ttl
    if isinstance(ttl, Keep):
        if not isinstance(write.precondition, AtRevision):
            raise InvalidArgument.at("ttl", "Keep.EXPIRY goes with AtRevision only; give a length of time or None")
    else:
        check_ttl(ttl)
    try:
        document = orjson.loads(write.metadata_json)
    except orjson.JSONDecodeError as error:
        raise _bad_metadata(write, f"is not JSON: {error}") from error
    if document.__class__ is not dict:
        raise _bad_metadata(write, "is not a JSON object; wrap it in one")
    return jsonb_of(write.metadata_json, document)


def check_ttl(ttl: int | None) -> None:
    """Raises InvalidArgument for a time to live that is over before it begins, or longer than can be stored."""
    if ttl is not None and not 0 < ttl <= _LONGEST:
        text = f"{ttl} microseconds is not between 0 and {_LONGEST}; give a positive time, or None for ever"
        raise InvalidArgument.at("ttl", text)


def write_columns(writes: Sequence[Write], documents: Sequence[str | None]) -> list[list[Any]]:
    """The columns that `set_registrations` takes, in its order; those that are one value throughout have it once."""
    return [
        [write.identity for write in writes],
        [write.registration_id for write in writes],
        [write.metadata_json for write in writes],
        shortened([_kind(write) for write in writes]),
        shortened([w.precondition.revision if isinstance(w.precondition, AtRevision) else None for w in writes]),
        shortened([-1 if isinstance(write.ttl, Keep) else write.ttl for write in writes]),
        shortened([write.address for write in writes]),
        shortened([write.owner for write in writes]),
        shortened(documents),
    ]


def shortened(column: Sequence[Any]) -> list[Any]:
    """The column, or its first value alone where all are the same: the driver takes its time over each."""
    first = column[0]
    return [first] if column.count(first) == len(column) else list(column)


def set_outcome(write: Write, row: Any) -> SetOutcome:
    """What became of a write."""
    outcome, revision, registered_at, updated_at, expires_at, old_id, old_address = row
    if outcome != "stored":
        return Refused(Refusal(outcome))
    stored = Registration(
        write.identity,
        write.metadata_json,
        write.registration_id,
        revision,
        registered_at,
        updated_at,
        expires_at,
        write.address,
        write.owner,
    )
    return Stored(stored, None if old_id is None else Target(write.identity, old_id, old_address))


def delete_outcome(fence: Fence, row: Any) -> DeleteOutcome:
    """What became of a removal."""
    outcome, registration_id, address = row
    if outcome != "deleted":
        return Refused(Refusal(outcome))
    return Deleted(Target(fence.identity, registration_id, address))


def is_unknown(identity: str) -> bool:
    """Whether no registration can have this identity; the server can't even be asked."""
    return "\0" in identity


def _kind(write: Write) -> int:
    if isinstance(write.precondition, AtRevision):
        return 2
    return 1 if isinstance(write.precondition, Absent) else 0


def _bad_metadata(write: Write, problem: str) -> PrismError:
    text = f"the metadata of {write.identity!r} {problem}"
    return InvalidMetadata(text, violations=(Violation("metadata", text),))
