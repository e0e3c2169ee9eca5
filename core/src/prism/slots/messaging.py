"""The messaging slot: one payload to many topics, now (RFC: slot 2; publish, subscribe)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self, TypeAlias

from prism.slots.context import Backend, Failure


class TopicKind(StrEnum):
    """Who listens."""

    INBOX = "inbox"
    """A proxy: frames for the streams it hosts, receipts for the multicasts it sent."""
    IDENTITY = "identity"
    """An identity registered without attaching: any native subscriber of the broker may listen."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A structured topic of the slot's namespace; the plugin encodes it safely for its broker.

    `name` is a proxy's inbox address or an identity: any text that `check_identity` lets through, up to 512
    bytes, with spaces, dots, wildcards and all.
    """

    kind: TopicKind
    name: str


@dataclass(frozen=True, slots=True)
class Publication:
    """One payload with its headers (ASCII names, printable ASCII values, a few hundred bytes in all)."""

    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """The broker took it. `receivers` is how many subscribers it reached, None where the broker can't say."""

    receivers: int | None = None


PublishOutcome: TypeAlias = Published | Failure


@dataclass(frozen=True, slots=True)
class Received:
    """One publication that came in on a subscribed topic."""

    topic: Topic
    publication: Publication


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Publications may have been missed here (the connection was lost and is back, or a buffer overflowed)."""

    reason: str


Event: TypeAlias = Received | Interrupted


class Subscription(ABC):
    """A set of topics one listens to. Used as an async context manager and an async iterator of batches.

    `add` and `remove` may be called while another task iterates. After `close`, iteration ends.
    A subscription that isn't read for long drops and reports `Interrupted`; it never slows others down.
    """

    @abstractmethod
    async def add(self, topics: Sequence[Topic]) -> None:
        """Listens to more topics. Once it returns, nothing published to them from then on is missed."""

    @abstractmethod
    async def remove(self, topics: Sequence[Topic]) -> None:
        """Stops listening to some; unknown ones are ignored.

        What was published to them before the call is still delivered, as far as the broker can be asked.
        """

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        """What comes in, in batches of at least one, in the order of arrival. One reader at a time."""

    @abstractmethod
    async def close(self) -> None:
        """Stops listening to everything. Idempotent."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class MessagingBackend(Backend):
    """Delivers publications to whoever is subscribed at that moment, at most once."""

    @abstractmethod
    async def publish(self, publication: Publication, topics: Sequence[Topic]) -> list[PublishOutcome]:
        """Publishes one payload to many topics, one outcome per topic, in order.

        When it returns, the broker has the message or the outcome is a Failure. Cancelling it may leave
        some topics served and others not.
        """

    @abstractmethod
    async def subscribe(self) -> Subscription:
        """A new subscription to nothing yet."""
