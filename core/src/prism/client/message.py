"""Messages as they are received."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prism.client.ttl import to_wait
from prism.model import json
from prism.model.message import decode_content
from prism.model.time import to_datetime

if TYPE_CHECKING:
    from prism.client.delivered import Sent
    from prism.client.stream import Stream
    from prism.client.ttl import Seconds

_UNREAD = object()


class Arrival:
    """One message for one identity or many, as it came off the stream. `tags` and `attempts` are empty at-most-once."""

    __slots__ = ("attempts", "identities", "message", "stream", "tags")

    def __init__(
        self, stream: Stream, message: Sent, identities: list[str], tags: Sequence[int], attempts: Sequence[int]
    ) -> None:
        self.stream = stream
        self.message = message
        self.identities = identities
        self.tags = tags
        self.attempts = attempts

    def messages(self, gaps: set[str]) -> Iterable[Message]:
        """A message per identity; those in `gaps` are marked, and taken out of it."""
        if gaps or self.tags:
            return self._special(gaps)
        return [Message(self, identity, 0, 1, False) for identity in self.identities]

    def _special(self, gaps: set[str]) -> Iterator[Message]:
        if not self.tags:
            for identity in self.identities:
                yield Message(self, identity, 0, 1, bool(gaps) and _took(gaps, identity))
            return
        attempts = self.attempts or [1] * len(self.tags)
        for identity, tag, attempt in zip(self.identities, self.tags, attempts, strict=True):
            yield Message(self, identity, tag, attempt, bool(gaps) and _took(gaps, identity))


def _took(gaps: set[str], identity: str) -> bool:
    if identity in gaps:
        gaps.remove(identity)
        return True
    return False


class Message:
    """A message that an attached identity received.

    At-least-once messages are to be acknowledged with `ack`, or given back with `nack`; on at-most-once messages
    both do nothing. `id` is the same for every copy and every attempt: remove duplicates by it.
    """

    __slots__ = ("_arrival", "_content", "_tag", "attempt", "gap_before", "identity")

    def __init__(self, arrival: Arrival, identity: str, tag: int, attempt: int, gap_before: bool) -> None:
        self._arrival = arrival
        self._tag = tag
        self._content: Any = _UNREAD
        self.identity = identity
        """Whom it is for."""
        self.attempt = attempt
        """Which attempt this is, from 1."""
        self.gap_before = gap_before
        """Whether messages to this identity were (or may have been) lost before this one."""

    @property
    def id(self) -> str:
        """The message's id."""
        return self._arrival.message.id

    @property
    def payload(self) -> bytes:
        """Its bytes."""
        return self._arrival.message.payload

    @property
    def content_type(self) -> str:
        """Its MIME type."""
        return self._arrival.message.content_type

    @property
    def sent_at(self) -> datetime:
        """When it was sent, UTC, by the sending proxy's clock."""
        return to_datetime(self._arrival.message.sent_at)

    @property
    def redelivered(self) -> bool:
        """Whether it was handed to this identity before."""
        return self.attempt > 1

    @property
    def content(self) -> Any:
        """What was sent, decoded by its content type at the first access: JSON, text, or bytes.

        Raises:
            ValueError: the payload isn't what its content type says.
        """
        if self._content is _UNREAD:
            self._content = decode_content(self.payload, self.content_type)
        return self._content

    def json(self) -> Any:
        """The payload decoded as JSON, afresh. Raises ValueError where it isn't JSON."""
        return json.decode(self.payload)

    @property
    def text(self) -> str:
        """The payload decoded as UTF-8. Raises UnicodeDecodeError where it isn't."""
        return self.payload.decode()

    async def ack(self) -> None:
        """Says that the message is done with. Returns at once; acks travel in batches.

        An ack that is lost with its stream brings the message again, as a further attempt.
        """
        self.settle()

    async def nack(self, delay: Seconds = 0) -> None:
        """Gives the message back, to be delivered again after `delay` seconds."""
        self.settle(to_wait(delay, "delay"))

    def settle(self, delay: int | None = None) -> None:
        """What `ack` (without a delay) and `nack` (with one, in microseconds) do, without awaiting.

        Call it in the inbox's event loop.
        """
        if not self._tag:
            return
        tag, self._tag = self._tag, 0
        if delay is None:
            self._arrival.stream.ack(tag)
        else:
            self._arrival.stream.nack(tag, delay)

    def __repr__(self) -> str:
        return f"Message({self.id!r} for {self.identity!r}, {self.content_type}, {len(self.payload)} bytes)"
