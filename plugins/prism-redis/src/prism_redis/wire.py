"""One connection with many calls in flight: commands are packed and replies parsed by hiredis, in batches.

redis-py makes the connection (TLS, authentication, database); its own pipeline costs several times what hiredis
does (design section 8), so calls go straight over the connection's streams.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import hiredis
from redis.asyncio.connection import AbstractConnection

from prism_redis.errors import ConnectionLost, ReplyError

Arg: TypeAlias = "bytes | str | int | float | memoryview"
Command: TypeAlias = "Sequence[Arg]"
Reply: TypeAlias = Any
"""bytes, int, None, a list of replies, or a ReplyError."""

READ_BYTES: Final = 256 * 1024
_MORE: Final = object()


def reply_parser() -> hiredis.Reader:
    """A parser whose error replies are ReplyErrors, and which answers `more` where a reply isn't complete."""
    return hiredis.Reader(replyError=ReplyError, notEnoughData=_MORE)


def next_reply(parser: hiredis.Reader) -> tuple[bool, Reply]:
    """Whether there is a complete reply, and the reply."""
    reply = parser.gets()
    return reply is not _MORE, reply


def pack(commands: Sequence[Command]) -> bytes:
    """The commands as they go over the connection."""
    pack_command = hiredis.pack_command
    return b"".join([pack_command(tuple(command)) for command in commands])  # type: ignore[arg-type]


def streams(connection: AbstractConnection) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The streams of a connection that is made, with nothing left unread."""
    reader, writer = connection._reader, connection._writer
    if reader is None or writer is None:
        raise ConnectionLost("the connection ended while it was made", harmless=True)
    return reader, writer


class _Call:
    __slots__ = ("count", "future", "replies")

    def __init__(self, count: int, future: asyncio.Future[list[Reply]]) -> None:
        self.count = count
        self.future = future
        self.replies: list[Reply] = []


class Wire:
    """A connection whose calls are answered in the order they were made; whoever makes a Wire must close it."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._reader, self._writer = streams(connection)
        self._calls: deque[_Call] = deque()
        self._lost: str | None = None
        self._task = asyncio.create_task(self._read(), name="prism-redis reader")

    @property
    def usable(self) -> bool:
        """Whether calls can be made."""
        return self._lost is None

    @property
    def load(self) -> int:
        """Calls that wait for their replies."""
        return len(self._calls)

    async def call(self, commands: Sequence[Command], *, harmless: bool) -> list[Reply]:
        """Sends commands and returns their replies, errors in their places.

        Cancelling it leaves open whether the commands have an effect. Raises ConnectionLost.
        """
        if self._lost is not None:
            raise ConnectionLost(self._lost, harmless=True)
        call = _Call(len(commands), asyncio.get_running_loop().create_future())
        self._calls.append(call)
        self._writer.write(pack(commands))
        try:
            await self._writer.drain()
        except OSError as error:
            self._fail(f"the connection was lost: {error}")
        try:
            return await call.future
        except ConnectionLost as lost:
            raise ConnectionLost(str(lost), harmless=harmless) from lost

    def abort(self, reason: str) -> None:
        """Gives the connection up at once; the calls that wait fail."""
        self._fail(reason)

    async def close(self) -> None:
        """Ends the connection."""
        self._fail("the connection was closed")
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._connection.disconnect(nowait=True)

    async def _read(self) -> None:
        parser = reply_parser()
        gets, feed, read, calls = parser.gets, parser.feed, self._reader.read, self._calls
        reason = "the server closed the connection"
        try:
            while data := await read(READ_BYTES):
                feed(data)
                while (reply := gets()) is not _MORE:
                    call = calls[0]
                    call.replies.append(reply)
                    if len(call.replies) == call.count:
                        calls.popleft()
                        if not call.future.done():
                            call.future.set_result(call.replies)
        except (OSError, hiredis.HiredisError, IndexError) as error:
            reason = f"the connection was lost: {type(error).__name__}: {error}"
        finally:
            self._fail(reason)

    def _fail(self, reason: str) -> None:
        if self._lost is not None:
            return
        self._lost = reason
        self._writer.close()
        while self._calls:
            future = self._calls.popleft().future
            if not future.done():
                future.set_exception(ConnectionLost(reason, harmless=False))
