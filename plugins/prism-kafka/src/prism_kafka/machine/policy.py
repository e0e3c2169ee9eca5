"""How the queues of a namespace behave. It stands in the log, so that every proxy applies the same."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Final, Self

from prism.model.time import SECOND, Micros
from prism.slots.context import QueuePolicy

_USUAL: Final = QueuePolicy()


@dataclass(frozen=True, slots=True)
class Policy:
    """Counts, and `retention` in microseconds: how long a message or a dead letter is kept at most.

    `partitions` is how many the queues are spread over; 0 where it wasn't noted.
    """

    max_messages: int = _USUAL.max_messages
    max_attempts: int = _USUAL.max_attempts
    max_dead_letters: int = _USUAL.max_dead_letters
    retention: Micros = 7 * 24 * 3600 * SECOND
    partitions: int = 0

    @classmethod
    def of(cls, queues: QueuePolicy, retention: Micros, partitions: int) -> Self:
        """What a namespace is configured with."""
        return cls(queues.max_messages, queues.max_attempts, queues.max_dead_letters, retention, partitions)

    def row(self) -> list[int]:
        """As it is written down."""
        return list(astuple(self))
