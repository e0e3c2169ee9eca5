"""Clients of both kinds, over a real proxy in this process and embedded, and what tests of them share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from prism import Client, InboxEvent
from prism.config import load_config
from prism.server.app import OFF, Proxy

OpenClient: TypeAlias = Callable[..., AbstractAsyncContextManager[Client]]


class Events:
    """An `on_event` that remembers, and lets a test wait for what it expects."""

    def __init__(self) -> None:
        self.seen: list[InboxEvent] = []
        self._came = asyncio.Event()

    def __call__(self, event: InboxEvent) -> None:
        self.seen.append(event)
        self._came.set()

    async def wait(self, kind: type[Any], count: int = 1, seconds: float = 20) -> list[Any]:
        """The events of a kind, once there are so many."""
        async with asyncio.timeout(seconds):
            while len(found := [event for event in self.seen if isinstance(event, kind)]) < count:
                self._came.clear()
                await self._came.wait()
        return found


@asynccontextmanager
async def remote(config: dict[str, Any] | None = None, namespace: str = "default") -> AsyncIterator[Client]:
    async with Proxy(load_config(config), listen="127.0.0.1:0", http_listen=OFF) as proxy:
        async with Client(namespace, proxy.address) as client:
            yield client


@asynccontextmanager
async def embedded(config: dict[str, Any] | None = None, namespace: str = "default") -> AsyncIterator[Client]:
    async with Client.embedded(namespace, config) as client:
        yield client
