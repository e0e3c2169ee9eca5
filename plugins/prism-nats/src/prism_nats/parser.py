"""Takes what a server sends apart, several times as fast as nats-py does for messages; all else is left to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nats.errors import ProtocolError
from nats.protocol.parser import Parser

if TYPE_CHECKING:
    from prism_nats.wire import Wire

# The server's word that nobody listens comes in runs of thousands where a multicast goes to topics without listeners.
_TAIL = rb" \d+ \d+\r\nNATS/1\.0 503\r\n(?:Nats-Subject: [^\r]*\r\n)?\r\n\r\n"
_UNHEARD = re.compile(rb"HMSG (\S+) (\d+)" + _TAIL)
_UNHEARD_RUN = re.compile(rb"(?:HMSG \S+ \d+" + _TAIL + rb")+")
_DENIED = b"-ERR 'Permissions Violation"
_NOBODY = b"NATS/1.0 503\r\n\r\n"


class FastParser(Parser):
    """Hands complete messages of subscriptions with a sink over as they stand in what was read."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._wire = wire

    def reset(self) -> None:
        """Forgets what is half read."""
        super().reset()
        self._wanted = 0
        """Bytes that the first message in the buffer needs to be complete."""
        self._connection = getattr(self, "_connection", 0) + 1
        """Changes when nats-py gives a connection up: what is left of its bytes is nothing for the next one."""

    async def parse(self, data: bytes = b"") -> None:
        """Takes what was read next."""
        if self.buf:
            self.buf += data
            if len(self.buf) < self._wanted:
                return
            data = bytes(self.buf)
            self.buf.clear()
        self._wanted = 0
        start, length, connection = 0, len(data), self._connection
        while start < length:
            if data.startswith((b"MSG ", b"HMSG"), start):
                end = await self._take_messages(data, start)
            else:
                end = await self._take_other(data, start)
            if connection != self._connection:
                return
            if end == start:  # the rest is still to come
                self.buf += data[start:]
                return
            start = end

    async def _take_messages(self, data: bytes, start: int) -> int:
        """Hands over the complete messages that follow each other; where the last one ends."""
        sinks, length = self._wire.sinks, len(data)
        while start < length:
            word = data[start : start + 4]
            if word == b"MSG ":
                short = 0
            elif word == b"HMSG":
                run = _UNHEARD_RUN.match(data, start)
                if run is not None:
                    await self._take_unheard(run[0])
                    start = run.end()
                    continue
                short = 1
            else:
                break
            line_end = data.find(b"\r\n", start)
            if line_end < 0:
                break
            arguments = data[start:line_end].split()
            body = line_end + 2
            end = body + int(arguments[-1])
            if end + 2 > length:
                self._wanted = end + 2 - start
                break
            if short:
                middle = body + int(arguments[-2])
                headers, payload = data[body:middle], data[middle:end]
            else:
                headers, payload = None, data[body:end]
            sink = sinks.get(int(arguments[2]))
            if sink is not None:
                sink(arguments[1], payload, headers)
            else:
                reply = arguments[3] if len(arguments) > 4 + short else b""
                await self._wire.hand_over(int(arguments[2]), arguments[1], reply, payload, headers)
            start = end + 2
        return start

    async def _take_unheard(self, run: bytes) -> None:
        for subject, sid in _UNHEARD.findall(run):
            sink = self._wire.sinks.get(int(sid))
            if sink is not None:
                sink(subject, b"", _NOBODY)
            else:
                await self._wire.hand_over(int(sid), subject, b"", b"", _NOBODY)

    async def _take_other(self, data: bytes, start: int) -> int:
        """Lets nats-py parse one control line; where it ends, or `start` while it isn't complete."""
        end = data.find(b"\r\n", start)
        if end < 0:
            return start
        if data.startswith(_DENIED, start):  # nats-py would write all of it in small letters, the subject too
            self._wire.refused(data[start + len(b"-ERR '") : end].decode(errors="replace").rstrip("'"))
            return end + 2
        self.buf += data[start : end + 2]
        await super().parse()
        if self.buf:
            self.buf.clear()
            raise ProtocolError
        return end + 2
