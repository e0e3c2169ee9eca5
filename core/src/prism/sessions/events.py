"""What a session hands to its transport, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from prism.model.operations import Attachment

if TYPE_CHECKING:
    from prism.coordinator.receipts import FrameReceipt
    from prism.model.errors import PrismError
    from prism.model.message import Message
    from prism.model.time import Micros
    from prism.sessions.binding import Binding


@dataclass(slots=True)
class Delivery:
    """One message for one or many of the session's identities.

    `handles` are the identities it is for. At-least-once: `tags` has what to ack for each of them and
    `attempts` which attempt each is; both are empty otherwise.
    """

    message: Message
    handles: list[int]
    tags: list[int] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    bindings: list[Binding] = field(default_factory=list, repr=False, compare=False)
    """Whose inboxes it waits in; for the session alone."""
    positions: list[int] = field(default_factory=list, repr=False, compare=False)
    """Where in `receipt` each of them is; for the session alone."""
    receipt: FrameReceipt | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class MessageGap:
    """Messages of one identity were lost.

    `dropped` 0 is an unknown number; `tag` is acked like a message's, 0 for none.
    """

    handle: int
    dropped: int
    reason: str
    tag: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """An identity isn't this session's any more. `reason`: SUPERSEDED, EXPIRED or UNREGISTERED."""

    identity: str
    handle: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An identity could not be attached; the session goes on."""

    identity: str
    error: PrismError


@dataclass(frozen=True, slots=True)
class Detached:
    """An identity was let go as asked; `handle` is -1 where it wasn't attached."""

    identity: str
    handle: int


@dataclass(frozen=True, slots=True)
class Draining:
    """The proxy is about to stop and goes on serving this session for `grace`."""

    grace: Micros


SessionEvent: TypeAlias = Delivery | Attachment | Refused | Detached | MessageGap | Lost | Draining
