"""What JetStream answers, taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from prism.model.time import Micros

from prism_nats import protocol
from prism_nats.errors import BUSY, Rejected, ReplyTimeout
from prism_nats.exchanges import Reply
from prism_nats.stamps import parse_stamp


class Stored(NamedTuple):
    """A message as it is in a stream. `pending` is how many matched after it."""

    seq: int
    at: Micros
    data: bytes
    pending: int


class Ack(NamedTuple):
    """What became of a publish."""

    seq: int
    duplicate: bool


Outcome = Ack | Rejected | ReplyTimeout


def is_busy(outcome: object) -> bool:
    """Whether it is worth another try."""
    return isinstance(outcome, Rejected) and outcome.code in BUSY


def outcome_of(reply: Reply | None, timeout: float) -> Outcome:
    """What became of a publish, or of another request whose answer says only whether it was carried out."""
    if reply is None:
        return ReplyTimeout(f"no answer from JetStream for {timeout:g} s")
    if protocol.status(reply[1]):
        return Rejected(protocol.status(reply[1]), "no JetStream stream answers now")
    answer = orjson.loads(reply[0])
    if "error" in answer:
        return _rejection(answer["error"])
    return Ack(answer.get("seq", 0), answer.get("duplicate", False))


def answer_of(reply: Reply) -> dict[str, Any]:
    """The answer to a request to the API; raises Rejected where it is an error."""
    if protocol.status(reply[1]):
        raise Rejected(protocol.status(reply[1]), "JetStream does not answer; is it enabled on the server?")
    answer: dict[str, Any] = orjson.loads(reply[0])
    if "error" in answer:
        raise _rejection(answer["error"])
    return answer


def _rejection(error: dict[str, Any]) -> Rejected:
    return Rejected(error.get("err_code") or error.get("code", 0), error.get("description", "refused"))


def messages_of(replies: Sequence[Reply]) -> list[Stored]:
    """The messages that a direct get answered with; raises Rejected where it failed."""
    found = []
    for data, block in replies:
        if not protocol.status(block) and block is not None:
            _, seq, at, pending = protocol.stored(block)
            found.append(Stored(seq, parse_stamp(at), data, pending))
        elif protocol.status(block) not in {204, 404}:
            raise Rejected(protocol.status(block), "reading messages failed")
    return found


def with_subjects(replies: Sequence[Reply]) -> list[tuple[bytes, Stored]]:
    """The messages that a direct get answered with, each with its subject."""
    found = []
    for data, block in replies:
        if not protocol.status(block) and block is not None:
            subject, seq, at, pending = protocol.stored(block)
            found.append((subject, Stored(seq, parse_stamp(at), data, pending)))
    return found
