"""What the demo runs on: a Redis, a NATS server and two proxies with prism.yaml, on free ports of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prism_conformance.servers import AsyncServer
from prism_conformance.together.proxies import counted, start_proxies

CONFIG = Path(__file__).with_name("prism.yaml")


@dataclass(frozen=True)
class Setting:
    """What runs."""

    redis: AsyncServer
    nats: AsyncServer
    proxies: AsyncServer

    @property
    def addresses(self) -> list[str]:
        """Of the two proxies."""
        return [node.url for node in self.proxies.nodes]

    async def expired(self) -> int:
        """How many expiries the proxies have announced, in all."""
        return int(sum(await asyncio.to_thread(counted, self.proxies.server, "prism_expired_total")))


def configured(redis_port: int, nats_url: str) -> dict[str, Any]:
    """prism.yaml with other ports, and nothing else changed."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    slots = config["namespaces"][0]["backend_slots"]
    slots["registry"]["port"] = redis_port
    slots["messaging"]["servers"] = [nats_url]
    return config


@asynccontextmanager
async def running() -> AsyncIterator[Setting]:
    """Starts everything, and ends it when the block is left; servers that aren't there yet are installed first."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(await AsyncServer.start("redis"))
        nats = await stack.enter_async_context(await AsyncServer.start("nats"))
        config = configured(redis.port, nats.url)
        proxies = AsyncServer(await asyncio.to_thread(start_proxies, config))
        yield Setting(redis, nats, await stack.enter_async_context(proxies))
