"""When an idle inbox has to say that it lives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from prism.client.stream import Stream

SLOWEST = 10.0
"""Seconds between heartbeats at most: a third of the usual TTL."""
QUICKEST = 0.2


class Heartbeat:
    """Sends an empty frame on the current stream when a third of the shortest TTL has passed without any other."""

    def __init__(self, current: Callable[[], Stream | None]) -> None:
        self._current = current
        self._every = SLOWEST
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._schedule()

    def keep_up_with(self, lifetime: float | None) -> None:
        """An identity stays registered for so many seconds without a heartbeat; None is without end."""
        if lifetime is not None and lifetime / 3 < self._every > QUICKEST:
            self._every = max(QUICKEST, lifetime / 3)
            self._schedule()

    def stop(self) -> None:
        """Ends it."""
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        stream = self._current()
        if stream is not None and not stream.ended and self._loop.time() - stream.last_sent > self._every / 2:
            stream.beat()
        self._schedule()

    def _schedule(self) -> None:
        self.stop()
        delay = self._every * random.uniform(0.8, 1)  # noqa: S311 - so that many inboxes don't beat at once
        self._timer = self._loop.call_later(delay, self._beat)
