"""The durability slot: a queue per identity (RFC: slot 3; enqueue, dequeue, ack)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from prism.model.message import DeadLetter as DeadLetter  # noqa: PLC0414 - plugins take it from here
from prism.model.message import Message
from prism.model.time import Micros
from prism.slots.context import Backend, Failure


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages were dropped here before they could be delivered: the queue was full, or they timed out."""

    dropped: int


@dataclass(frozen=True, slots=True)
class Lease:
    """One message (or gap marker) handed out and hidden until it is acked, nacked or its visibility ends.

    `token` is the backend's own and only good for this lease. `attempt` counts from 1.
    A gap marker is acked like a message, so that it isn't lost either.
    """

    queue: str
    token: str
    attempt: int
    content: Message | Gap


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The message is stored."""


@dataclass(frozen=True, slots=True)
class NoQueue:
    """There is no such queue: the identity isn't registered. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The ack, nack or extension took effect."""


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """The lease had ended before; somebody else may have the message. Nothing was changed."""


EnqueueOutcome: TypeAlias = Enqueued | NoQueue | Failure
SettleOutcome: TypeAlias = Settled | LeaseLost | Failure


class DurabilityBackend(Backend):
    """Keeps messages until they are acked: at least once, in order per queue.

    A queue's name is an identity. Batches answer one outcome per item, in order. The namespace's
    `context.queues` gives length, attempts and times. Time is the backend's.
    """

    @abstractmethod
    async def create(self, queues: Sequence[str]) -> None:
        """Makes queues; those that exist are left as they are."""

    @abstractmethod
    async def mark(self) -> str:
        """A point in this slot's life: everything enqueued so far is before it, everything from now on after.

        Opaque; good for `delete`, on any proxy.
        """

    @abstractmethod
    async def delete(self, queues: Sequence[str], before: str | None = None) -> None:
        """Removes queues with all they hold, dead letters too. Unknown ones are ignored.

        With `before`, only what was there before that mark goes: a queue that was created again (`create` was
        called for it, whether it existed or not) or got a message after the mark stays, without its older
        messages. So a removal that comes late can't touch what belongs to a newer registration.
        """

    @abstractmethod
    async def enqueue(self, message: Message, queues: Sequence[str], ttl: Micros | None = None) -> list[EnqueueOutcome]:
        """Appends one message to many queues; `ttl` None is the policy's.

        A message id that a queue holds or has just held (at least 2 minutes) is Enqueued without a second
        copy, so that a repeated call is harmless.
        """

    @abstractmethod
    async def dequeue(self, queues: Sequence[str], limit: int, visibility: Micros) -> list[Lease]:
        """Leases up to `limit` of the oldest visible messages of each queue, in order per queue.

        Doesn't wait: an empty list means nothing is there now. A message whose attempts are used up goes to
        the dead letters instead. Within one queue nothing is handed out past a message that is leased out
        and then comes back: redelivery keeps the order among what isn't acked.
        """

    @abstractmethod
    async def ack(self, leases: Sequence[Lease]) -> list[SettleOutcome]:
        """Removes delivered messages for good."""

    @abstractmethod
    async def nack(self, leases: Sequence[Lease], delay: Micros = 0) -> list[SettleOutcome]:
        """Gives messages back, visible again after `delay` microseconds. The attempt counts."""

    @abstractmethod
    async def release(self, leases: Sequence[Lease]) -> list[SettleOutcome]:
        """Gives messages back at once that nobody saw (a stream ended first). The attempt doesn't count."""

    @abstractmethod
    async def extend(self, leases: Sequence[Lease], visibility: Micros) -> list[SettleOutcome]:
        """Keeps leases for `visibility` microseconds from now."""

    @abstractmethod
    async def depth(self, queues: Sequence[str]) -> list[int]:
        """How many messages each queue holds, leased ones included, dead letters and gap markers not."""

    @abstractmethod
    async def dead_letters(self, queue: str, limit: int) -> list[DeadLetter]:
        """The oldest dead letters of a queue."""

    @abstractmethod
    async def replay(self, queue: str, message_ids: Sequence[str]) -> int:
        """Puts dead letters back at the end of their queue as new; returns how many there were."""
