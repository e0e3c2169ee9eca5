"""A message that was given up, as an application sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from prism.model.message import decode_content
from prism.model.time import to_datetime

if TYPE_CHECKING:
    from prism.model.message import DeadLetter as Stored


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that an identity was handed too often without acknowledging it. `replay` takes its `id`.

    Times are UTC: `sent_at` by the sending proxy's clock, `died_at` by the backend's. `attempts` is how often it was
    handed out, `reason` why it was given up, for people.
    """

    identity: str
    id: str
    payload: bytes
    content_type: str
    sent_at: datetime
    attempts: int
    died_at: datetime
    reason: str

    @classmethod
    def of(cls, stored: Stored) -> Self:
        """The same from what a queue holds."""
        message = stored.message
        return cls(
            identity=stored.queue,
            id=message.id,
            payload=message.payload,
            content_type=message.content_type,
            sent_at=to_datetime(message.sent_at),
            attempts=stored.attempts,
            died_at=to_datetime(stored.died_at),
            reason=stored.reason,
        )

    @property
    def content(self) -> Any:
        """What was sent, decoded by its content type: JSON, text, or bytes.

        Raises:
            ValueError: the payload isn't what its content type says.
        """
        return decode_content(self.payload, self.content_type)
