"""What the demo runs on: a PostgreSQL, a Kafka and two proxies with prism.yaml, on free ports of this machine."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prism import Client
from prism_conformance.servers import AsyncServer
from prism_conformance.together.proxies import start_proxies

CONFIG = Path(__file__).with_name("prism.yaml")
NAMESPACE = "iot-devices"


@dataclass(frozen=True)
class Setting:
    """What runs."""

    postgres: AsyncServer
    kafka: AsyncServer
    proxies: AsyncServer
    config: Path
    """What the proxies run with."""

    @property
    def addresses(self) -> list[str]:
        """Of the two proxies."""
        return [node.url for node in self.proxies.nodes]


def configured(postgres_url: str, brokers: str) -> dict[str, Any]:
    """prism.yaml with other addresses, and nothing else changed."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    slots = config["namespaces"][0]["backend_slots"]
    slots["registry"]["connection"] = postgres_url
    slots["messaging"]["brokers"] = brokers.split(",")
    return config


@asynccontextmanager
async def running() -> AsyncIterator[Setting]:
    """Starts everything, and ends it when the block is left; servers that aren't there yet are installed first."""
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(await AsyncServer.start("postgres", durable=True))
        kafka = await stack.enter_async_context(await AsyncServer.start("kafka", durable=True))
        config = configured(postgres.url, kafka.url)
        file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="prism-iot-"))) / "prism.yaml"
        file.write_text(json.dumps(config), encoding="utf-8")
        await prism("migrate", "--config", str(file))  # the tables and indexes, before the first proxy starts
        proxies = AsyncServer(await asyncio.to_thread(start_proxies, config))
        yield Setting(postgres, kafka, await stack.enter_async_context(proxies), file)


async def prism(*arguments: str) -> str:
    """Runs the command `prism`; what it printed. Raises RuntimeError where it fails."""
    pipe = asyncio.subprocess.PIPE
    words = (sys.executable, "-m", "prism", *arguments)
    process = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=pipe)
    printed, problem = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"prism {' '.join(arguments)} failed: {problem.decode()}")
    return printed.decode()


@asynccontextmanager
async def clients_of(setting: Setting) -> AsyncIterator[list[Client]]:
    """A client of each proxy, that knows the other one too."""
    async with AsyncExitStack() as stack:
        orders = (setting.addresses, setting.addresses[::-1])
        yield [await stack.enter_async_context(Client(NAMESPACE, ",".join(order), timeout=60)) for order in orders]
