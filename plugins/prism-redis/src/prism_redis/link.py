"""All our connections to one server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from redis.asyncio.connection import AbstractConnection

from prism_redis.errors import ConnectionLost, ReplyTimeout
from prism_redis.wire import Command, Reply, Wire

Connect = Callable[[], Awaitable[AbstractConnection]]
"""Makes a connection that is ready for commands, or raises redis-py's error."""


class Link:
    """Up to `size` connections, made when those there are busy, each with many calls in flight."""

    def __init__(self, connect: Connect, size: int, timeout: float) -> None:
        self.connect = connect
        self._size = size
        self._timeout = timeout
        self._wires: list[Wire] = []
        self._connecting = asyncio.Lock()
        self._closed = False

    async def call(self, commands: Sequence[Command], *, harmless: bool = False) -> list[Reply]:
        """Sends commands in one go, over one connection, and returns their replies, errors in their places.

        Args:
            commands: at least one.
            harmless: whether repeating them changes nothing; then a lost connection is tried again, once.

        Raises ConnectionLost, ReplyTimeout, or redis-py's error when no connection can be made.
        """
        wire = await self._wire()
        try:
            return await self._timed(wire, commands, harmless)
        except ConnectionLost as lost:
            if not lost.harmless:
                raise
        return await self._timed(await self._wire(), commands, harmless)

    async def reset(self, reason: str) -> None:
        """Gives all connections up, so that new ones are made: the server may have moved."""
        for wire in self._wires:
            wire.abort(reason)
        await self._sweep()

    async def close(self) -> None:
        """Ends all connections."""
        self._closed = True
        async with self._connecting:
            wires, self._wires = self._wires, []
        for wire in wires:
            await wire.close()

    async def _timed(self, wire: Wire, commands: Sequence[Command], harmless: bool) -> list[Reply]:
        try:
            async with asyncio.timeout(self._timeout):
                return await wire.call(commands, harmless=harmless)
        except TimeoutError:
            # Nothing more can be had from it: the answers come in order.
            wire.abort("an answer took too long")
            raise ReplyTimeout(f"no answer within {self._timeout:g} s") from None

    async def _wire(self) -> Wire:
        usable = [wire for wire in self._wires if wire.usable]
        best = min(usable, key=lambda wire: wire.load, default=None)
        if best is not None and (best.load == 0 or len(usable) >= self._size or self._connecting.locked()):
            return best
        async with self._connecting:
            usable = [wire for wire in self._wires if wire.usable]
            for wire in usable:
                if wire.load == 0:
                    return wire
            if len(usable) >= self._size:
                return min(usable, key=lambda wire: wire.load)
            if self._closed:
                raise ConnectionLost("the slot is closed", harmless=True)
            await self._sweep()
            wire = Wire(await self.connect())
            self._wires.append(wire)
            return wire

    async def _sweep(self) -> None:
        dead = [wire for wire in self._wires if not wire.usable]
        self._wires = [wire for wire in self._wires if wire.usable]
        for wire in dead:
            await wire.close()
