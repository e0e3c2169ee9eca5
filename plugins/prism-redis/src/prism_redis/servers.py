"""The servers behind a configuration: one, or the nodes of a cluster; and who in this process shares them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from prism_redis.config import RedisConfig
from prism_redis.connecting import is_demoted, to_server
from prism_redis.link import Connect, Link
from prism_redis.wire import Command, Reply

Home = str
"""Names the server that a cluster slot is on."""


class Servers(ABC):
    """Routes calls by the cluster slot of their keys. One event loop's; opened and closed by its users."""

    @abstractmethod
    async def open(self) -> None:
        """Finds out where things are. May be called again."""

    @abstractmethod
    async def close(self) -> None:
        """Ends all connections."""

    @abstractmethod
    async def call(
        self, slot: int, commands: Sequence[Command], *, harmless: bool = False, atomic: bool = False
    ) -> list[Reply]:
        """Sends commands to the server of a slot and returns their replies, ReplyErrors in their places.

        Args:
            slot: the cluster slot that all keys of the commands are in.
            commands: at least one; they go out in one piece and act in order.
            harmless: whether repeating them changes nothing.
            atomic: whether they are one transaction, MULTI and EXEC included: repeated as a whole or not at all.

        Raises ConnectionLost, ReplyTimeout, or redis-py's error when no connection can be made.
        """

    @abstractmethod
    def home(self, slot: int) -> Home:
        """The server that a slot is on, as far as is known."""

    @abstractmethod
    def connect(self, home: Home) -> Connect:
        """Makes connections of one's own to that server, for subscriptions."""

    @abstractmethod
    async def each(self, commands: Sequence[Command]) -> list[list[Reply]]:
        """Sends harmless commands to every server; the replies of each."""

    @abstractmethod
    async def refresh(self) -> None:
        """Looks again where things are."""


class Single(Servers):
    """One server, found directly or through Sentinels."""

    def __init__(self, config: RedisConfig) -> None:
        self._connect = to_server(config)
        self._link = Link(self._connect, config.pool_size, config.timeout)

    async def open(self) -> None:
        """Nothing to find out."""

    async def close(self) -> None:
        """Ends all connections."""
        await self._link.close()

    async def call(
        self, slot: int, commands: Sequence[Command], *, harmless: bool = False, atomic: bool = False
    ) -> list[Reply]:
        """Sends commands."""
        del slot, atomic
        replies = await self._link.call(commands, harmless=harmless)
        if is_demoted(replies):
            await self._link.reset("the server is no longer the master")
        return replies

    def home(self, slot: int) -> Home:
        """There is but one."""
        del slot
        return ""

    def connect(self, home: Home) -> Connect:
        """Makes connections to it."""
        del home
        return self._connect

    async def each(self, commands: Sequence[Command]) -> list[list[Reply]]:
        """Sends harmless commands."""
        return [await self._link.call(commands, harmless=True)]

    async def refresh(self) -> None:
        """Nothing to look at."""


_shared: dict[tuple[int, RedisConfig], tuple[asyncio.AbstractEventLoop, Servers, int]] = {}


def join(config: RedisConfig) -> Servers:
    """The servers of these options in the running event loop, shared by all who join. Call `leave` when done."""
    loop = asyncio.get_running_loop()
    key = _key(loop, config)
    for other in [known for known, (users_loop, _, _) in _shared.items() if users_loop.is_closed()]:
        del _shared[other]  # its users ended without closing; nobody can reach it any more
    found = _shared.get(key) or (loop, _make(config), 0)
    _shared[key] = (loop, found[1], found[2] + 1)
    return found[1]


async def leave(config: RedisConfig, servers: Servers) -> None:
    """Ends one use; with the last user the connections end."""
    key = _key(asyncio.get_running_loop(), config)
    found = _shared.get(key)
    if found is None or found[1] is not servers:
        return
    loop, _, users = found
    if users > 1:
        _shared[key] = (loop, servers, users - 1)
        return
    del _shared[key]
    await servers.close()


def _key(loop: asyncio.AbstractEventLoop, config: RedisConfig) -> tuple[int, RedisConfig]:
    """What concerns connections: slots that differ in the rest share them."""
    return id(loop), config.model_copy(update={"key_prefix": "", "partitions": None})


def _make(config: RedisConfig) -> Servers:
    if not config.cluster:
        return Single(config)
    from prism_redis.cluster import Cluster  # noqa: PLC0415 - it derives from Servers

    return Cluster(config)
