"""One stored registration, as filters and indexes see it."""

from __future__ import annotations

from typing import Any, Final

from prism.model.identity import Registration, Target
from prism.model.json import Document
from prism.model.pages import RecordPage, TargetPage
from prism.model.time import Micros

NEVER: Final[Micros] = 2**63 - 1
"""Stands for "no expiry" where moments are compared."""
GONE: Final[Micros] = -1
"""The `dies_at` of a record that was removed, so that whoever still holds it sees that it isn't live."""


class Record:
    """A registration with its decoded document.

    It has the attributes of `filters.Record`. The Registration of the last write is kept; a renewal only
    moves `dies_at`, and the Registration that shows the new expiry is made when somebody asks for it.
    `timer_at` is the moment of the record's entry in the expiry heap, NEVER where it has none.
    """

    __slots__ = ("_current", "dies_at", "document", "identity", "timer_at", "written")

    def __init__(self, written: Registration, document: Document, dies_at: Micros) -> None:
        self.identity = written.identity
        self.document = document
        self.dies_at = dies_at
        self.timer_at = NEVER
        self.written = written
        self._current: Registration | None = written

    def rewrite(self, written: Registration, document: Document, dies_at: Micros) -> None:
        """Puts a newer registration of the same identity in place of this one."""
        self.document = document
        self.dies_at = dies_at
        self.written = self._current = written

    def renew(self, dies_at: Micros) -> None:
        """Moves the expiry."""
        self.dies_at = dies_at
        self._current = None

    @property
    def registered_at(self) -> Micros:
        """When it was registered."""
        return self.written.registered_at

    @property
    def updated_at(self) -> Micros:
        """When it was last written; a renewal doesn't count."""
        return self.written.updated_at

    @property
    def expires_at(self) -> Micros | None:
        """When it expires, None for never."""
        return None if self.dies_at == NEVER else self.dies_at

    def registration(self) -> Registration:
        """The registration as it stands."""
        return self._current or self._refresh()

    def target(self) -> Target:
        """What a multicast needs of it."""
        return Target(self.identity, self.written.registration_id, self.written.address)

    def _refresh(self) -> Registration:
        old = self.written
        self.written = self._current = Registration(
            old.identity,
            old.metadata_json,
            old.registration_id,
            old.revision,
            old.registered_at,
            old.updated_at,
            self.expires_at,
            old.address,
            old.owner,
        )
        return self._current


def record_page(records: list[Any]) -> RecordPage:
    """The registrations of many records, in columns."""
    return RecordPage.of([record._current or record._refresh() for record in records])


def target_page(records: list[Any]) -> TargetPage:
    """The targets of many records, in columns."""
    written = [record.written for record in records]
    return TargetPage(
        [one.identity for one in written], [one.registration_id for one in written], [one.address for one in written]
    )
