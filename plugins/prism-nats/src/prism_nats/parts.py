"""Frames between proxies that are larger than the server lets one message be, in parts.

A part has the header `Prism-Part: {id} {index} {count}`; the first one has the frame's own headers too. Parts of a
frame follow each other on one connection, so NATS delivers them in order.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Final

from prism.slots.messaging import Publication

from prism_nats import protocol

PART: Final = "Prism-Part"
_ROOM: Final = 128
"""Bytes kept free for a part's own header."""


def split(publication: Publication, max_payload: int) -> Iterator[tuple[bytes, bytes]]:
    """Header block and payload of each message that carries the publication; one where it fits."""
    headers = protocol.pack_headers(publication.headers)
    payload = publication.payload
    if len(headers) + len(payload) <= max_payload:
        yield headers, payload
        return
    size = max(1, max_payload - len(headers) - _ROOM)
    parts = -(-len(payload) // size)
    name = secrets.token_hex(8)
    for i in range(parts):
        own = {PART: f"{name} {i} {parts}"}
        block = protocol.pack_headers({**publication.headers, **own} if i == 0 else own)
        yield block, payload[i * size : (i + 1) * size]


class Assembly:
    """Puts the parts that come in on one topic together again."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[dict[str, str], list[bytes]]] = {}

    def take(self, headers: dict[str, str], data: bytes) -> Publication | None:
        """Adds a part; the publication when this was its last, else None. Parts without their first are dropped."""
        try:
            name, index, parts = headers.pop(PART).split(" ")
            position, count = int(index), int(parts)
        except (KeyError, ValueError):
            return None  # not of ours
        if position == 0:
            self._open[name] = (headers, [data])
            if len(self._open) > 1_024:  # those of senders that went away in the middle
                del self._open[next(iter(self._open))]
            return None
        if name not in self._open or len(self._open[name][1]) != position:
            self._open.pop(name, None)
            return None
        first, pieces = self._open[name]
        pieces.append(data)
        if len(pieces) < count:
            return None
        del self._open[name]
        return Publication(b"".join(pieces), first)
