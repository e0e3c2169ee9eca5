"""How a message is written into a queue: a line of JSON, then the payload as it is, or where it is stored apart."""

from __future__ import annotations

from typing import NamedTuple

import orjson
from prism.model.message import DeliverySemantics, Message
from prism.model.time import Micros

NEVER: Micros = 2**63 - 1


class Body(NamedTuple):
    """A payload that is stored apart, in parts. No two calls of `enqueue` have the same name."""

    name: str
    parts: int


class Glance(NamedTuple):
    """What of a stored message is needed without handing it out. `body` is empty where the payload is with it."""

    dies_at: Micros
    body: str


def pack(message: Message, ttl: Micros | None) -> bytes:
    """The bytes that are stored; `ttl` None is for ever."""
    return orjson.dumps(_fields(message, ttl)) + b"\n" + message.payload


def pack_apart(message: Message, ttl: Micros | None, body: Body) -> bytes:
    """The same, where the payload is stored apart."""
    return orjson.dumps([*_fields(message, ttl), *body]) + b"\n"


def renewed(data: bytes, ttl: Micros | None) -> bytes:
    """The stored bytes of the same message with another time to live."""
    line, _, payload = data.partition(b"\n")
    fields = orjson.loads(line)
    fields[5] = ttl
    return orjson.dumps(fields) + b"\n" + payload


def unpack(data: bytes, payload: bytes | None = None) -> Message:
    """The message that was stored; `payload` is the one that was stored apart."""
    line, _, inside = data.partition(b"\n")
    name, content_type, sent_at, delivery, sender, *_ = orjson.loads(line)
    return Message(
        name, inside if payload is None else payload, content_type, sent_at, DeliverySemantics(delivery), sender
    )


def message_id(data: bytes) -> str:
    """The id of a stored message."""
    found: str = orjson.loads(data[: data.index(b"\n")])[0]
    return found


def glance(data: bytes, stored_at: Micros) -> Glance:
    """When a stored message times out, and where its payload is."""
    fields = orjson.loads(data[: data.index(b"\n")])
    ttl = fields[5]
    return Glance(NEVER if ttl is None else int(stored_at + ttl), fields[6] if len(fields) > 6 else "")


def body_of(data: bytes) -> Body | None:
    """Where the payload is stored apart; None where it is with the message."""
    fields = orjson.loads(data[: data.index(b"\n")])
    return Body(fields[6], fields[7]) if len(fields) > 6 else None


def _fields(message: Message, ttl: Micros | None) -> list[object]:
    return [message.id, message.content_type, message.sent_at, message.delivery.value, message.sender, ttl]
