"""Abilities that some slots have. Where there is a capability for one, the flag and the class must agree."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from prism.model.audit import AuditEntry, AuditQuery
from prism.model.identity import Registration
from prism.slots.registry import Query


class ChangeKind(StrEnum):
    """What happened to a registration."""

    SET = "set"
    DELETED = "deleted"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Change:
    """One change, with the registration as it stands (SET) or stood (DELETED, EXPIRED)."""

    kind: ChangeKind
    registration: Registration


class Watchable(ABC):
    """A registry that announces its changes. Capability: `watch`."""

    @abstractmethod
    def watch(self) -> AsyncIterator[Sequence[Change]]:
        """Changes from now on, in batches, in order per identity."""


class Auditable(ABC):
    """A registry that records every effect in the transaction that makes it. Capability: `audit`.

    Where `context.audit` is set, each item of `set`, `delete` and `pop_expired` that took effect is one entry, recorded
    if and only if the effect is, with `prism.model.actor.current_actor()`. So is the expiry of a registration whose
    place `set` takes before `pop_expired` removes it. Entries are never changed, and removed only by the retention that
    an operator has set. Where `context.audit` isn't set, nothing is recorded.
    """

    @abstractmethod
    async def record(self, entries: Sequence[AuditEntry]) -> None:
        """Records effects that aren't the registry's own: multicasts. Sets `sequence` and `at`."""

    @abstractmethod
    async def audit(self, query: AuditQuery) -> list[AuditEntry]:
        """The entries of the slot's namespace, the latest first. Answers also where nothing is recorded any more."""


class Explains(ABC):
    """A registry that can say how its backend would run a query."""

    @abstractmethod
    async def explain(self, query: Query) -> str:
        """The backend's own plan, in lines for people. Runs nothing."""


class Migratable(ABC):
    """A slot whose storage is prepared beforehand, by `prism migrate`. Both methods connect by themselves: the slot
    needs not be open, nor can it be while something is missing."""

    @abstractmethod
    async def pending(self, *, prune: bool) -> list[str]:
        """What `migrate` would do, a line for people each; nothing when all is up to date.

        A line that begins with `tables: ` says that the slot can't be opened before.
        """

    @abstractmethod
    async def migrate(self, *, prune: bool) -> list[str]:
        """Makes what is missing, and with `prune` removes what nothing asks for any more; what was done, as above.

        Safe to run several times, and by several at a time, while proxies serve.
        """


class Measured(ABC):
    """A slot with numbers of its own that operators watch. No capability: it promises users nothing.

    Both methods answer at once from memory, at any time, also before `open` and after `close`. Names are lower-case
    words joined by underscores, the unit last (`log_lag_records`).
    """

    meanings: ClassVar[Mapping[str, str]] = {}
    """What each number is, in a sentence, by its name: the metric's HELP."""

    @abstractmethod
    def gauges(self) -> Mapping[str, float]:
        """What stands now, without what isn't known now. The proxy shows each as the metric `prism_TYPE_NAME` with the
        labels namespace and slot."""

    def counters(self) -> Mapping[str, float]:
        """What has happened since the slot was opened and never falls: metrics `prism_TYPE_NAME_total`."""
        return {}


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a slot. `name` is the metric's, after `prism_`."""

    name: str
    value: float
    meaning: str
    counts: bool
    """Whether it only ever rises."""
