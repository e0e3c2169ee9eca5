"""`Server` for coroutines: the same methods, awaited."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Self

from prism_conformance.servers.errors import ServerError
from prism_conformance.servers.launch import shared, start
from prism_conformance.servers.server import Node, Server


class AsyncServer:
    """A real server that runs now; see `Server`, whose methods these are, carried out off the event loop.

    As an async context manager it stops the server on leaving.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        """The same server for blocking code."""

    @classmethod
    async def start(cls, kind: str, *, durable: bool = False, config: Mapping[str, str] | None = None) -> AsyncServer:
        """Starts a server for the caller alone; arguments and errors as the function `start`.

        When cancelled it waits for the start to end and stops what was started.
        """
        starting = asyncio.ensure_future(asyncio.to_thread(start, kind, durable=durable, config=config))
        try:
            return cls(await asyncio.shield(starting))
        except asyncio.CancelledError:
            with contextlib.suppress(ServerError):  # a start that failed leaves nothing to stop
                await asyncio.to_thread((await starting).stop)
            raise

    @classmethod
    async def shared(cls, kind: str, *, durable: bool = False, config: Mapping[str, str] | None = None) -> AsyncServer:
        """Returns the run's one server of this kind; arguments and errors as the function `shared`."""
        return cls(await asyncio.to_thread(shared, kind, durable=durable, config=config))

    @property
    def kind(self) -> str:
        """What it is, such as `redis`."""
        return self.server.kind

    @property
    def url(self) -> str:
        """What a client library connects to; of several nodes, their URLs joined by commas."""
        return self.server.url

    @property
    def host(self) -> str:
        """The first node's host, 127.0.0.1."""
        return self.server.host

    @property
    def port(self) -> int:
        """The first node's port for clients."""
        return self.server.port

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Its processes."""
        return self.server.nodes

    @property
    def scope(self) -> str:
        """A name nobody else in the run uses."""
        return self.server.scope

    def log_tail(self, lines: int = 40, *, node: int = 0) -> str:
        """Returns the last lines of a node's output."""
        return self.server.log_tail(lines, node=node)

    async def is_running(self, *, node: int = 0) -> bool:
        """Says whether a node's process exists; a paused one does."""
        return await asyncio.to_thread(self.server.is_running, node=node)

    async def kill(self, *, node: int | None = None) -> None:
        """Ends nodes at once with SIGKILL, as a crash would, and returns when they are gone."""
        await asyncio.to_thread(self.server.kill, node=node)

    async def pause(self, *, node: int | None = None) -> None:
        """Stops nodes with SIGSTOP: connections stay open, nothing is answered, until `resume`."""
        await asyncio.to_thread(self.server.pause, node=node)

    async def resume(self, *, node: int | None = None) -> None:
        """Lets paused nodes go on."""
        await asyncio.to_thread(self.server.resume, node=node)

    async def restart(self, *, node: int | None = None) -> None:
        """Starts nodes again on their ports and folders and returns when real operations succeed."""
        await asyncio.to_thread(self.server.restart, node=node)

    async def stop(self) -> None:
        """Ends the server, frees its ports and removes its folder. Harmless when repeated."""
        await asyncio.to_thread(self.server.stop)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()
