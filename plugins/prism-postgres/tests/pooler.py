"""A pooler in transaction mode, in front of a real server: each transaction of a client goes to any connection.

What must not be relied on behind one doesn't work here either: a prepared statement, a setting or a lock of a session.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

Message = tuple[bytes, bytes]


@dataclass
class Upstream:
    """A connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: list[Message]


async def read(reader: asyncio.StreamReader) -> Message:
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


def packed(message: Message) -> bytes:
    return message[0] + struct.pack("!i", len(message[1]) + 4) + message[1]


class Pooler:
    """Listens on a port of its own. `served` counts the transactions of each connection to the server."""

    def __init__(self, host: str, port: int, user: str, database: str, size: int) -> None:
        self._where = host, port
        self._startup = b"".join(f"{word}\0".encode() for word in ("user", user, "database", database)) + b"\0"
        self._size = size
        self._all: list[Upstream] = []
        self._next = 0
        self.served: dict[int, int] = {}
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Pooler]:
        for _ in range(self._size):
            self._all.append(await self._connect())
        self._idle = asyncio.Semaphore(self._size)
        self._busy: set[int] = set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for upstream in self._all:
                upstream.writer.close()

    async def _connect(self) -> Upstream:
        reader, writer = await asyncio.open_connection(*self._where)
        writer.write(struct.pack("!ii", len(self._startup) + 8, 196608) + self._startup)
        greeting = []
        while True:
            message = await read(reader)
            greeting.append(message)
            if message[0] == b"Z":
                return Upstream(reader, writer, greeting)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (length, code) = struct.unpack("!ii", await reader.readexactly(8))
                await reader.readexactly(length - 8)
                if code != 80877103:
                    break
                writer.write(b"N")  # no TLS here
            writer.write(b"".join(map(packed, self._all[0].greeting)))
            sent: asyncio.Queue[Message | None] = asyncio.Queue()
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read_all(reader, sent))
                while (first := await sent.get()) not in (None, (b"X", b"")):
                    await self._transaction(first, sent, writer)
                reading.cancel()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _read_all(self, reader: asyncio.StreamReader, sent: asyncio.Queue[Message | None]) -> None:
        try:
            while True:
                sent.put_nowait(await read(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            sent.put_nowait(None)

    async def _transaction(
        self, first: Message, sent: asyncio.Queue[Message | None], writer: asyncio.StreamWriter
    ) -> None:
        """From a client's first message to the server's being idle again, on the next connection in turn."""
        async with self._idle:
            number = self._take()
            upstream = self._all[number]
            upstream.writer.write(packed(first))
            pump = asyncio.create_task(self._pump(sent, upstream))
            try:
                while True:
                    message = await read(upstream.reader)
                    writer.write(packed(message))
                    if message == (b"Z", b"I"):
                        self.served[number] = self.served.get(number, 0) + 1
                        return
            finally:
                pump.cancel()
                await asyncio.wait([pump])
                self._busy.discard(number)

    def _take(self) -> int:
        """Another one than last time, wherever that is possible."""
        while True:
            self._next = (self._next + 1) % self._size
            if self._next not in self._busy:
                self._busy.add(self._next)
                return self._next

    async def _pump(self, sent: asyncio.Queue[Message | None], upstream: Upstream) -> None:
        while (message := await sent.get()) is not None:
            upstream.writer.write(packed(message))
