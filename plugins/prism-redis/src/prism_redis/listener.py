"""One connection that listens to channels of one server, and comes back when it is lost."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Final

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from prism_redis.errors import ConnectionLost, ReplyError, ReplyTimeout
from prism_redis.link import Connect
from prism_redis.servers import Home
from prism_redis.wire import READ_BYTES, Reply, next_reply, pack, reply_parser, streams

logger = logging.getLogger(__name__)

QUIET: Final = 10.0
"""Seconds without anything from the server after which it is pinged, and twice that after which it is given up."""
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0
"""Seconds between attempts to connect: doubled each time, with jitter."""
_CHANNELS: Final = 1_000
"""Channels in one command."""

Channel = bytes


class Ear(ABC):
    """Whom a listener tells what it hears."""

    @abstractmethod
    def hear(self, heard: list[tuple[Channel, bytes]]) -> None:
        """Publications, in the order of arrival."""

    @abstractmethod
    def missed(self, reason: str) -> None:
        """The connection was lost and all channels are listened to again."""

    @abstractmethod
    async def find_again(self, listener: Listener) -> None:
        """Before another attempt: moves channels elsewhere that aren't on the listener's server any more."""


class _Wait:
    """Somebody waits until the server has confirmed some channels."""

    __slots__ = ("future", "left")

    def __init__(self, left: int) -> None:
        self.left = left
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def confirm(self) -> None:
        self.left -= 1
        if self.left == 0 and not self.future.done():
            self.future.set_result(None)


class Listener:
    """Listens to channels; whoever makes one must close it. Started by its first channel."""

    def __init__(self, home: Home, connect: Connect, ear: Ear, timeout: float, *, sharded: bool) -> None:
        self.home = home
        self.wanted: dict[Channel, None] = {}
        self._connect = connect
        self._ear = ear
        self._timeout = timeout
        self._sharded = sharded
        self._listen = "SSUBSCRIBE" if sharded else "SUBSCRIBE"
        self._leave = "SUNSUBSCRIBE" if sharded else "UNSUBSCRIBE"
        self._confirmed: set[Channel] = set()
        self._joining: dict[Channel, list[_Wait]] = {}
        self._leaving: dict[Channel, list[_Wait]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._interrupted: str | None = None
        self._problem: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    async def add(self, channels: Iterable[Channel]) -> None:
        """Listens to channels; returns when the server has confirmed all of them.

        Raises what keeps it from connecting, or ReplyTimeout, and then listens to none that is new.
        """
        new = [channel for channel in channels if channel not in self.wanted]
        self.adopt(new)
        missing = [channel for channel in channels if channel not in self._confirmed]
        try:
            await self._until(self._joining, missing)
        except BaseException:
            self._drop(new)
            raise

    def adopt(self, channels: Sequence[Channel]) -> None:
        """Listens to channels as soon as it can, without waiting."""
        self.wanted.update(dict.fromkeys(channels))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="prism-redis listener")
        self._send(self._listen, channels)

    async def remove(self, channels: Iterable[Channel]) -> None:
        """Stops listening to channels; returns when the server no longer counts us."""
        known = [channel for channel in channels if channel in self.wanted]
        sent = self._drop(known)
        if sent:
            await self._until(self._leaving, known)

    async def close(self) -> None:
        """Stops listening; returns when the server no longer counts us, if it answers."""
        try:
            await self.remove(list(self.wanted))
        except (RedisError, OSError, ConnectionLost, ReplyError, ReplyTimeout) as error:
            logger.debug("leaving the channels failed, and so did the connection: %s", error)
        self.wanted = {}
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _drop(self, channels: Sequence[Channel]) -> bool:
        for channel in channels:
            self.wanted.pop(channel, None)
        return self._send(self._leave, channels)

    async def _until(self, waits: dict[Channel, list[_Wait]], channels: Sequence[Channel]) -> None:
        if not channels:
            return
        wait = _Wait(len(channels))
        for channel in channels:
            waits.setdefault(channel, []).append(wait)
        try:
            async with asyncio.timeout(self._timeout):
                await wait.future
        except TimeoutError:
            raise self._problem or ReplyTimeout(f"no answer within {self._timeout:g} s") from None

    def _send(self, command: str, channels: Sequence[Channel]) -> bool:
        """Writes a command for channels, where there is a connection; without one, connecting does it."""
        if self._writer is None or not channels:
            return False
        # A sharded command takes channels of one cluster slot alone, and one partition's are in one.
        groups = _by_slot(channels) if self._sharded else [channels]
        pieces = [group[i : i + _CHANNELS] for group in groups for i in range(0, len(group), _CHANNELS)]
        self._writer.write(pack([(command, *piece) for piece in pieces]))
        return True

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            connection: AbstractConnection | None = None
            try:
                connection = await self._connect()
                await self._hear(connection)
                self._problem = ConnectionLost("the server closed the connection", harmless=True)
            except (RedisError, OSError, ConnectionLost, ReplyError, hiredis.HiredisError) as error:
                self._problem = error
            finally:
                was_listening = self._writer is not None and bool(self._confirmed)
                self._forget_connection()
                if connection is not None:
                    await connection.disconnect(nowait=True)
            if was_listening:
                pause = FIRST_PAUSE
                self._interrupted = f"the connection to Redis was lost and is back: {self._problem}"
                logger.warning("a subscription lost its connection to Redis: %s", self._problem)
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
            pause = min(2 * pause, LONGEST_PAUSE)
            await self._ear.find_again(self)
            if not self.wanted:
                self._task = None
                return

    async def _hear(self, connection: AbstractConnection) -> None:
        """Listens to all that is wanted and passes on what comes in, until the connection ends."""
        reader, self._writer = streams(connection)
        self._send(self._listen, list(self.wanted))
        parser = reply_parser()
        waited = False
        while True:
            try:
                async with asyncio.timeout(QUIET):
                    data = await reader.read(READ_BYTES)
            except TimeoutError:
                if waited:
                    raise ConnectionLost("the server stopped answering", harmless=True) from None
                waited = True
                self._writer.write(pack([("PING",)]))
                continue
            if not data:
                return
            waited = False
            parser.feed(data)
            self._take(parser)

    def _take(self, parser: hiredis.Reader) -> None:
        heard: list[tuple[Channel, bytes]] = []
        while True:
            complete, reply = next_reply(parser)
            if not complete:
                break
            if reply.__class__ is list and len(reply) == 3:
                kind, channel, content = reply
                if content.__class__ is bytes:
                    if channel in self.wanted or channel in self._leaving:  # until the server says that we left
                        heard.append((channel, content))
                    continue
                self._confirm(kind, channel)
            else:
                _check(reply)
        if heard:
            self._ear.hear(heard)

    def _confirm(self, kind: bytes, channel: Channel | None) -> None:
        if channel is None:
            return
        if kind.endswith(b"unsubscribe"):
            self._confirmed.discard(channel)
            waits = self._leaving.pop(channel, ())
            if not waits and channel in self.wanted and not self._joining.get(channel):
                raise ConnectionLost("the cluster moved a channel to another node", harmless=True)
        else:
            self._confirmed.add(channel)
            waits = self._joining.pop(channel, ())
            if self._interrupted is not None and self._confirmed.issuperset(self.wanted):
                reason, self._interrupted = self._interrupted, None
                self._ear.missed(reason)
        for wait in waits:
            wait.confirm()

    def interrupted(self, reason: str) -> None:
        """Notes that publications were missed, to be told once all channels are listened to again."""
        self._interrupted = reason

    def _forget_connection(self) -> None:
        self._writer = None
        self._confirmed = set()
        leaving, self._leaving = self._leaving, {}
        for waits in leaving.values():
            for wait in waits:
                wait.confirm()


def _check(reply: Reply) -> None:
    """Raises a refusal; a pong needs no attention."""
    if isinstance(reply, ReplyError):
        raise reply


def _by_slot(channels: Sequence[Channel]) -> list[Sequence[Channel]]:
    """Channels by their hash tags."""
    groups: dict[bytes, list[Channel]] = {}
    for channel in channels:
        groups.setdefault(channel[: channel.index(b"}")], []).append(channel)
    return list(groups.values())
