"""What a filter is evaluated on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from prism.model.json import Document
from prism.model.time import Micros


class RecordLike(Protocol):
    """Anything with a record's attributes; the evaluators ask for no more."""

    @property
    def identity(self) -> str:
        """The identity's name."""

    @property
    def document(self) -> Document:
        """The decoded metadata."""

    @property
    def registered_at(self) -> Micros:
        """When it was registered."""

    @property
    def updated_at(self) -> Micros:
        """When it was last written."""

    @property
    def expires_at(self) -> Micros | None:
        """When it expires, None for never."""


@dataclass(frozen=True, slots=True)
class Record:
    """One registration as filters and sort orders see it. `document` is the decoded metadata."""

    identity: str
    document: Document
    registered_at: Micros = 0
    updated_at: Micros = 0
    expires_at: Micros | None = None
