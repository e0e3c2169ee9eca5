"""The inbox and its messages, blocking."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from prism.client.inbox import Inbox as AsyncInbox
    from prism.client.message import Message as AsyncMessage
    from prism.client.ttl import Seconds
    from prism.model.errors import PrismError
    from prism.sync.thread import LoopThread

FETCHED = 100
"""Messages brought over from the client's thread at a time."""


class Inbox:
    """See `prism.Inbox`. A context manager and a blocking iterator."""

    def __init__(self, inbox: AsyncInbox, thread: LoopThread) -> None:
        self._inbox = inbox
        self._thread = thread
        self._fetched: deque[AsyncMessage] = deque()

    def __enter__(self) -> Self:
        self._thread.run(self._inbox.open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, *, keep: bool | None = None) -> None:
        """Lets all identities go; see `prism.Inbox.aclose`."""
        self._thread.run(self._inbox.aclose(keep=keep))

    def __iter__(self) -> Iterator[Message]:
        return self.messages()

    def messages(self, timeout: Seconds | None = None) -> Iterator[Message]:
        """The messages as they come; ends when none came for that long (None: never)."""
        while True:
            try:
                yield self.receive(timeout)
            except (TimeoutError, EOFError):
                return

    def receive(self, timeout: Seconds | None = None) -> Message:
        """The next message. Raises TimeoutError when none comes in time, EOFError once it is closed."""
        while True:
            try:
                return Message(self._fetched.popleft(), self._thread)
            except IndexError:
                self._fetched.extend(self._thread.run(self._inbox.receive_many(FETCHED, timeout)))

    @property
    def identities(self) -> tuple[str, ...]:
        """The identities that it carries."""
        return self._inbox.identities

    @property
    def refused(self) -> dict[str, PrismError]:
        """With `partial`: the identities that could not be attached, and why."""
        return self._inbox.refused

    def registration_id(self, identity: str) -> str:
        """The fencing token of an attached identity's registration. Raises NotFound where it isn't attached here."""
        return self._inbox.registration_id(identity)

    def add(
        self, identity: str, metadata: Mapping[str, Any] | bytes | None = None, *, ttl: Seconds | None = None
    ) -> None:
        """Attaches one more identity on the same stream."""
        self._thread.run(self._inbox.add(identity, metadata, ttl=ttl))

    def remove(self, identity: str, *, keep: bool = False) -> None:
        """Lets one identity go."""
        self._thread.run(self._inbox.remove(identity, keep=keep))


class Message:
    """See `prism.Message`; `ack` and `nack` are plain functions."""

    __slots__ = ("_message", "_thread")

    def __init__(self, message: AsyncMessage, thread: LoopThread) -> None:
        self._message = message
        self._thread = thread

    @property
    def id(self) -> str:
        """The message's id, the same for every copy and every attempt."""
        return self._message.id

    @property
    def identity(self) -> str:
        """Whom it is for."""
        return self._message.identity

    @property
    def payload(self) -> bytes:
        """Its bytes."""
        return self._message.payload

    @property
    def content_type(self) -> str:
        """Its MIME type."""
        return self._message.content_type

    @property
    def content(self) -> Any:
        """What was sent, decoded by its content type."""
        return self._message.content

    @property
    def text(self) -> str:
        """The payload decoded as UTF-8."""
        return self._message.text

    @property
    def sent_at(self) -> datetime:
        """When it was sent, UTC."""
        return self._message.sent_at

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._message.attempt

    @property
    def redelivered(self) -> bool:
        """Whether it was handed to this identity before."""
        return self._message.redelivered

    @property
    def gap_before(self) -> bool:
        """Whether messages to this identity were (or may have been) lost before this one."""
        return self._message.gap_before

    def json(self) -> Any:
        """The payload decoded as JSON, afresh."""
        return self._message.json()

    def ack(self) -> None:
        """Says that the message is done with; does nothing at-most-once."""
        self._thread.soon(self._message.settle)

    def nack(self, delay: Seconds = 0) -> None:
        """Gives the message back, to be delivered again after `delay` seconds."""
        self._thread.run(self._message.nack(delay))

    def __repr__(self) -> str:
        return repr(self._message)
