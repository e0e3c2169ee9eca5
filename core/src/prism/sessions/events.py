"""What a session hands to its transport, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from prism.model.operations import Attachment

if TYPE_CHECKING:
    from prism.coordinator.receipts import FrameReceipt
    from prism.model.errors import PrismError
    from prism.model.message import Message
    from prism.model.time import Micros
    from prism.sessions.binding import Binding


NONE = cast("list[Any]", ())
"""An empty column, shared by all; whoever appends gives lists of its own."""


class Delivery:
    """One message for one or many of the session's identities.

    `handles` are the identities it is for. At-least-once: `tags` has what to ack for each of them and
    `attempts` which attempt each is; both are empty otherwise. `bindings`, `positions` and `receipt` are the
    session's own: whose inboxes it waits in, and where in the receipt each of them is.
    """

    # Written out, not a dataclass: one is made for every delivery to a stream of its own.
    __slots__ = ("attempts", "bindings", "handles", "message", "positions", "receipt", "tags")

    def __init__(
        self,
        message: Message,
        handles: list[int],
        tags: list[int] = NONE,
        attempts: list[int] = NONE,
        bindings: list[Binding] = NONE,
        positions: list[int] = NONE,
        receipt: FrameReceipt | None = None,
    ) -> None:
        self.message = message
        self.handles = handles
        self.tags = tags
        self.attempts = attempts
        self.bindings = bindings
        self.positions = positions
        self.receipt = receipt

    def __repr__(self) -> str:
        return f"Delivery({self.message.id!r}, handles={self.handles}, tags={self.tags}, attempts={self.attempts})"


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
