"""Identities as an application sees them: light views of columns, so that reading 100,000 is cheap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import TYPE_CHECKING, Any, overload

from prism.model import json
from prism.model.time import Micros, to_datetime

if TYPE_CHECKING:
    from prism.model.pages import RecordPage


@dataclass(frozen=True, slots=True)
class Columns:
    """Identities side by side, as they cross the wire. All columns have one length, except `metadata_json`, which is
    empty where the metadata wasn't asked for. `expires_at` 0 is never."""

    identities: Sequence[str]
    metadata_json: Sequence[bytes]
    registered_at: Sequence[Micros]
    updated_at: Sequence[Micros]
    expires_at: Sequence[Micros]
    revisions: Sequence[int]
    attached: Sequence[bool]

    @classmethod
    def of(cls, records: RecordPage, *, metadata: bool = True) -> Columns:
        """The columns that an application sees of registrations."""
        return cls(
            records.identities,
            records.metadata_json if metadata else [],
            records.registered_at,
            records.updated_at,
            [moment or 0 for moment in records.expires_at],
            records.revisions,
            list(map(bool, records.addresses)),
        )

    def __len__(self) -> int:
        return len(self.identities)


class Identity:
    """One registered identity at the moment it was read.

    A view of the page it came with, which it keeps alive. Equal to another one of the same name and revision.
    """

    __slots__ = ("_columns", "_index", "_metadata")

    def __init__(self, columns: Columns, index: int) -> None:
        self._columns = columns
        self._index = index
        self._metadata: dict[str, Any] | None = None

    @property
    def identity(self) -> str:
        """Its name, unique within the namespace."""
        return self._columns.identities[self._index]

    @property
    def metadata(self) -> dict[str, Any]:
        """Its metadata, decoded at the first access: a dictionary of this object's own.

        Raises:
            LookupError: it was read with `include_metadata=False`.
        """
        document = self._metadata
        if document is None:
            self._metadata = document = json.decode(self.metadata_json)
        return document

    @property
    def metadata_json(self) -> bytes:
        """Its metadata as JSON, not decoded. Raises LookupError as `metadata` does."""
        if not self._columns.metadata_json:
            raise LookupError(f"the metadata of {self.identity!r} was not read: include_metadata was False")
        return self._columns.metadata_json[self._index]

    @property
    def registered_at(self) -> datetime:
        """When it was registered, UTC, by the backend's clock."""
        return to_datetime(self._columns.registered_at[self._index])

    @property
    def updated_at(self) -> datetime:
        """When it was last written, UTC."""
        return to_datetime(self._columns.updated_at[self._index])

    @property
    def expires_at(self) -> datetime | None:
        """When it expires unless renewed, UTC; None for never."""
        moment = self._columns.expires_at[self._index]
        return to_datetime(moment) if moment else None

    @property
    def revision(self) -> int:
        """Rises with every write; what `update(revision=...)` takes."""
        return self._columns.revisions[self._index]

    @property
    def attached(self) -> bool:
        """Whether a session held it: from when it is attached until it is let go or, its stream lost, it expires.

        It doesn't say that the stream was live at that moment.
        """
        return self._columns.attached[self._index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Identity):
            return NotImplemented
        return self.identity == other.identity and self.revision == other.revision

    def __hash__(self) -> int:
        return hash((self.identity, self.revision))

    def __repr__(self) -> str:
        shown = f", metadata={self.metadata!r}" if self._columns.metadata_json else ""
        return f"Identity({self.identity!r}{shown}, revision={self.revision})"


def views(columns: Columns) -> list[Identity]:
    """The identities of the columns."""
    return list(map(Identity, repeat(columns), range(len(columns))))


class IdentityPage(Sequence[Identity]):
    """Some identities in order, and where the next page begins (None: this was the last)."""

    __slots__ = ("identities", "next_cursor")

    def __init__(self, identities: list[Identity], next_cursor: str | None) -> None:
        self.identities = identities
        self.next_cursor = next_cursor

    def __len__(self) -> int:
        return len(self.identities)

    @overload
    def __getitem__(self, index: int) -> Identity: ...
    @overload
    def __getitem__(self, index: slice) -> list[Identity]: ...
    def __getitem__(self, index: int | slice) -> Identity | list[Identity]:
        return self.identities[index]

    def __iter__(self) -> Iterator[Identity]:
        return iter(self.identities)

    def __repr__(self) -> str:
        return f"IdentityPage({len(self)} identities, next_cursor={self.next_cursor!r})"


@dataclass(frozen=True, slots=True)
class Registered:
    """What `register` did. `registration_id` is the fencing token of this registration; times are UTC."""

    identity: str
    registration_id: str
    revision: int
    registered_at: datetime
    expires_at: datetime | None

    @classmethod
    def at(
        cls, identity: str, registration_id: str, revision: int, registered_at: Micros, expires_at: Micros | None
    ) -> Registered:
        """The same from microseconds; `expires_at` 0 or None is never."""
        expires = to_datetime(expires_at) if expires_at else None
        return cls(identity, registration_id, revision, to_datetime(registered_at), expires)
