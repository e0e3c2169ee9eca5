"""Lines of the NATS protocol, packed and picked apart (docs.nats.io, client protocol)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from operator import add

HEADER_LINE = b"NATS/1.0\r\n"
_NO_RESPONDERS = b"NATS/1.0 503"


def pub(subject: bytes, reply: bytes, payload: bytes) -> bytes:
    """One message without headers; an empty `reply` asks for no answer."""
    return b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(payload), payload)


def hpub(subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> bytes:
    """One message with a packed header block."""
    size = len(headers)
    return b"HPUB %b %b %d %d\r\n%b%b\r\n" % (subject, reply, size, size + len(payload), headers, payload)


class SameToMany:
    """One payload to many subjects that begin alike.

    What differs from line to line stands between things that are the same. So lines are joined, not formatted one by
    one: several times as fast.

    Args:
        prefix: what the subjects begin with.
        reply: what the subjects of the answers end with.
        headers, payload: as they go out.
    """

    def __init__(self, prefix: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        size = len(headers)
        sizes = b"%d %d" % (size, size + len(payload)) if headers else b"%d" % len(payload)
        self._head = b"%b %b" % (b"HPUB" if headers else b"PUB", prefix)
        self._tail = b".%b %b\r\n%b%b\r\n" % (reply, sizes, headers, payload)

    def lines(self, subjects: Iterable[bytes], replies: Iterable[bytes]) -> bytes:
        """The lines to some subjects (without the prefix); `replies` are what comes between subject and `reply`."""
        return self._head + (self._tail + self._head).join(map(add, subjects, replies)) + self._tail


def pack_headers(headers: Mapping[str, str]) -> bytes:
    """A header block; empty for no headers."""
    if not headers:
        return b""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return HEADER_LINE + lines.encode() + b"\r\n"


def unpack_headers(block: bytes | None) -> dict[str, str]:
    """The headers of a block that isn't a status."""
    if not block:
        return {}
    lines = block.decode(errors="replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    # One space after the colon belongs to the form, all others to the value.
    return {name: value.removeprefix(" ") for name, _, value in pairs}


def status(block: bytes | None) -> int:
    """The status of a header block, 0 where it has none."""
    if block is None or block[8:9] != b" ":
        return 0
    return int(block[9:12])


def is_no_responders(block: bytes | None) -> bool:
    """Whether this is the server's word that nobody listens."""
    return block is not None and block.startswith(_NO_RESPONDERS)


_STORED = re.compile(
    rb"\r\nNats-Stream: [^\r]*\r\nNats-Subject: ([^\r]*)\r\nNats-Sequence: (\d+)\r\nNats-Time-Stamp: ([^\r]*)\r\n"
    rb"(?:Nats-Num-Pending: (\d+)\r\n)?"
)


def stored(block: bytes) -> tuple[bytes, int, bytes, int]:
    """Of a message that was read from a stream: its subject, sequence, time stamp, and how many matched after it.

    Raises ValueError when the server didn't say.
    """
    at = block.rfind(b"\r\nNats-Stream: ")
    found = _STORED.match(block, at) if at >= 0 else None
    if found is None:
        raise ValueError(f"not the headers of a stored message: {block[:200]!r}")
    return found[1], int(found[2]), found[3], int(found[4] or 0)


def number(block: bytes, name: bytes) -> int | None:
    """The number that a header of the block has, None where there is no such header."""
    at = block.rfind(b"\r\n" + name + b": ")
    if at < 0:
        return None
    start = at + len(name) + 4
    return int(block[start : block.index(b"\r\n", start)])
