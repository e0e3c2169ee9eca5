r"""What stands in the log of a partition: one record for each call and partition.

    prism-log/1 [kind, issuer, number, arguments ...]\n
    payload bytes

The first line is JSON. `issuer` is the slot instance that waits for the answer, under `number`. Offsets in arguments
are of the same partition. Only `enqueue` has a payload.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Final

import orjson
from prism.model.message import DeliverySemantics, Message

VERSION: Final = 1
"""Of the log's format and of what its records do. Proxies with another one may not share a log."""
_FAMILY: Final = b"prism-log/"
_MAGIC: Final = _FAMILY + str(VERSION).encode() + b" "


class Kind(StrEnum):
    """What a record does; its arguments are in `_SHAPES`."""

    CREATE = "create"
    DELETE = "delete"
    ENQUEUE = "enqueue"
    DEQUEUE = "dequeue"
    ACK = "ack"
    NACK = "nack"
    RELEASE = "release"
    EXTEND = "extend"
    DEPTH = "depth"
    DEAD_LETTERS = "dead_letters"
    REPLAY = "replay"
    POLICY = "policy"
    CLAIM = "claim"
    """A proxy offers to write a snapshot of the state as of this record."""
    DONE = "done"
    """It has written it."""


LONGEST: Final = 2**60
"""The largest number in an argument. Added to a time it still fits into a snapshot."""

_NAMES: Final = "names"
_PAIRS: Final = "pairs"
_COUNT: Final = "count"
_Shape = str | type | UnionType
_SHAPES: Final[dict[Kind, tuple[_Shape, ...]]] = {
    Kind.CREATE: (_NAMES,),
    Kind.DELETE: (_NAMES, int | NoneType),  # queues, the mark
    Kind.ENQUEUE: (str, str, int, str, str, _NAMES, int | NoneType),  # the message's fields, queues, time to live
    Kind.DEQUEUE: (_NAMES, int, int),  # queues, limit, visibility
    Kind.ACK: (_PAIRS,),  # queues and tokens
    Kind.NACK: (_PAIRS, int),  # ..., delay
    Kind.RELEASE: (_PAIRS,),
    Kind.EXTEND: (_PAIRS, int),  # ..., visibility
    Kind.DEPTH: (_NAMES,),
    Kind.DEAD_LETTERS: (str, int),  # queue, limit
    Kind.REPLAY: (str, _NAMES, int | NoneType),  # queue, message ids, time to live
    Kind.POLICY: (_COUNT, _COUNT, int, _COUNT, _COUNT),
    Kind.CLAIM: (),
    Kind.DONE: (int,),  # the offset of the claim
}


class Malformed(ValueError):
    """A record that none of ours can have written."""


class NewerFormat(Exception):
    """A record of a newer Prism. It can't be skipped: other proxies act upon it."""


@dataclass(frozen=True, slots=True)
class Command:
    """One record, read."""

    kind: Kind
    issuer: str
    number: int
    arguments: list[Any]
    payload: bytes = b""

    def message(self) -> Message:
        """The message of an `enqueue`."""
        message_id, content_type, sent_at, delivery, sender = self.arguments[:5]
        return Message(message_id, self.payload, content_type, sent_at, DeliverySemantics(delivery), sender)


def encode(kind: Kind, issuer: str, number: int, arguments: Sequence[Any], payload: bytes = b"") -> bytes:
    """The record of a call."""
    return b"".join((_MAGIC, orjson.dumps([kind, issuer, number, *arguments]), b"\n", payload))


def described(message: Message) -> list[Any]:
    """A message as the first arguments of an `enqueue`."""
    return [message.id, message.content_type, message.sent_at, message.delivery, message.sender]


def decode(value: bytes | None) -> Command:
    """Reads a record.

    Raises:
        Malformed: it isn't one of ours.
        NewerFormat: a newer Prism wrote it.
    """
    if value is None or not value.startswith(_MAGIC):
        _refuse_newer(value or b"")
        raise Malformed("it doesn't begin like a record of a Prism log")
    line, found, payload = value[len(_MAGIC) :].partition(b"\n")
    if not found:
        raise Malformed("its first line doesn't end")
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"its first line isn't JSON: {error}") from error
    if not isinstance(fields, list) or len(fields) < 3:
        raise Malformed("its first line isn't an array of kind, issuer, number and arguments")
    kind, issuer, number, *arguments = fields
    if kind not in Kind.__members__.values() or not isinstance(issuer, str) or not isinstance(number, int):
        raise Malformed(f"its kind, issuer and number are {kind!r}, {issuer!r}, {number!r}")
    shape = _SHAPES[Kind(kind)]
    if len(arguments) != len(shape) or not all(map(_fits, arguments, shape)):
        raise Malformed(f"these aren't the arguments of {kind!r}")
    if kind == Kind.ENQUEUE and arguments[3] not in DeliverySemantics.__members__.values():
        raise Malformed(f"there are no delivery semantics {arguments[3]!r}")
    return Command(Kind(kind), issuer, number, arguments, payload)


def _fits(argument: object, shape: _Shape) -> bool:
    if shape == _COUNT:
        return _fits(argument, int) and argument != 0
    if isinstance(shape, str):
        if not isinstance(argument, list):
            return False
        if shape == _NAMES:
            return set(map(type, argument)) <= {str}
        return all(isinstance(pair, list) and list(map(type, pair)) == [str, str] for pair in argument)
    if isinstance(argument, int):
        return isinstance(argument, shape) and not isinstance(argument, bool) and 0 <= argument <= LONGEST
    return isinstance(argument, shape)


def _refuse_newer(value: bytes) -> None:
    if not value.startswith(_FAMILY):
        return
    version = value[len(_FAMILY) :].split(b" ", 1)[0]
    if len(version) <= 4 and version.isdigit() and int(version) > VERSION:
        raise NewerFormat(f"the log has records of format {int(version)}, and this Prism knows {VERSION}; upgrade it")
