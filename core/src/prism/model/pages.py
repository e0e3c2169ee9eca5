"""Registrations and targets in columns: a page of thousands makes no object per record.

What a registry yields, what the coordinator groups and filters, and what goes over the wire are such columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from prism.model.identity import Registration, Target

if TYPE_CHECKING:
    from typing import Self

    from prism.model.time import Micros


Item = TypeVar("Item")


def at(column: Sequence[Item], positions: Sequence[int]) -> Sequence[Item]:
    """The items at some positions."""
    if len(positions) < 2:
        return [column[i] for i in positions]
    return itemgetter(*positions)(column)  # type: ignore[no-any-return]


class Page:
    """Records side by side: columns of one length, one row per record, in the order that was asked for.

    Columns are sequences that can be sliced, mostly lists and tuples; nobody changes them. A page without rows is
    false.
    """

    __slots__ = ()

    identities: Sequence[str]

    @property
    def columns(self) -> tuple[Sequence[Any], ...]:
        """All columns, in the order of the fields."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.identities)

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[Any]]) -> Self:
        """A page of rows, each with the fields' values in their order."""
        return cls(*zip(*rows, strict=True)) if rows else cls.empty()

    @classmethod
    def empty(cls) -> Self:
        """A page without rows."""
        return cls(*[()] * len(cls.__slots__))

    @classmethod
    def joined(cls, pages: Iterable[Self]) -> Self:
        """The rows of several pages, one page after the other."""
        filled = [page for page in pages if page]
        if len(filled) == 1:
            return filled[0]
        columns = zip(*[page.columns for page in filled], strict=True)
        return cls(*[list(chain.from_iterable(parts)) for parts in columns]) if filled else cls.empty()

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Row by row, as `of_rows` takes them."""
        return zip(*self.columns, strict=True)

    def part(self, start: int, stop: int | None = None) -> Self:
        """The rows from `start` on and before `stop`."""
        if start == 0 and (stop is None or stop >= len(self)):
            return self
        return type(self)(*[column[start:stop] for column in self.columns])

    def chosen(self, positions: Sequence[int]) -> Self:
        """The rows at these positions, in their order."""
        return type(self)(*[at(column, positions) for column in self.columns])


@dataclass(frozen=True, slots=True)
class TargetPage(Page):
    """The part of registrations that a multicast needs (see Target)."""

    identities: Sequence[str]
    registration_ids: Sequence[str]
    addresses: Sequence[str]

    @classmethod
    def of(cls, targets: Sequence[Target]) -> TargetPage:
        """The columns of targets."""
        return cls(
            [target.identity for target in targets],
            [target.registration_id for target in targets],
            [target.address for target in targets],
        )

    @property
    def columns(self) -> tuple[Sequence[Any], ...]:
        """All columns, in the order of the fields."""
        return self.identities, self.registration_ids, self.addresses

    def targets(self) -> list[Target]:
        """An object for each row."""
        return list(map(Target, *self.columns))


@dataclass(frozen=True, slots=True)
class RecordPage(Page):
    """Registrations; what each column holds is said at Registration."""

    identities: Sequence[str]
    metadata_json: Sequence[bytes]
    registration_ids: Sequence[str]
    revisions: Sequence[int]
    registered_at: Sequence[Micros]
    updated_at: Sequence[Micros]
    expires_at: Sequence[Micros | None]
    addresses: Sequence[str]
    owners: Sequence[str]

    @classmethod
    def of(cls, registrations: Sequence[Registration]) -> RecordPage:
        """The columns of registrations."""
        return cls(
            [r.identity for r in registrations],
            [r.metadata_json for r in registrations],
            [r.registration_id for r in registrations],
            [r.revision for r in registrations],
            [r.registered_at for r in registrations],
            [r.updated_at for r in registrations],
            [r.expires_at for r in registrations],
            [r.address for r in registrations],
            [r.owner for r in registrations],
        )

    @property
    def columns(self) -> tuple[Sequence[Any], ...]:
        """All columns, in the order of the fields."""
        return (
            self.identities,
            self.metadata_json,
            self.registration_ids,
            self.revisions,
            self.registered_at,
            self.updated_at,
            self.expires_at,
            self.addresses,
            self.owners,
        )

    def registrations(self) -> list[Registration]:
        """An object for each row."""
        return list(map(Registration, *self.columns))

    def target_page(self) -> TargetPage:
        """The columns that a multicast needs."""
        return TargetPage(self.identities, self.registration_ids, self.addresses)
