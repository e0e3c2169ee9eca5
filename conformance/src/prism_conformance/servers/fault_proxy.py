"""A TCP proxy that breaks connections on demand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 64 * 1024
_QUEUED_CHUNKS = 64
_LINGER_ZERO = struct.pack("ii", 1, 0)


class Direction(Flag):
    """Which way bytes go."""

    UP = auto()
    """From the client to the server."""
    DOWN = auto()
    """From the server to the client."""
    BOTH = UP | DOWN


@dataclass(slots=True, eq=False)
class _Shape:
    """What happens to the bytes that go one way, now."""

    delay_s: float = 0.0
    bytes_per_s: float | None = None
    cut_at: int | None = None
    passed: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def next_size(self) -> int:
        """How many bytes to pass at once: all, unless they are throttled or counted."""
        size = _CHUNK if self.bytes_per_s is None else max(1, int(self.bytes_per_s / 100))
        return size if self.cut_at is None else min(size, self.cut_at - self.passed)

    def heal(self) -> None:
        self.delay_s, self.bytes_per_s, self.cut_at = 0.0, None, None
        self.open.set()


class FaultProxy:
    """Stands between clients and a server on loopback, and harms what passes.

    Faults last until `heal` and add up. Each method returns when its fault is in effect. Open it as an async context
    manager; leaving it breaks all connections.

    When the server itself is down, a client's connect succeeds and is reset at once, as with a load balancer.

    Args:
        host: the server's host.
        port: the server's port.
        listen_port: the proxy's own port on 127.0.0.1; 0 takes a free one.
    """

    def __init__(self, host: str, port: int, *, listen_port: int = 0) -> None:
        self._target = (host, port)
        self._held = _reserve(listen_port)
        self._port: int = self._held.getsockname()[1]
        self._listener: asyncio.Server | None = None
        self._shapes = {Direction.UP: _Shape(), Direction.DOWN: _Shape()}
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self._waiting = 0
        self.accepted = 0
        """How many connections clients have made so far."""

    @property
    def host(self) -> str:
        """Where to connect: always 127.0.0.1."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """Where to connect; the same for the proxy's whole life."""
        return self._port

    @property
    def connections(self) -> int:
        """How many connections lead through to the server now."""
        return len(self._pairs)

    def url(self, server_url: str) -> str:
        """Returns the server's URL with the proxy's host and port in it; login, path and query stay."""
        parts = urlsplit(server_url)
        login, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}{at}{self.host}:{self.port}"))

    def passed(self, direction: Direction) -> int:
        """Returns how many bytes have passed so far."""
        return sum(shape.passed for shape in self._of(direction))

    async def __aenter__(self) -> Self:
        for shape in self._shapes.values():
            shape.heal()
        await self._listen()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Breaks all connections and stops listening. Harmless when repeated."""
        await self.refuse()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        self._held.close()

    async def cut(self) -> None:
        """Resets all connections, on both sides; new ones get through."""
        broken = set(self._pairs)
        for pair in broken:
            _reset(*pair)
        await self.wait_until(lambda: not broken & self._pairs)

    async def cut_after(self, count: int, direction: Direction) -> None:
        """Resets all connections once `count` more bytes have passed in a direction, in the middle of a message."""
        if count <= 0:
            raise ValueError(f"count is {count}: must be above 0; cut() resets at once")
        for shape in self._of(direction):
            shape.cut_at = shape.passed + count

    async def refuse(self) -> None:
        """Refuses new connections, as a host without the server would; existing ones go on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def delay(self, seconds: float, direction: Direction = Direction.BOTH) -> None:
        """Holds all bytes back by `seconds` each way given, without limiting how many are on their way."""
        for shape in self._of(direction):
            shape.delay_s = seconds

    async def throttle(self, bytes_per_s: float, direction: Direction = Direction.BOTH) -> None:
        """Lets at most this many bytes a second through on each connection."""
        if bytes_per_s <= 0:
            raise ValueError(f"bytes_per_s is {bytes_per_s}: must be above 0; blackhole() lets nothing through")
        for shape in self._of(direction):
            shape.bytes_per_s = bytes_per_s

    async def blackhole(self, direction: Direction = Direction.BOTH) -> None:
        """Lets nothing through and says nothing: connections stay open, new ones are taken, closing isn't passed on.

        This is what a half-open connection looks like. As with TCP, what was sent meanwhile arrives after `heal`.
        """
        for shape in self._of(direction):
            shape.open.clear()

    async def heal(self) -> None:
        """Ends all faults. Connections that were cut stay cut."""
        for shape in self._shapes.values():
            shape.heal()
        if self._listener is None:
            await self._listen()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Returns when `condition` holds; it is asked again after every connection made or lost and all bytes passed.

        Wait under `asyncio.timeout`.
        """
        self._waiting += 1
        try:
            async with self._changed:
                await self._changed.wait_for(condition)
        finally:
            self._waiting -= 1

    def _of(self, direction: Direction) -> list[_Shape]:
        return [shape for each, shape in self._shapes.items() if each & direction]

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, self.host, self.port, reuse_address=True)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        if handler is None:
            raise AssertionError("a connection is served by a task")
        self._handlers.add(handler)
        self.accepted += 1
        try:
            await self._pass(reader, writer)
        except asyncio.CancelledError:
            pass  # only `close` cancels: asyncio would report a cancelled handler as an error
        finally:
            _reset(writer)
            self._handlers.discard(handler)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            return
        pair = (writer, server_writer)
        self._pairs.add(pair)
        try:
            await self._notify()
            async with asyncio.TaskGroup() as both:
                both.create_task(self._flow(reader, server_writer, self._shapes[Direction.UP]))
                both.create_task(self._flow(server_reader, writer, self._shapes[Direction.DOWN]))
            for side in pair:  # both have said goodbye: pass on what is still buffered, then close
                side.close()
                await side.wait_closed()
        except* OSError:
            pass  # a side was cut, which is what we are for; the other is cut below
        finally:
            _reset(*pair)
            self._pairs.discard(pair)
            await self._notify()

    async def _flow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, shape: _Shape) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUED_CHUNKS)
        async with asyncio.TaskGroup() as halves:
            halves.create_task(self._fill(reader, queue, shape))
            halves.create_task(self._drain(queue, writer, shape))

    async def _fill(
        self, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]], shape: _Shape
    ) -> None:
        """Reads chunks and gives each the time at which it may go on."""
        clock = asyncio.get_running_loop().time
        chunk = b"?"
        while chunk:
            await shape.open.wait()
            chunk = await reader.read(_CHUNK)
            await queue.put((clock() + shape.delay_s, chunk))

    async def _drain(
        self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, shape: _Shape
    ) -> None:
        """Writes chunks when their time has come; an empty one is the end."""
        clock = asyncio.get_running_loop().time
        while True:
            due, chunk = await queue.get()
            if (wait := due - clock()) > 0:
                await asyncio.sleep(wait)
            await shape.open.wait()
            if not chunk:
                writer.write_eof()
                return
            while chunk:
                await shape.open.wait()
                piece = chunk[: shape.next_size()]
                chunk = chunk[len(piece) :]
                writer.write(piece)
                await writer.drain()
                shape.passed += len(piece)
                if self._waiting:
                    await self._notify()
                if shape.cut_at is not None and shape.passed >= shape.cut_at:
                    shape.cut_at = None
                    for pair in self._pairs:
                        _reset(*pair)
                    raise ConnectionAbortedError("cut after the wanted number of bytes")
                if shape.bytes_per_s is not None:
                    await asyncio.sleep(len(piece) / shape.bytes_per_s)


def _reserve(port: int) -> socket.socket:
    """Returns a socket that is bound and never listens: the port stays ours while the proxy refuses connections."""
    held = socket.socket()
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
    except OSError:
        held.close()
        raise
    return held


def _reset(*sides: asyncio.StreamWriter) -> None:
    """Closes connections with RST instead of a polite end."""
    for side in sides:
        with contextlib.suppress(OSError):  # closed already
            side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        side.transport.abort()
