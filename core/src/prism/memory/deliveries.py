"""What a queue holds: copies of messages, losses, and both once they have been handed out."""

from __future__ import annotations

from typing import TypeAlias

from prism.memory.traces import Trace
from prism.model.message import Message
from prism.model.time import Micros
from prism.slots.durability import Gap


class Copy:
    """A message on its way, the same object in every queue of one `enqueue`. `position` rises from call to call."""

    __slots__ = ("dies_at", "message", "position", "trace")

    def __init__(self, message: Message, dies_at: Micros, trace: Trace, position: int) -> None:
        self.message = message
        self.dies_at = dies_at
        self.trace = trace
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
    """A content that was handed out at least once and isn't settled; it starts leased, in its first attempt.

    While `leased`, it is somebody's until `visible_at`; otherwise it is to be handed out again from then on.
    """

    __slots__ = ("attempts", "content", "key", "leased", "leases", "token", "visible_at")

    def __init__(self, key: str, content: Content, until: Micros) -> None:
        self.key = key
        self.content = content
        self.attempts = 1
        self.leased = True
        self.leases = 1
        self.token = f"{key}.1"
        self.visible_at = until

    def hand_out_again(self, until: Micros) -> None:
        """Starts another lease."""
        self.leased = True
        self.leases += 1
        self.attempts += 1
        self.token = f"{self.key}.{self.leases}"
        self.visible_at = until

    def become(self, loss: Loss, now: Micros) -> None:
        """Puts a loss in the place of the copy, to be handed out at once; a lease on the copy has ended."""
        self.content = loss
        self.leased = False
        self.attempts = 0
        self.visible_at = now

    def shown(self) -> Message | Gap:
        """The content as whoever leases it sees it."""
        content = self.content
        return content.message if isinstance(content, Copy) else Gap(content.dropped)


def key_of(token: str) -> str:
    """The key of the delivery that has, or had, a token."""
    return token.partition(".")[0]


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
