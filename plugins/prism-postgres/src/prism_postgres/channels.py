r"""Which channel a topic is notified on, and how a publication travels as a notification's text.

A channel's name is at most 63 bytes, so it has a hash of the topic, 160 bits of SHA-256. The text begins

    PRISM/1 text\n            or  PRISM/1 base64\n, or  PRISM/1 stored\n
    name: value\n
    \n
    payload

A payload that is text travels as it is; other bytes in base64; one that is too long stays in the table `publications`,
and the number of its row stands for it. What doesn't begin like this (somebody notified by hand) is a payload without
headers.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prism.model.errors import InvalidArgument
from prism.slots.messaging import Publication, Topic

LONGEST: Final = 7_900
"""Bytes of a notification's text; the server's own limit is 7,999."""
HEADERS: Final = 4_000
"""Bytes of headers."""

_FIRST: Final = "PRISM/1 "
_TEXT: Final = "text"
_BASE64: Final = "base64"
_STORED: Final = "stored"


def channel_of(schema: str, namespace: str, topic: Topic) -> str:
    """The channel of a topic. Namespaces of different database schemas share nothing."""
    # No part has a line break, so no two topics are spelled alike.
    spelled = f"{schema}\n{namespace}\n{topic.kind.value}\n{topic.name}"
    return f"prism_{hashlib.sha256(spelled.encode()).hexdigest()[:40]}"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A notification's text. Where `stored` is not None, the number of the row that gets it is to follow."""

    text: str
    stored: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A publication whose payload is in a row of `publications`."""

    number: int
    headers: Mapping[str, str]


def seal(publication: Publication, longest: int = LONGEST) -> Sealed:
    """What to notify of, at most `longest` bytes unless the payload is stored.

    Raises InvalidArgument for a header that isn't printable ASCII in one line, or for too many of them.
    """
    headers = _headers(publication.headers)
    payload = publication.payload
    text = _as_text(payload) if len(payload) <= longest else None
    if text is not None and len(_FIRST) + len(_TEXT) + len(headers) + len(payload) + 2 <= longest:
        return Sealed(f"{_FIRST}{_TEXT}\n{headers}\n{text}")
    if len(_FIRST) + len(_BASE64) + len(headers) + (len(payload) + 2) // 3 * 4 + 2 <= longest:
        return Sealed(f"{_FIRST}{_BASE64}\n{headers}\n{b64encode(payload).decode()}")
    return Sealed(f"{_FIRST}{_STORED}\n{headers}\n", payload)


def unseal(text: str) -> Publication | Reference:
    """What a notification tells of."""
    head, found, body = text.partition("\n\n")
    first, _, lines = head.partition("\n")
    if not found or not first.startswith(_FIRST):
        return Publication(text.encode())
    headers = dict(line.partition(": ")[::2] for line in lines.split("\n")) if lines else {}
    match first.removeprefix(_FIRST):
        case "base64":
            try:
                return Publication(b64decode(body, validate=True), headers)
            except NotBase64:
                return Publication(text.encode())
        case "stored" if body.isdecimal() and len(body) < 19:
            return Reference(int(body), headers)
        case "text":
            return Publication(body.encode(), headers)
    return Publication(text.encode())


def _headers(headers: Mapping[str, str]) -> str:
    lines = []
    for name, value in headers.items():
        line = f"{name}: {value}"
        if not (name and line.isascii() and line.isprintable()) or ":" in name:
            raise InvalidArgument.at(f"headers.{name}", "must be printable ASCII, and its name without a colon")
        lines.append(f"{line}\n")
    text = "".join(lines)
    if len(text) > HEADERS:
        raise InvalidArgument.at("headers", f"take {len(text)} bytes, and {HEADERS} are the limit; send fewer")
    return text


def _as_text(payload: bytes) -> str | None:
    """The payload as text; None where it isn't, or where PostgreSQL can't hold it as such."""
    if b"\0" in payload:
        return None
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None
