"""Abilities that some slots have. Where there is a capability for one, the flag and the class must agree."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from prism.model.identity import Registration


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


class Measured(ABC):
    """A slot with numbers of its own that operators watch. No capability: it promises users nothing."""

    @abstractmethod
    def gauges(self) -> Mapping[str, float]:
        """What stands now, by names of lower-case words joined by underscores, the unit last (`log_lag_records`).

        Answers at once from memory, at any time, also before `open` and after `close`. The proxy shows each as the
        metric `prism_TYPE_NAME` with the labels namespace and slot.
        """
