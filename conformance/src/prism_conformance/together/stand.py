"""A mix on servers of its own that keep what they acknowledge, and proxies as processes: all of it can be killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prism_conformance.servers import AsyncServer, FaultProxy
from prism_conformance.together.backends import BACKENDS, Options
from prism_conformance.together.mixes import Mix, configuration
from prism_conformance.together.proxies import start_proxies


@dataclass(frozen=True, slots=True)
class Victim:
    """A process that can be killed: a proxy, or a server behind the proxies. `kind` is "proxy" or the server's type."""

    kind: str
    name: str
    server: AsyncServer
    node: int | None = None

    async def kill(self) -> None:
        """Ends it with SIGKILL."""
        await self.server.kill(node=self.node)

    async def restart(self) -> None:
        """Starts it again with what it had stored; returns when it serves."""
        await self.server.restart(node=self.node)


@dataclass(frozen=True, slots=True)
class Stand:
    """What runs: the servers by type, the proxies, and what the proxies reach a server through."""

    servers: Mapping[str, AsyncServer]
    proxies: AsyncServer
    ways: Mapping[str, FaultProxy]

    @property
    def addresses(self) -> list[str]:
        """Where the proxies serve."""
        return [node.url for node in self.proxies.nodes]

    @property
    def victims(self) -> list[Victim]:
        """Everything that can be killed."""
        proxies = [Victim("proxy", f"proxy {i}", self.proxies, i) for i in range(len(self.proxies.nodes))]
        return [*proxies, *(Victim(name, name, server) for name, server in self.servers.items())]


@asynccontextmanager
async def standing(
    mix: Mix, *, proxies: int = 2, durable: bool = True, through: Collection[str] = (), **namespace: Any
) -> AsyncIterator[Stand]:
    """Starts the servers and proxies of a mix, ends them when the block is left.

    Args:
        mix: the types of the slots; none may be embedded, since the proxies are processes.
        proxies: how many.
        durable: whether the servers keep what they acknowledged when they are killed.
        through: the types whose servers the proxies reach through a fault proxy.
        namespace: what else the namespace says.

    Raises:
        StartFailed: something doesn't come up; ends with its log.
    """
    async with AsyncExitStack() as stack:
        servers: dict[str, AsyncServer] = {}
        ways: dict[str, FaultProxy] = {}
        options: dict[str, Options] = {}
        for name in sorted(mix.types):
            backend = BACKENDS[name]
            kept = backend.faults if durable else None
            server = await AsyncServer.start(backend.servers[0], durable=durable, config=kept)
            servers[name] = await stack.enter_async_context(server)
            url = server.url
            if name in through:
                ways[name] = await stack.enter_async_context(FaultProxy(server.host, server.port))
                url = ways[name].url(url)
            options[name] = backend.options(server.server, url)
        config = configuration(mix, options, **namespace)
        fleet = AsyncServer(await asyncio.to_thread(start_proxies, config, proxies))
        yield Stand(servers, await stack.enter_async_context(fleet), ways)
