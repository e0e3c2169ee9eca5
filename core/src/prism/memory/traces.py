"""Which queues have, or have just had, a message: what makes repeating an `enqueue` harmless."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable
from typing import Final
from weakref import WeakValueDictionary

from prism.model.time import SECOND, Micros

WINDOW: Final[Micros] = 120 * SECOND
"""How long a message id is known at least after it has left a queue."""
_HOT = 8


class Trace:
    """The queues that one message id went to.

    Queues are numbers here, 8 bytes each, since every copy of every message of the last minutes is noted.
    While `complete`, `receivers` holds every queue that got a copy; afterwards only those that let one go
    since, and whether another still has its copy is asked of the queue itself. `known` is the same as a set,
    while somebody asks.
    """

    __slots__ = ("__weakref__", "complete", "kept_until", "known", "receivers")

    def __init__(self) -> None:
        self.receivers = array("Q")
        self.complete = True
        self.kept_until: Micros = 0
        self.known: set[int] | None = None

    def note(self, numbers: Iterable[int]) -> None:
        """Adds queues."""
        added = array("Q", numbers)
        self.receivers.extend(added)
        if self.known is not None:
            self.known.update(added)

    def forget(self, number: int) -> None:
        """Takes a queue off, whose copy was removed as if it had never had one."""
        if number in self.receivers:
            self.receivers.remove(number)
        if self.known is not None:
            self.known.discard(number)


class Traces:
    """The traces of one namespace by message id.

    A trace lives while a copy of its message is in a queue, and for at least the window after one has left.
    """

    def __init__(self) -> None:
        self._by_id: WeakValueDictionary[str, Trace] = WeakValueDictionary()
        self._kept: deque[tuple[Micros, Trace]] = deque()
        self._hot: deque[Trace] = deque()

    def __len__(self) -> int:
        return len(self._by_id)

    def start(self, message_id: str, now: Micros) -> Trace:
        """A trace for a message that no queue knows."""
        trace = self._by_id[message_id] = Trace()
        self._keep(trace, now)
        return trace

    def find(self, message_id: str) -> Trace | None:
        """The trace of a message that a queue has or has just had; its `known` is set."""
        trace = self._by_id.get(message_id)
        if trace is not None and trace.known is None:
            trace.known = set(trace.receivers)
            self._hot.append(trace)
            if len(self._hot) > _HOT:
                self._hot.popleft().known = None
        return trace

    def left(self, trace: Trace, queue: int, now: Micros) -> None:
        """Notes that a queue has let its copy go."""
        if not trace.complete:
            trace.note((queue,))
        if trace.kept_until < now + WINDOW:
            self._keep(trace, now)

    def forget_old(self, now: Micros) -> None:
        """Lets go what no copy has left within the window."""
        kept = self._kept
        while kept and kept[0][0] <= now:
            until, trace = kept.popleft()
            if trace.kept_until == until:  # if a copy is still waiting somewhere, it keeps the trace alive
                trace.receivers = array("Q")
                trace.complete = False
                trace.known = None if trace.known is None else set()

    def _keep(self, trace: Trace, now: Micros) -> None:
        # Twice the window, so that copies which leave one after another don't each move the end.
        trace.kept_until = now + 2 * WINDOW
        self._kept.append((trace.kept_until, trace))
