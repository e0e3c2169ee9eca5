"""Memory slots for tests of what is the memory backend's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest
from prism.memory.config import MemoryConfig
from prism.memory.durability import MemoryDurability
from prism.memory.messaging import MemoryMessaging
from prism.memory.registry import MemoryRegistry
from prism.model.time import SECOND, Micros
from prism.slots.context import SlotContext

Slot = TypeVar("Slot", MemoryRegistry, MemoryMessaging, MemoryDurability)
Open = Callable[..., Awaitable[Any]]


class Clock:
    """A clock that tests turn, backwards too."""

    def __init__(self) -> None:
        self.now: Micros = 1_760_000_000 * SECOND

    def __call__(self) -> Micros:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def slot(clock: Clock) -> AsyncIterator[Open]:
    """Opens a slot of a class; it is closed when the test is over."""
    async with AsyncExitStack() as stack:

        async def opened(kind: type[Slot], store: str | None = None, namespace: str = "test", **context: Any) -> Slot:
            made = kind(MemoryConfig(store=store), SlotContext(namespace, **{"clock": clock, **context}))
            stack.push_async_callback(made.close)
            await made.open()
            return made

        yield opened
