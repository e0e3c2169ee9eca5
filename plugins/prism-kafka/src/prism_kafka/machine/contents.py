"""What a queue holds: copies of messages, losses, both once they have been handed out, and what was given up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from prism.model.time import Micros

from prism_kafka.machine.traces import Trace

NEVER: Final[Micros] = 2**62


class Copy:
    """A message on its way, the same object in every queue that one record put it into.

    `at` is the offset of the record with the payload; `position` is that of the record that put it into the queue
    (another one only for what was replayed).
    """

    __slots__ = ("at", "dies_at", "position", "trace")

    def __init__(self, trace: Trace, at: int, dies_at: Micros, position: int) -> None:
        self.trace = trace
        self.at = at
        self.dies_at = dies_at
        self.position = position


class Loss:
    """Messages that were dropped at this place. `position` is that of the newest of them."""

    __slots__ = ("dropped", "position")

    def __init__(self, dropped: int, position: int) -> None:
        self.dropped = dropped
        self.position = position

    def absorb(self, other: Loss) -> None:
        """Adds a loss next to this one."""
        self.dropped += other.dropped
        self.position = max(self.position, other.position)


Content: TypeAlias = Copy | Loss


class Delivery:
    """A content that was handed out at least once and isn't settled.

    While `leased`, it is somebody's until `visible_at`; otherwise it is to be handed out again from then on.
    """

    __slots__ = ("attempts", "content", "key", "leased", "leases", "visible_at")

    def __init__(self, key: int, content: Content) -> None:
        self.key = key
        self.content = content
        self.attempts = 0
        self.leased = False
        self.leases = 0
        self.visible_at: Micros = 0

    def hand_out(self, until: Micros) -> None:
        """Starts a lease."""
        self.leased = True
        self.leases += 1
        self.attempts += 1
        self.visible_at = until

    def become(self, loss: Loss, now: Micros) -> None:
        """Puts a loss in the place of the copy, to be handed out at once; a lease on the copy has ended."""
        self.content = loss
        self.leased = False
        self.attempts = 0
        self.visible_at = now

    @property
    def token(self) -> str:
        """The token of the present lease."""
        return f"{self.key}.{self.leases}"


@dataclass(frozen=True, slots=True)
class Dead:
    """A message given up.

    `at` is the offset of the record with its payload, `position` of the one that put it into the queue.
    """

    message_id: str
    at: int
    position: int
    attempts: int
    died_at: Micros


class Handed(NamedTuple):
    """A lease as the log knows it. `at` is the offset of the record with the payload, None for `dropped` messages."""

    queue: str
    token: str
    attempt: int
    at: int | None
    dropped: int = 0


def merged(deliveries: list[Delivery]) -> list[Delivery]:
    """The deliveries with losses next to each other made one, where nobody holds them."""
    kept: list[Delivery] = []
    for delivery in deliveries:
        last = kept[-1] if kept else None
        if last is None or last.leased or delivery.leased:
            kept.append(delivery)
        elif isinstance(last.content, Loss) and isinstance(delivery.content, Loss):
            last.content.absorb(delivery.content)
            last.visible_at = min(last.visible_at, delivery.visible_at)
        else:
            kept.append(delivery)
    return kept
