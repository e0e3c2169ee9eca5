"""Until when an answer is of use to whoever waits for it: carried beside the call, as the actor is.

A proxy gives up on a slot a little before its caller gives up on the proxy: so the caller is told which slot it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

LEAD: Final = 0.5
"""Seconds before the caller's deadline at which slots are given up, for the answer to arrive; a tenth of short ones."""


class Deadline:
    """How long the calls to slots may take that are made for one call.

    Parameters:
        left: seconds until the caller gives up, from now; None where it waits as long as it takes.
        pause: seconds that the caller waits for the next part of an answer in parts; None where it doesn't say.
    """

    __slots__ = ("_at", "_pause", "over")

    def __init__(self, left: float | None, pause: float | None = None) -> None:
        self._at = None if left is None else asyncio.get_running_loop().time() + _shortened(left)
        self._pause = None if pause is None else _shortened(pause)
        self.over = False
        """Whether the call has ended: what it has left running is nobody's to wait for."""

    def limit(self, now: float) -> float | None:
        """Until when a call to a slot that begins now may take, by the event loop's clock; None for no limit."""
        if self._pause is None:
            return self._at
        at = now + self._pause
        return at if self._at is None else min(at, self._at)


_deadline: ContextVar[Deadline | None] = ContextVar("prism_deadline", default=None)


def current_deadline() -> Deadline | None:
    """The deadline of the call that this task works for, None where it has none."""
    deadline = _deadline.get()
    return None if deadline is None or deadline.over else deadline


def no_deadline() -> None:
    """Says that this task works for no call: it was started by one, and outlives it."""
    _deadline.set(None)


@contextmanager
def answering_within(left: float | None, pause: float | None = None) -> Iterator[None]:
    """What is done within is done for a caller who waits that long; parameters as for `Deadline`."""
    if left is None and pause is None:
        yield
        return
    deadline = Deadline(left, pause)
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        deadline.over = True
        _deadline.reset(token)


def _shortened(seconds: float) -> float:
    return max(0.0, seconds - min(LEAD, seconds / 10))
