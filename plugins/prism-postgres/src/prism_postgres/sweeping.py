"""What every proxy does now and then in a schema. Several that do it at once share the work."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from prism.model.time import Micros

from prism_postgres.errors import classify
from prism_postgres.migrations import in_schema
from prism_postgres.pool import Database

logger = logging.getLogger("prism.postgres")

LONG: Final = 1.0
"""Seconds after which a step was too long, and the next takes fewer messages."""
MESSAGES: Final = 1_000
"""Messages that one step looks at, at most."""
REAPED: Final = 10_000
"""Entries of removed queues that one transaction removes."""

_SWEEP: Final = "SELECT __schema__.sweep_messages($1, $2) AS seen"
_REAP: Final = "SELECT __schema__.reap_queues($1) AS waste"


class Repeated:
    """A task that does something every so many seconds, until it is closed; whoever makes one must close it."""

    def __init__(self, name: str, act: Callable[[], Awaitable[None]], pause: float) -> None:
        self._name = name
        self._act = act
        self._pause = pause
        self._task = asyncio.create_task(self._run(), name=f"prism-postgres {name}")

    async def close(self) -> None:
        """Ends the task."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._pause * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
            try:
                await self._act()
            except Exception as error:
                if classify(error) is None:
                    raise
                logger.warning("cleaning up the %s failed and is tried again: %s", self._name, error)


class QueueSweep:
    """Lets go of messages that no queue has had for the window, and turns what has timed out into gaps."""

    def __init__(self, database: Database, schema: str, window: Micros) -> None:
        self._database = database
        self._schema = schema
        self._window = window
        self._messages = 100

    async def __call__(self) -> None:
        """Sweeps once, in steps of bounded size."""
        seen = asked = 0
        while seen == asked:
            asked, start = self._messages, time.monotonic()
            try:
                [row] = await self._database.fetch(in_schema(_SWEEP, self._schema), asked, self._window, harmless=True)
            except BaseException:
                self._messages = max(1, asked // 4)
                raise
            seen, took = row["seen"], time.monotonic() - start
            self._messages = max(1, asked // 2) if took > LONG else min(MESSAGES, asked * 2)
        waste = True
        while waste:
            [row] = await self._database.fetch(in_schema(_REAP, self._schema), REAPED, harmless=True)
            waste = row["waste"]
