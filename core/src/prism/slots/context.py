"""What the core tells a slot when it makes one, and what all three kinds have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from prism.model.limits import Limits
from prism.model.time import SECOND, Clock, Micros, steady_clock

if TYPE_CHECKING:
    from prism.model.errors import PrismError
    from prism.plugins.spec import Capability


@dataclass(frozen=True, slots=True)
class IndexedField:
    """A metadata field that the schema marks `index: true`. `kind` is the schema type's name, e.g. "string"."""

    keys: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """How a namespace's queues behave. Durations in microseconds."""

    max_messages: int = 10_000
    """Messages a queue holds; the oldest makes room for a new one and leaves a gap marker."""
    max_attempts: int = 5
    """Deliveries without an ack before a message becomes a dead letter."""
    message_ttl: Micros | None = 24 * 3600 * SECOND
    """How long a message waits unless it says otherwise; None is for ever."""
    visibility: Micros = 30 * SECOND
    """How long a lease hides a message from others."""
    max_dead_letters: int = 1_000
    """Dead letters kept for a queue; the oldest makes room."""


@dataclass(frozen=True, slots=True)
class SlotContext:
    """What a factory gets besides its own configuration. One slot instance serves one namespace.

    `clock` is for backends without a server clock of their own; a backend with one ignores it.
    """

    namespace: str
    limits: Limits = Limits()
    indexes: tuple[IndexedField, ...] = ()
    queues: QueuePolicy = QueuePolicy()
    clock: Clock = field(default_factory=steady_clock)
    kinds: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    """The schema type's name of every declared field, indexed or not."""
    audit: bool = False
    """Whether effects are to be recorded (the slot is an Auditable)."""
    looking: bool = False
    """Whether the slot is opened by a command that promises to change nothing: opening makes, migrates and removes
    nothing then, whatever the slot's configuration says."""


class Code(StrEnum):
    """What kind of failure a driver's exception is; the core makes the PrismError from it."""

    UNAVAILABLE = "unavailable"
    """Can't be reached now; the operation certainly had no effect, or repeating it is harmless."""
    DEADLINE_EXCEEDED = "deadline_exceeded"
    """No answer in time; whether it had an effect is unknown."""
    INVALID_CONFIG = "invalid_config"
    """Wrong address, credentials or options: trying again can't help."""
    LIMIT_EXCEEDED = "limit_exceeded"
    """The backend refuses the size or number."""
    UNSUPPORTED = "unsupported"
    """The backend can't do that."""
    INTERNAL = "internal"
    """None of the above."""


class Backend(ABC):
    """What the three slot kinds share.

    The core calls `open` once before anything else and `close` once after everything else, also after a
    failed `open`. Between the two, any method may be called from any number of tasks of one event loop at
    a time. Driver exceptions are raised as they are; the core asks `classify` and wraps them once.
    `asyncio.CancelledError` is passed on untouched.
    """

    @abstractmethod
    async def open(self) -> None:
        """Connects and checks. A configuration mistake surfaces here, not at the first call."""

    @abstractmethod
    async def close(self) -> None:
        """Releases everything. May take up to 5 seconds. Idempotent; never raises for a lost connection."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What this opened slot can do: a subset of its SlotSpec's."""

    @abstractmethod
    async def check(self) -> None:
        """Does one cheap real operation; raises when the backend can't serve. For readiness probes."""

    def classify(self, error: Exception) -> Code | None:
        """Says what a driver's exception means; None when it isn't this driver's."""
        del error
        return None


@dataclass(frozen=True, slots=True)
class Failure:
    """The outcome of one item that failed while others of its batch may have succeeded."""

    error: PrismError
