"""Queues behind a pooler in transaction mode; topics are refused there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prism.model.errors import InvalidConfig
from prism.model.message import DeliverySemantics, Message
from prism.model.time import SECOND
from prism.slots.context import SlotContext
from prism.slots.durability import Enqueued, Settled
from prism_conformance import DurabilityContract, Subject
from prism_conformance.servers import shared
from prism_postgres.config import PostgresConfig
from prism_postgres.durability import PostgresDurability
from prism_postgres.messaging import PostgresMessaging

from .conftest import Open, config_of
from .pooler import Pooler

QUEUES = [f"user-{i}" for i in range(50)]


@pytest.fixture
async def pooler() -> AsyncIterator[Pooler]:
    server = shared("postgres")
    async with Pooler(server.host, server.port, "prism", "postgres", size=4).running() as pooler:
        yield pooler


@pytest.fixture
def behind(pooler: Pooler) -> dict[str, Any]:
    """A configuration that goes through the pooler."""
    return config_of(connection=f"postgres://prism@127.0.0.1:{pooler.port}/postgres?sslmode=disable", pooler=True)


async def test_queues_work_behind_a_pooler(pooler: Pooler, behind: dict[str, Any], opened: Open) -> None:
    slot = await opened(PostgresDurability, behind)
    await slot.create(QUEUES)

    async def work(number: int) -> None:
        for n in range(5):
            message = Message(f"m{number}.{n}", b"x", "text/plain", 1, DeliverySemantics.AT_LEAST_ONCE)
            assert await slot.enqueue(message, QUEUES) == [Enqueued()] * len(QUEUES)

    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(work(number))
    leases = await slot.dequeue(QUEUES, 100, 60 * SECOND)
    assert len(leases) == 40 * len(QUEUES)
    assert await slot.ack(leases) == [Settled()] * len(leases)
    assert await slot.depth(QUEUES) == [0] * len(QUEUES)
    assert len(pooler.served) == 4


async def test_topics_are_refused_behind_a_pooler(behind: dict[str, Any]) -> None:
    slot = PostgresMessaging(PostgresConfig(**behind), SlotContext("test"))
    with pytest.raises(InvalidConfig, match="pooler: messaging needs LISTEN"):
        await slot.open()
    await slot.close()


class TestDurabilityBehindAPooler(DurabilityContract):
    """The whole contract: `make soak`."""

    pytestmark = pytest.mark.soak

    @pytest.fixture
    def subject(self, behind: dict[str, Any]) -> Subject:
        return Subject("postgres", behind)
