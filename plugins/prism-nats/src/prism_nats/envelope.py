"""How a message is written into a queue: a line of JSON, then the payload as it is."""

from __future__ import annotations

import orjson
from prism.model.message import DeliverySemantics, Message
from prism.model.time import Micros

NEVER: Micros = 2**63 - 1


def pack(message: Message, ttl: Micros | None) -> bytes:
    """The bytes that are stored; `ttl` None is for ever."""
    line = orjson.dumps(
        [message.id, message.content_type, message.sent_at, message.delivery.value, message.sender, ttl]
    )
    return line + b"\n" + message.payload


def unpack(data: bytes) -> Message:
    """The message that was stored."""
    line, _, payload = data.partition(b"\n")
    name, content_type, sent_at, delivery, sender, _ = orjson.loads(line)
    return Message(name, payload, content_type, sent_at, DeliverySemantics(delivery), sender)


def dies_at(data: bytes, stored_at: Micros) -> Micros:
    """When a stored message times out."""
    ttl = orjson.loads(data[: data.index(b"\n")])[5]
    return NEVER if ttl is None else int(stored_at + ttl)
