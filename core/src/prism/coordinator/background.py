"""Background work with an owner: supervised loops that end with it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from prism.coordinator.metrics import Metrics
from prism.model.deadline import no_deadline

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Background:
    """Runs named loops until closed. May be opened and closed by different tasks.

    A loop that raises is reported, counted, and started again after a pause that doubles up to 5 seconds.
    A loop that returns is done.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._group: asyncio.TaskGroup | None = None
        self._opened = asyncio.Event()
        self._closing = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Gets ready to run loops."""
        self._owner = asyncio.create_task(self._own(), name="prism background")
        await self._opened.wait()

    def start(self, name: str, loop: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Starts a loop; the task is returned so that it can be cancelled alone."""
        if self._group is None:
            raise RuntimeError("background work is not open")
        task = self._group.create_task(self._supervise(name, loop), name=f"prism {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Cancels every loop and waits for them. Idempotent."""
        if self._owner is None:
            return
        for task in list(self._tasks):
            task.cancel()
        self._closing.set()
        owner, self._owner = self._owner, None
        await owner

    async def _own(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._opened.set()
            await self._closing.wait()
            for task in list(self._tasks):
                task.cancel()

    async def _supervise(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        no_deadline()
        pause = FIRST_PAUSE
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await loop()
            except Exception:
                self._metrics.background_failures[name] += 1
                logger.exception("%s failed; trying again", name)
            else:
                return
            if asyncio.get_running_loop().time() - started > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause = min(2 * pause, LONGEST_PAUSE)
