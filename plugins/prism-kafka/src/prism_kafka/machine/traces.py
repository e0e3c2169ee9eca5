"""Which queues have, or have just had, a message: what makes repeating an `enqueue` harmless."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from prism.model.time import SECOND, Micros

WINDOW: Final[Micros] = 120 * SECOND
"""How long a message id is known at least after it has left a queue."""


class Trace:
    """The queues, by number, that one message id went to.

    While `complete`, `receivers` holds every queue that got a copy; afterwards only those that let one go since, and
    whether another still has its copy is asked of the queue itself. `copies` counts those that are in queues.
    `kept_until` is 0 once its window is over.
    """

    __slots__ = ("complete", "copies", "kept_until", "message_id", "receivers")

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self.receivers = array("Q")
        self.complete = True
        self.copies = 0
        self.kept_until: Micros = 0


class Traces:
    """The traces of one partition by message id.

    A trace lives while a copy of its message is in a queue, and for at least the window after one has left.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, Trace] = {}
        self._windows: deque[tuple[Micros, Trace]] = deque()

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Trace]:
        return iter(self._by_id.values())

    def find(self, message_id: str) -> Trace | None:
        """The trace of a message that a queue has or has just had."""
        return self._by_id.get(message_id)

    def start(self, message_id: str, now: Micros) -> Trace:
        """A trace for a message that no queue knows."""
        trace = self._by_id[message_id] = Trace(message_id)
        self._keep(trace, now)
        return trace

    def put(self, trace: Trace, queues: Iterable[int]) -> None:
        """Notes that queues have got a copy."""
        known = len(trace.receivers)
        trace.receivers.extend(queues)
        trace.copies += len(trace.receivers) - known

    def left(self, trace: Trace, queue: int, now: Micros) -> None:
        """Notes that a queue has let its copy go; the queue remembers it for the window."""
        trace.copies -= 1
        if not trace.complete:
            trace.receivers.append(queue)
        if trace.kept_until < now + WINDOW:
            self._keep(trace, now)

    def removed(self, trace: Trace, queue: int, *, forget: bool) -> None:
        """Notes that a copy is gone as if it had never been there; `forget` where its queue lives on."""
        trace.copies -= 1
        if forget and queue in trace.receivers:
            trace.receivers.remove(queue)
        if not trace.copies and not trace.kept_until:
            self._by_id.pop(trace.message_id, None)

    def forget_old(self, now: Micros) -> None:
        """Lets go what no copy has left within the window."""
        windows = self._windows
        while windows and windows[0][0] <= now:
            until, trace = windows.popleft()
            if trace.kept_until != until:
                continue  # a copy has left since: a later entry stands for it
            trace.kept_until = 0
            trace.receivers = array("Q")
            trace.complete = False
            if not trace.copies:
                del self._by_id[trace.message_id]

    def restore(self, traces: Iterable[Trace]) -> None:
        """Takes traces over from a snapshot."""
        self._by_id = {trace.message_id: trace for trace in traces}
        kept = sorted((trace.kept_until, trace.message_id) for trace in self if trace.kept_until)
        self._windows = deque((until, self._by_id[message_id]) for until, message_id in kept)

    def _keep(self, trace: Trace, now: Micros) -> None:
        # Twice the window, so that copies which leave one after another don't each move the end.
        trace.kept_until = now + 2 * WINDOW
        self._windows.append((trace.kept_until, trace))
