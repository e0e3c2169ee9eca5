"""Abilities that some slots have: the capability flag and the class must agree."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
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
