r"""How a publication travels: its headers, a blank line, its payload.

    PRISM/1\r\n
    name: value\r\n
    \r\n
    payload bytes

So a native subscriber in any language splits at the first blank line. What doesn't begin like this (somebody
published by hand) is a payload without headers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prism.model.errors import InvalidArgument
from prism.slots.messaging import Publication

_FIRST: Final = b"PRISM/1\r\n"
_END: Final = b"\r\n\r\n"
_PLAIN: Final = b"PRISM/1\r\n\r\n"


def seal(publication: Publication) -> bytes:
    """The bytes to publish. Raises InvalidArgument for a header that isn't printable ASCII in one line."""
    if not publication.headers:
        return _PLAIN + publication.payload
    lines = []
    for name, value in publication.headers.items():
        line = f"{name}: {value}"
        if not (name and line.isascii() and line.isprintable()) or ":" in name:
            raise InvalidArgument.at(f"headers.{name}", "must be printable ASCII, and its name without a colon")
        lines.append(line)
    return _FIRST + "\r\n".join(lines).encode() + _END + publication.payload


class Opener:
    """Opens what comes in. Publications in a row with the same headers share one mapping of them."""

    def __init__(self) -> None:
        self._block = b""
        self._headers: Mapping[str, str] = {}

    def open(self, data: bytes) -> Publication:
        """The publication in some bytes."""
        if data.startswith(_PLAIN):
            return Publication(data[len(_PLAIN) :])
        if not data.startswith(_FIRST):
            return Publication(data)
        block, found, payload = data[len(_FIRST) :].partition(_END)
        if not found:
            return Publication(data)
        if block != self._block:
            self._headers = _read(block)
            self._block = block
        return Publication(payload, self._headers)


def _read(block: bytes) -> Mapping[str, str]:
    headers = {}
    for line in block.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(": ")
        headers[name] = value
    return headers
