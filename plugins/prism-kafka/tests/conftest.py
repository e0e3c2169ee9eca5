"""What the plugin's tests share: real brokers, configurations for them, and opened slots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest
from aiokafka import AIOKafkaProducer
from prism.model.message import DeliverySemantics, Message
from prism.slots.context import Backend, Code, SlotContext
from prism_conformance.servers import shared
from prism_kafka.config import KafkaConfig
from prism_kafka.fetching import BEGINNING, END, Record, offsets, read
from prism_kafka.link import Link

Slot = TypeVar("Slot", bound=Backend)
Open = Callable[..., Awaitable[Any]]


def config_of(**more: Any) -> dict[str, Any]:
    """The configuration for the run's broker, under topic names that no other test has."""
    server = shared("kafka")
    return {"brokers": [server.url], "topic_prefix": f"{server.scope}.", "partitions": 3, **more}


def message(name: str, payload: bytes = b"x") -> Message:
    return Message(name, payload, "text/plain", 1, DeliverySemantics.AT_LEAST_ONCE)


@pytest.fixture
def config() -> dict[str, Any]:
    """A configuration for the run's broker."""
    return config_of()


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """A function that opens a slot: `await opened(KafkaDurability, config, queues=...)`; closed after the test."""
    async with AsyncExitStack() as stack:

        async def open_slot(
            kind: Callable[[KafkaConfig, SlotContext], Slot],
            config: Mapping[str, Any],
            namespace: str = "test",
            **context: Any,
        ) -> Slot:
            slot = kind(KafkaConfig(**config), SlotContext(namespace, **context))
            stack.push_async_callback(slot.close)
            await slot.open()
            return slot

        yield open_slot


@pytest.fixture
async def bare(config: Mapping[str, Any]) -> AsyncIterator[AIOKafkaProducer]:
    """aiokafka's producer on the run's broker, without anything of ours."""
    async with AIOKafkaProducer(bootstrap_servers=config["brokers"]) as producer:
        yield producer


@pytest.fixture
async def link(config: Mapping[str, Any]) -> AsyncIterator[Link]:
    """A connection of the test's own, to look at topics with."""
    link = Link(KafkaConfig(**config))
    await link.open()
    yield link
    await link.close()


async def stored(link: Link, topic: str, partition: int = 0) -> list[Record]:
    """All records of a partition."""
    await link.follow([topic])
    start = (await offsets(link, topic, [partition], BEGINNING))[partition]
    end = (await offsets(link, topic, [partition], END))[partition]
    found: list[Record] = []
    while start < end:
        records, start = await read(link, topic, partition, start)
        found += records
    return found


async def begins(link: Link, topic: str, partition: int = 0) -> int:
    """The offset that a partition begins at."""
    await link.follow([topic])
    return (await offsets(link, topic, [partition], BEGINNING))[partition]


async def until_served(slot: Backend) -> None:
    """Waits until the slot can serve again."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await slot.check()
            except Exception as error:
                if slot.classify(error) not in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
                    raise
            await asyncio.sleep(0.02)
