"""A Redis Cluster: which node has which slots, and following them when they move."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Final

from redis.exceptions import ConnectionError as CannotConnect
from redis.exceptions import TimeoutError as ConnectTimeout

from prism_redis.config import RedisConfig
from prism_redis.connecting import Address, addresses, to_address
from prism_redis.errors import ConnectionLost, ReplyError, raise_errors
from prism_redis.link import Connect, Link
from prism_redis.servers import Home, Servers
from prism_redis.wire import Command, Reply

_SLOTS: Final = 16384
_ATTEMPTS: Final = 6
_PAUSE: Final = 0.05
"""Seconds before the second attempt; each later one waits twice as long."""
_ELSEWHERE: Final = frozenset({"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "EXECABORT", "READONLY"})


class Cluster(Servers):
    """The primaries of a cluster, by the addresses that the cluster announces."""

    def __init__(self, config: RedisConfig) -> None:
        self._config = config
        self._seeds = addresses(config)
        self._links: dict[Home, Link] = {}
        self._homes: list[Home] = []
        self._refreshing = asyncio.Lock()
        self._refreshes = 0

    async def open(self) -> None:
        """Asks any reachable node who has which slots."""
        if not self._homes:
            await self.refresh()

    async def close(self) -> None:
        """Ends all connections."""
        links, self._links = self._links, {}
        for link in links.values():
            await link.close()

    async def call(
        self, slot: int, commands: Sequence[Command], *, harmless: bool = False, atomic: bool = False
    ) -> list[Reply]:
        """Sends commands to the node of a slot; those that it refuses because the slot moved go to where it is."""
        replies: list[Reply] = [None] * len(commands)
        left = list(range(len(commands)))
        home, asking = self.home(slot), False
        give_up_at = asyncio.get_running_loop().time() + self._config.timeout
        for attempt in range(_ATTEMPTS):
            try:
                found = await self._ask(home, [commands[i] for i in left], harmless, asking, atomic)
            except (CannotConnect, ConnectTimeout, ConnectionLost) as error:
                last = attempt == _ATTEMPTS - 1 or asyncio.get_running_loop().time() >= give_up_at
                if last or not (harmless or not isinstance(error, ConnectionLost) or error.harmless):
                    raise
                found = None
            if found is not None:
                for i, reply in zip(left, found, strict=True):
                    replies[i] = reply
                refused = [i for i, reply in zip(left, found, strict=True) if _is_elsewhere(reply)]
                if not refused or attempt == _ATTEMPTS - 1:
                    return replies
                if not atomic:
                    left = refused
                asked = _asked_elsewhere(replies[i] for i in refused)
                if asked is not None:
                    home, asking = asked, True
                    continue
            await self._pause_and_refresh(attempt)
            home, asking = self.home(slot), False
        return replies

    def home(self, slot: int) -> Home:
        """The node that a slot is on."""
        return self._homes[slot]

    def connect(self, home: Home) -> Connect:
        """Makes connections to a node."""
        return self._link(home).connect

    async def each(self, commands: Sequence[Command]) -> list[list[Reply]]:
        """Sends harmless commands to every primary."""
        return [await self._link(home).call(commands, harmless=True) for home in sorted(set(self._homes))]

    async def refresh(self) -> None:
        """Asks again who has which slots; callers at the same time share one question."""
        before = self._refreshes
        async with self._refreshing:
            if self._refreshes == before:
                self._homes = await self._ask_around()
                self._refreshes += 1
                await self._forget(set(self._links) - set(self._homes))

    async def _ask_around(self) -> list[Home]:
        known = list(dict.fromkeys([*self._homes, *map(_home_of, self._seeds)]))
        random.shuffle(known)
        failed: Exception | None = None
        for home in known:
            try:
                [reply] = await self._link(home).call([("CLUSTER", "SLOTS")], harmless=True)
                raise_errors(reply)
                return _read_slots(reply, home)
            except (CannotConnect, ConnectTimeout, ConnectionLost, _Incomplete) as error:
                failed = error
        raise failed or CannotConnect("no node of the cluster is known")

    async def _ask(
        self,
        home: Home,
        commands: Sequence[Command],
        harmless: bool,
        asking: bool,
        atomic: bool,
    ) -> list[Reply]:
        link = self._link(home)
        if not asking:
            return await link.call(commands, harmless=harmless)
        if atomic:  # ASKING is good for one command: none of a transaction's can be asked like this
            return [ReplyError("TRYAGAIN the slot is being moved")] * len(commands)
        paired = [part for command in commands for part in (("ASKING",), command)]
        return (await link.call(paired, harmless=harmless))[1::2]

    async def _pause_and_refresh(self, attempt: int) -> None:
        await asyncio.sleep(_PAUSE * 2**attempt * random.uniform(0.5, 1) if attempt else 0)  # noqa: S311 - jitter
        try:
            await self.refresh()
        except (CannotConnect, ConnectTimeout, ConnectionLost, _Incomplete):
            return  # the next attempt goes where the last one went, and says why it fails

    def _link(self, home: Home) -> Link:
        link = self._links.get(home)
        if link is None:
            host, _, port = home.rpartition(":")
            connect = to_address(self._config, (host, int(port)))
            link = self._links[home] = Link(connect, self._config.pool_size, self._config.timeout)
        return link

    async def _forget(self, homes: set[Home]) -> None:
        for home in homes:
            await self._links.pop(home).close()


class _Incomplete(CannotConnect):
    """A node doesn't know who has some slot."""


def _home_of(address: Address) -> Home:
    return f"{address[0]}:{address[1]}"


def _read_slots(reply: list[list[Reply]], asked: Home) -> list[Home]:
    """The node of each slot. A node that announces no host is the one we asked, or on its host."""
    homes: list[Home] = [""] * _SLOTS
    for first, last, (host, port, *_), *_replicas in reply:
        name = host.decode() if host else asked.rpartition(":")[0]
        homes[first : last + 1] = [f"{name}:{port}"] * (last - first + 1)
    if "" in homes:
        raise _Incomplete(f"{asked} knows no node for slot {homes.index('')}: the cluster isn't complete")
    return homes


def _is_elsewhere(reply: Reply) -> bool:
    return isinstance(reply, ReplyError) and reply.code in _ELSEWHERE


def _asked_elsewhere(replies: Iterable[Reply]) -> Home | None:
    """Where ASK sends us, if all refusals are that."""
    homes = set()
    for reply in replies:
        if reply.code != "ASK":
            return None
        homes.add(str(reply).split()[2])
    return homes.pop() if len(homes) == 1 else None
