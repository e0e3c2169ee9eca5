"""Hands events to the application's callback: one at a time, in order, never in the stream's way."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from prism.client.events import InboxEvent

OnEvent: TypeAlias = "Callable[[InboxEvent], Awaitable[object] | object]"
"""A callback for events: a function or a coroutine function."""


class Notices:
    """Events on their way to `on_event`. They wait in a task of their own, so a callback may use its inbox.

    What the callback raises goes to `on_failure`.
    """

    def __init__(self, on_event: OnEvent | None, on_failure: Callable[[Exception], None]) -> None:
        self._on_event = on_event
        self._on_failure = on_failure
        self._waiting: deque[InboxEvent] = deque()
        self._task: asyncio.Task[None] | None = None

    def tell(self, event: InboxEvent) -> None:
        """Queues an event."""
        if self._on_event is None:
            return
        self._waiting.append(event)
        if self._task is None:
            self._task = asyncio.create_task(self._tell_all(self._on_event))

    async def close(self, patience: float) -> None:
        """Waits until the callback has had all events, at most `patience` seconds; then it is cancelled.

        Called from within the callback, it doesn't wait.
        """
        task = self._task
        if task is None or task is asyncio.current_task():
            return
        _, late = await asyncio.wait((task,), timeout=patience)
        if late:
            task.cancel()
            await asyncio.wait((task,))

    async def _tell_all(self, on_event: OnEvent) -> None:
        try:
            while self._waiting:
                outcome = on_event(self._waiting.popleft())
                if inspect.isawaitable(outcome):
                    await outcome
        except Exception as error:  # noqa: BLE001 - reported: it ends the inbox, and whoever reads it gets it
            self._waiting.clear()
            self._on_failure(error)
        finally:
            self._task = None
