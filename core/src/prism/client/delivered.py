"""A delivery as it came over the wire: content and recipients in one light object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from prism.model.time import Micros


class Sent(Protocol):
    """What a message was sent as; `prism.model.message.Message` is one."""

    @property
    def id(self) -> str:
        """The same for every copy and every attempt."""

    @property
    def payload(self) -> bytes:
        """Its bytes."""

    @property
    def content_type(self) -> str:
        """Its MIME type."""

    @property
    def sent_at(self) -> Micros:
        """By the sending proxy's clock."""


class Delivered:
    """A message for one or many handles of a stream; like `prism.sessions.events.Delivery`, but quick to make."""

    __slots__ = ("attempts", "content_type", "handles", "id", "payload", "sent_at", "tags")

    def __init__(
        self,
        id: str,  # noqa: A002 - the field's word
        payload: bytes,
        content_type: str,
        sent_at: Micros,
        handles: Sequence[int],
        tags: Sequence[int],
        attempts: Sequence[int],
    ) -> None:
        self.id = id
        self.payload = payload
        self.content_type = content_type
        self.sent_at = sent_at
        self.handles = handles
        self.tags = tags
        self.attempts = attempts

    @property
    def message(self) -> Sent:
        """The message: this very object."""
        return self
