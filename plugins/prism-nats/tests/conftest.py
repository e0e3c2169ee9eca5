"""Opens slots on the servers of a test, and closes them after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from nats.aio.client import Client
from prism.slots.context import QueuePolicy, SlotContext
from prism_conformance.servers import Server
from prism_nats.config import NatsConfig
from prism_nats.durability import NatsDurability
from prism_nats.messaging import NatsMessaging

Until = Callable[..., Awaitable[None]]
"""`until(condition, seconds)`."""


class Slots:
    """Makes slots for one test."""

    def __init__(self) -> None:
        self.opened: list[NatsMessaging | NatsDurability] = []

    async def messaging(self, server: Server, **options: Any) -> NatsMessaging:
        """An opened messaging slot."""
        slot = NatsMessaging(_config(server, options), SlotContext("room"))
        self.opened.append(slot)
        await slot.open()
        return slot

    async def durability(self, server: Server, policy: QueuePolicy | None = None, **options: Any) -> NatsDurability:
        """An opened durability slot."""
        slot = NatsDurability(_config(server, options), SlotContext("room", queues=policy or QueuePolicy()))
        self.opened.append(slot)
        await slot.open()
        return slot


def _config(server: Server, options: dict[str, Any]) -> NatsConfig:
    return NatsConfig.model_validate({"servers": server.url.split(","), "subject_prefix": server.scope, **options})


async def flushed(client: Client) -> None:
    """Returns when the server has all that a plain nats-py client has sent, subscriptions included.

    `flush` writes its PING past what waits to be written, so only the second PING comes behind that.
    """
    await client.flush()
    await client.flush()


@pytest_asyncio.fixture
async def slots() -> AsyncIterator[Slots]:
    made = Slots()
    yield made
    for slot in reversed(made.opened):
        await slot.close()


@pytest.fixture
def until() -> Until:
    """Asks the server again and again, until the answer is yes."""

    async def wait(condition: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - the condition itself asks a server
                await asyncio.sleep(0)  # lets the client reconnect

    return wait


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves most of the contract on a cluster to `make soak`: making replicated streams for each check takes long."""
    from .test_contract import QUICK_ON_A_CLUSTER

    for item in items:
        contract = item.getparent(pytest.Class)
        if contract is None or not contract.name.startswith("TestNatsCluster"):
            continue
        if isinstance(item, pytest.Function) and item.originalname not in QUICK_ON_A_CLUSTER:
            item.add_marker(pytest.mark.soak)
