"""Background work with an owner: supervised loops that end with it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from prism.coordinator.metrics import Metrics
from prism.model.deadline import no_deadline
from prism.model.errors import InternalError, PrismError

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
SAID_AGAIN = 60.0
"""Seconds after which a failure that goes on is logged again."""


class Background:
    """Runs named loops until closed. May be opened and closed by different tasks.

    A loop that raises is reported, counted, and started again after a pause that doubles up to 5 seconds.
    A loop that returns is done. What a slot fails with is one line, and the same is said once a minute at most; what
    nobody expected has its traceback in the log each time.
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
        reports = _Reports(name)
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await loop()
            except Exception as error:
                self._metrics.background_failures[name] += 1
                if isinstance(error, PrismError) and not isinstance(error, InternalError):
                    reports.failed(error)
                else:
                    logger.exception("%s failed; trying again", name)
            else:
                return
            if asyncio.get_running_loop().time() - started > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause = min(2 * pause, LONGEST_PAUSE)


class _Reports:
    """What is logged of the expected failures of one loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._text = ""
        self._since = 0.0
        self._unsaid = 0

    def failed(self, error: PrismError) -> None:
        """Logs it, unless the same was logged a moment ago."""
        now = asyncio.get_running_loop().time()
        text = str(error)
        if text == self._text and now - self._since < SAID_AGAIN:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} times more since it was last said)" if text == self._text and self._unsaid else ""
        logger.warning("%s failed; trying again: %s%s", self._name, text, more)
        self._text, self._since, self._unsaid = text, now, 0
