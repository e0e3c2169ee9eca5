"""Proxies that are killed in the middle of at-least-once multicasts, while the backend lives."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from typing import Any

from prism import Client, Message, Status
from prism.config import ProxyConfig, load_config
from prism.server.app import OFF, Proxy
from support.proxies import eventually, shared_memory

RECEIVERS = 12
OUTSIDERS = 3
KILLS = 4
BURST = 15


class Serving:
    """A proxy that can be killed and started again at the same address, over a store that lives on."""

    def __init__(self, config: ProxyConfig) -> None:
        self._config = config
        self._stack = AsyncExitStack()
        self.address = "127.0.0.1:0"

    async def start(self) -> None:
        self.proxy = await self._stack.enter_async_context(Proxy(self._config, listen=self.address, http_listen=OFF))
        self.address = self.proxy.address

    async def kill(self) -> None:
        """Ends it as SIGKILL would: nothing is drained, acked or given back."""
        await self.proxy.coordinator.background.close()
        for hosting in self.proxy.hub._hostings.values():
            hosting.pump = None
        await self._stack.aclose()

    async def stop(self) -> None:
        await self._stack.aclose()


async def receive(client: Client, identity: str, room: str, attached: asyncio.Event, seen: list[Message]) -> None:
    async with client.registry.attach(identity, {"room": room}, ttl=60) as inbox:
        attached.set()
        async for message in inbox:
            seen.append(message)
            await message.ack()


async def test_killing_proxies_loses_nothing_stored_and_reaches_nobody_else() -> None:
    config = load_config(shared_memory(f"test-{secrets.token_hex(6)}", slots={"durability": {"visibility": 1}}))
    hosting, sending = Serving(config), Serving(config)
    await hosting.start()
    await sending.start()
    seen: dict[str, list[Message]] = {f"in-{i}": [] for i in range(RECEIVERS)}
    outside: dict[str, list[Message]] = {f"out-{i}": [] for i in range(OUTSIDERS)}
    stored: dict[str, set[str]] = {identity: set() for identity in seen}
    ids: dict[int, str] = {}
    async with Client(address=hosting.address) as there, Client(address=sending.address) as sender:
        readers: list[asyncio.Task[None]] = []
        ready: list[asyncio.Event] = []
        for room, group in (("in", seen), ("out", outside)):
            for identity, messages in group.items():
                ready.append(asyncio.Event())
                readers.append(asyncio.create_task(receive(there, identity, room, ready[-1], messages)))
        await asyncio.gather(*(event.wait() for event in ready))

        async def send(number: int) -> None:
            result = await sender.registry.multicast(
                {"room": "in"}, {"number": number}, delivery="at-least-once", timeout=0
            )
            ids[number] = result.message_id
            for status in result.statuses:
                if status.status in (Status.PENDING, Status.DELIVERED):
                    stored[status.identity].add(result.message_id)

        number = 0
        for _ in range(KILLS):
            for _ in range(BURST):
                await send(number)
                number += 1
            await hosting.kill()
            await send(number)
            number += 1
            await hosting.start()

        await eventually(
            lambda: all(wanted <= {message.id for message in seen[identity]} for identity, wanted in stored.items()),
            seconds=60,
        )
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    assert {len(wanted) for wanted in stored.values()} == {KILLS * (BURST + 1)}
    assert all(messages == [] for messages in outside.values())
    for messages in seen.values():
        contents: dict[str, Any] = {}
        for message in messages:
            assert contents.setdefault(message.id, message.content) == message.content
        assert contents == {ids[n]: {"number": n} for n in range(number)}
    await hosting.stop()
    await sending.stop()
