"""Registrations as Redis holds them, and the outcomes of the registry's scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson
from prism.model.errors import InvalidArgument, InvalidMetadata, PrismError, Violation
from prism.model.identity import Registration, Target
from prism.model.json import Document
from prism.model.pages import RecordPage, TargetPage
from prism.slots.registry import (
    Absent,
    AtRevision,
    Deleted,
    DeleteOutcome,
    Fence,
    Keep,
    Refusal,
    Refused,
    Renewal,
    Renewed,
    RenewOutcome,
    SetOutcome,
    Stored,
    Write,
)

from prism_redis.wire import Arg, Reply

_REFUSALS: Final = {
    b"E": Refusal.ALREADY_EXISTS,
    b"C": Refusal.CONFLICT,
    b"N": Refusal.NOT_FOUND,
    b"S": Refusal.STALE,
    b"Q": Refusal.QUOTA_EXCEEDED,
}
_NOT_FOUND: Final = Refused(Refusal.NOT_FOUND)
_STALE: Final = Refused(Refusal.STALE)


def check(write: Write) -> Document:
    """The decoded metadata of a write that can be stored. Raises PrismError for one that can't."""
    for field in ("identity", "registration_id", "address", "owner"):
        if "\0" in getattr(write, field):
            raise InvalidArgument.at(field, "has the character U+0000; remove it")
    ttl = write.ttl
    if isinstance(ttl, Keep):
        if not isinstance(write.precondition, AtRevision):
            raise InvalidArgument.at("ttl", "Keep.EXPIRY goes with AtRevision only; give a length of time or None")
    elif ttl is not None and ttl <= 0:
        raise bad_ttl(ttl)
    try:
        document = orjson.loads(write.metadata_json)
    except orjson.JSONDecodeError as error:
        raise _bad_metadata(write, f"is not JSON: {error}") from error
    if document.__class__ is not dict:
        raise _bad_metadata(write, "is not a JSON object; wrap it in one")
    return document


def bad_ttl(ttl: int) -> PrismError:
    """The error for a time to live that is over before it begins."""
    return InvalidArgument.at("ttl", f"{ttl} microseconds is not more than 0; give a positive time, or None for ever")


def _bad_metadata(write: Write, problem: str) -> PrismError:
    text = f"the metadata of {write.identity!r} {problem}"
    return InvalidMetadata(text, violations=(Violation("metadata", text),))


def write_arguments(write: Write, terms: bytes) -> tuple[Arg, ...]:
    """A write as the script reads it."""
    condition = write.precondition
    if isinstance(condition, Absent):
        expected: Arg = b"A"
    elif isinstance(condition, AtRevision):
        expected = condition.revision
    else:
        expected = b"*"
    ttl: Arg = b"" if write.ttl is None else b"K" if isinstance(write.ttl, Keep) else write.ttl
    return (
        write.identity,
        write.metadata_json,
        write.registration_id,
        write.address,
        write.owner,
        ttl,
        expected,
        terms,
    )


def fence_argument(registration_id: str | None) -> str:
    """A registration id that must be there, or a star for any."""
    return "*" if registration_id is None else f"={registration_id}"


def set_outcome(write: Write, reply: Reply) -> SetOutcome:
    """What became of a write."""
    if reply.__class__ is list:
        current = registration(write.identity, *reply[1]) if len(reply) > 1 else None
        return Refused(_REFUSALS[reply[0]], current)
    revision, registered, updated, expiry, *replaced = reply.split(b"\0")
    stored = Registration(
        write.identity,
        write.metadata_json,
        write.registration_id,
        int(revision),
        int(registered),
        int(updated),
        int(expiry) if expiry else None,
        write.address,
        write.owner,
    )
    if not replaced:
        return Stored(stored)
    return Stored(stored, Target(write.identity, replaced[0].decode(), replaced[1].decode()))


def delete_outcome(fence: Fence, reply: Reply) -> DeleteOutcome:
    """What became of a removal."""
    if reply.__class__ is list:
        return Deleted(Target(fence.identity, reply[0].decode(), reply[1].decode()))
    return _refused(reply)


def renew_outcome(renewal: Renewal, reply: Reply) -> RenewOutcome:
    """What became of a renewal."""
    del renewal
    if reply == b"":
        return Renewed(None)
    if reply in _REFUSALS:
        return _refused(reply)
    return Renewed(int(reply))


def _refused(reply: bytes) -> Refused:
    return _STALE if reply == b"S" else _NOT_FOUND


def registration(identity: str, head: bytes, document: bytes, expiry: bytes | None) -> Registration:
    """A registration from its head, its metadata, and its expiry (none or empty for never)."""
    registration_id, address, owner, revision, registered, updated = head.split(b"\0")
    return Registration(
        identity,
        document,
        registration_id.decode(),
        int(revision),
        int(registered),
        int(updated),
        moment(expiry),
        address.decode(),
        owner.decode(),
    )


def record_page(
    identities: Sequence[bytes],
    heads: Sequence[bytes],
    documents: Sequence[bytes],
    expiries: Sequence[bytes | None],
) -> RecordPage:
    """The registrations of records that are there and live, their heads taken apart in one go."""
    if not identities:
        return RecordPage.empty()
    parts = columns(heads, 6)
    return RecordPage(
        decoded(identities),
        documents,
        parts[0],
        list(map(int, parts[3])),
        list(map(int, parts[4])),
        list(map(int, parts[5])),
        [moment(expiry) for expiry in expiries],
        parts[1],
        parts[2],
    )


def columns(texts: Sequence[bytes], count: int) -> list[list[str]]:
    """The parts of texts that have `count` of them each, joined by U+0000; a column for each part."""
    parts = b"\0".join(texts).decode().split("\0")
    if len(parts) != count * len(texts):
        raise ValueError(f"{len(texts):,} entries in Redis have {len(parts):,} parts, not {count} each")
    return [parts[i::count] for i in range(count)]


def decoded(texts: Sequence[bytes]) -> list[str]:
    """UTF-8 texts without U+0000, decoded in one go."""
    return b"\0".join(texts).decode().split("\0") if texts else []


def moment(score: bytes | None) -> int | None:
    """The microseconds of a score, in whichever notation the server writes it."""
    if not score:
        return None
    return int(score) if score.isdigit() else int(float(score))


def target_page(members: Sequence[bytes], start: int) -> TargetPage:
    """The targets that entries of the order or of one value are of; `start` is the length of the value."""
    if not members:
        return TargetPage.empty()
    return TargetPage(*columns([member[start:] for member in members] if start else members, 3))


def target_page_of(identities: Sequence[bytes], heads: Sequence[bytes]) -> TargetPage:
    """The targets of records."""
    if not identities:
        return TargetPage.empty()
    registration_ids, addresses, *_ = columns(heads, 6)
    return TargetPage(decoded(identities), registration_ids, addresses)


def identity_of(member: bytes) -> bytes:
    """The identity of an entry of the order or of an index."""
    return member.rsplit(b"\0", 3)[-3]
