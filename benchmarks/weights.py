"""Fills a coordinator of its own process and says what that weighs; a fresh process for each weighing."""

from __future__ import annotations

import asyncio
import gc

import orjson
import psutil
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.errors import PrismError
from prism.model.operations import AttachItem, Default, NewIdentity
from prism.model.time import SECOND
from prism.sessions.hub import Hub

from benchmarks.documents import devices
from benchmarks.proxy import CONFIG, NAMESPACE
from benchmarks.workers import Answer, serve_commands

BATCH = 2_000


def used() -> int:
    """The bytes that this process keeps in memory for itself, its garbage collected."""
    gc.collect()
    kept: int = psutil.Process().memory_full_info().uss
    return kept


async def registered(count: int) -> Answer:
    """Registers devices and weighs the process before and after."""
    async with Coordinator(load_config(CONFIG)) as coordinator:
        await register(coordinator, 0, BATCH)
        before = used()
        await register(coordinator, BATCH, BATCH + count)
        each = (used() - before) / count
        assert await coordinator.count(NAMESPACE, None) == BATCH + count
    return {"bytes": each}


async def register(coordinator: Coordinator, begin: int, end: int) -> None:
    """Registers the devices with these numbers."""
    batch: list[NewIdentity] = []
    for number, (name, metadata) in enumerate(devices(end)):
        if number < begin:
            continue
        batch.append(NewIdentity(name, orjson.dumps(metadata)))
        if len(batch) == BATCH or number == end - 1:
            outcomes = await coordinator.register(NAMESPACE, batch, ttl=Default.TTL, replace=False)
            assert not any(isinstance(outcome, PrismError) for outcome in outcomes)
            batch = []


async def attached(sessions: int, each: int) -> Answer:
    """Attaches identities to sessions of this process and weighs it before and after."""
    async with Coordinator(load_config(CONFIG)) as coordinator, Hub(coordinator) as hub:
        warm = await hub.open(NAMESPACE)
        await warm.attach([AttachItem(f"warm-{n}", {"room": "hall"}, ttl=600 * SECOND) for n in range(1_000)])
        before = used()
        for number in range(sessions):
            session = await hub.open(NAMESPACE)
            items = [AttachItem(f"seat-{number}-{n}", {"room": "hall"}, ttl=600 * SECOND) for n in range(each)]
            outcomes = await session.attach(items)
            assert not any(isinstance(outcome, PrismError) for outcome in outcomes)
            await session.take()
        return {"bytes": (used() - before) / (sessions * each)}


async def main() -> None:
    """Serves until the input ends."""
    await serve_commands({"registered": registered, "attached": attached})


if __name__ == "__main__":
    asyncio.run(main())
