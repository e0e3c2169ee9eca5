"""Messages and how surely they are to be delivered."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from prism.model import json
from prism.model.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prism.model.time import Micros

OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"
JSON_TYPE = "application/json"

Content: TypeAlias = "bytes | str | Mapping[str, object] | list[object]"
"""What an application sends: bytes as they are, text, or anything JSON."""


class DeliverySemantics(StrEnum):
    """How surely a multicast is delivered (RFC: delivery semantics)."""

    AT_MOST_ONCE = "at-most-once"
    AT_LEAST_ONCE = "at-least-once"
    EXACTLY_ONCE = "exactly-once"


@dataclass(frozen=True, slots=True)
class Message:
    """One message, as it is published, queued and handed over.

    `sent_at` is by the sending proxy's clock. `sender` is that proxy's inbox, to which acks are reported; "" for
    nobody. Queues keep it with the message.
    """

    id: str
    payload: bytes
    content_type: str
    sent_at: Micros
    delivery: DeliverySemantics = DeliverySemantics.AT_MOST_ONCE
    sender: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message given up, and whose queue it was in. `died_at` is by the backend's clock; `reason` is for people."""

    queue: str
    message: Message
    attempts: int
    died_at: Micros
    reason: str


def new_message_id() -> str:
    """A fresh message id that sorts by time: 48 bits of milliseconds and 80 random bits, 32 hex digits."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def encode_content(content: Content, content_type: str | None = None) -> tuple[bytes, str]:
    """The payload bytes and content type of what an application sends.

    bytes stay as they are (`application/octet-stream`), text becomes UTF-8 (`text/plain`), anything else
    becomes JSON (`application/json`). A content type that was given is kept. Raises InvalidArgument for what is
    none of these.
    """
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content), content_type or OCTETS
    if isinstance(content, str):
        try:
            return content.encode(), content_type or TEXT
        except UnicodeEncodeError:
            text = "text holds a lone surrogate, which is not valid Unicode; send bytes instead"
            raise InvalidArgument.at("message", text) from None
    problems: list[Violation] = []
    plain = json.normalise(content, "message", problems)
    if problems:
        raise InvalidArgument.of(problems)
    return json.encode(plain), content_type or JSON_TYPE


def decode_content(payload: bytes, content_type: str) -> object:
    """The inverse of `encode_content`: a JSON value, text, or the bytes themselves."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == JSON_TYPE or media_type.endswith("+json"):
        return json.decode(payload)
    if media_type.startswith("text/"):
        return payload.decode()
    return payload
