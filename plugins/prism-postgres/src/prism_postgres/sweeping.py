"""What every proxy does now and then for the queues of a schema. Several at once share the work."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final

from prism.model.time import Micros

from prism_postgres.errors import classify
from prism_postgres.migrations import in_schema
from prism_postgres.pool import Database

logger = logging.getLogger("prism.postgres")

PAUSE: Final = 5.0
"""Seconds between two sweeps, give or take a fifth."""
LONG: Final = 1.0
"""Seconds after which a step was too long, and the next takes fewer messages."""
MESSAGES: Final = 1_000
"""Messages that one step looks at, at most."""
REAPED: Final = 10_000

_SWEEP: Final = "SELECT __schema__.sweep_messages($1, $2) AS seen"
_REAP: Final = "SELECT __schema__.reap_queues($1) AS waste"


class Sweeper:
    """A task that sweeps until it is closed; whoever makes one must close it."""

    def __init__(self, database: Database, schema: str, window: Micros) -> None:
        self._database = database
        self._schema = schema
        self._window = window
        self._messages = 100
        self._task = asyncio.create_task(self._run(), name="prism-postgres sweep")

    async def close(self) -> None:
        """Ends the task."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def sweep(self) -> None:
        """Sweeps once, in steps of bounded size: what nobody needs is gone, what has timed out is a gap."""
        while True:
            asked, start = self._messages, time.monotonic()
            try:
                rows = await self._database.fetch(in_schema(_SWEEP, self._schema), asked, self._window, harmless=True)
            except BaseException:
                self._messages = max(1, asked // 4)
                raise
            took = time.monotonic() - start
            self._messages = max(1, asked // 2) if took > LONG else min(MESSAGES, asked * 2)
            if rows[0]["seen"] < asked:
                break
        waste = True
        while waste:
            rows = await self._database.fetch(in_schema(_REAP, self._schema), REAPED, harmless=True)
            waste = rows[0]["waste"]

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PAUSE * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
            try:
                await self.sweep()
            except Exception as error:
                if classify(error) is None:
                    raise
                logger.warning("sweeping the queues of schema %s failed and is tried again: %s", self._schema, error)
