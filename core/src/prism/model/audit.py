"""What is recorded of effects: who did what, when, to whom (RFC: `needs: audit`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from prism.model.time import Micros


class AuditKind(StrEnum):
    """What was done."""

    REGISTER = "register"
    """An identity was registered, or a live registration replaced by a new one."""
    UPDATE = "update"
    """A registration was changed, or moved to another proxy, keeping when it was registered."""
    UNREGISTER = "unregister"
    EXPIRE = "expire"
    MULTICAST = "multicast"
    """A message is about to be sent: recorded before the first target is served."""
    MULTICAST_RESULT = "multicast_result"
    """What the sender was told became of it. A multicast without one was cut short."""
    REPLAY = "replay"
    """Dead letters of an identity are about to be put back into its queue; `detail` has their message ids."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One effect. `sequence` and `at` are the backend's: it sets them when it records the entry.

    `actor` is who the call was made for, "" where nobody said. Identity, registration id and revision are those of a
    registration; the rest is of a multicast: `filter` in its written form, how many targets there were, and how many of
    them have which status. `detail` is for people.
    """

    kind: AuditKind
    actor: str = ""
    sequence: int = 0
    at: Micros = 0
    identity: str = ""
    registration_id: str = ""
    revision: int | None = None
    message_id: str = ""
    filter: Mapping[str, Any] | None = None
    targets: int | None = None
    outcomes: Mapping[str, int] | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries: those for which everything holds that isn't None or empty, the latest first, up to `limit`.

    `since` is inclusive, `until` exclusive; `before` goes on before the entry with that sequence.
    """

    kinds: frozenset[AuditKind] = frozenset()
    since: Micros | None = None
    until: Micros | None = None
    actor: str | None = None
    identity: str | None = None
    message_id: str | None = None
    before: int | None = None
    limit: int = 100
