"""What an attached application is told besides its messages; see `on_event` of `attach`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from prism.model.errors import PrismError


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The stream to the proxy was lost. The inbox attaches again by itself; `error` is why, None for a plain end."""

    error: PrismError | None


@dataclass(frozen=True, slots=True)
class Reattached:
    """The identities are attached again, `duration` seconds after they were lost.

    `gap` says whether at-most-once messages may have been missed meanwhile; it is False after a move to another
    proxy in which the new stream was up before the old one was let go.
    """

    identities: tuple[str, ...]
    duration: float
    gap: bool


@dataclass(frozen=True, slots=True)
class MessageGap:
    """Messages for an identity were lost. `dropped` 0 is an unknown number."""

    identity: str
    dropped: int
    reason: str


@dataclass(frozen=True, slots=True)
class Draining:
    """The proxy is about to stop; it goes on serving for `grace` seconds. The inbox moves by itself."""

    grace: float


@dataclass(frozen=True, slots=True)
class Lost:
    """An identity isn't attached any more and will not be again: `error` is Superseded, Unregistered, Expired, or why
    it could not be attached again."""

    identity: str
    error: PrismError


InboxEvent: TypeAlias = Disconnected | Reattached | MessageGap | Draining | Lost
