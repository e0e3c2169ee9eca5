"""What became of a multicast, identity by identity (design: delivery, told truthfully)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import overload


class Status(IntEnum):
    """The numbers are the wire's. UNSPECIFIED is 0, so that an unset status is never DELIVERED.

    As text it is its name; with `int()`, in JSON and in an f-string with `:d` it is the number.
    """

    UNSPECIFIED = 0
    DELIVERED = 1
    PENDING = 2
    FAILED = 3
    TIMEOUT = 4

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return format(int(self) if spec.endswith("d") else self.name, spec)


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """One identity's status; `error` is the reason, None when delivered."""

    identity: str
    status: Status
    error: str | None = None


@dataclass(slots=True)
class Statuses(Sequence[DeliveryStatus]):
    """Delivery statuses, held as columns: a multicast to 100,000 costs no 100,000 objects until they are read.

    `codes[i]` is the Status of `identities[i]`; `reasons[reason_index[i] - 1]` its reason, 0 for none.
    """

    identities: list[str] = field(default_factory=list)
    codes: bytearray = field(default_factory=bytearray)
    reason_index: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.identities)

    @overload
    def __getitem__(self, index: int) -> DeliveryStatus: ...
    @overload
    def __getitem__(self, index: slice) -> list[DeliveryStatus]: ...
    def __getitem__(self, index: int | slice) -> DeliveryStatus | list[DeliveryStatus]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        reason = self.reason_index[index]
        error = self.reasons[reason - 1] if reason else None
        return DeliveryStatus(self.identities[index], Status(self.codes[index]), error)

    def __iter__(self) -> Iterator[DeliveryStatus]:
        for i in range(len(self)):
            yield self[i]

    def count(self, value: object) -> int:
        """How many have the given Status (or equal the given DeliveryStatus)."""
        if isinstance(value, Status):
            return self.codes.count(value)
        return sum(1 for status in self if status == value)


@dataclass(frozen=True, slots=True)
class MulticastResult:
    """What a multicast reports. The four counts always add up to `target_count`.

    `statuses` has one entry per target, except where there were more than the namespace's
    `reported_statuses`: then `statuses_truncated` is true and only the counts are complete.
    """

    message_id: str
    target_count: int
    delivered_count: int
    pending_count: int
    failed_count: int
    timeout_count: int
    statuses: Statuses
    statuses_truncated: bool = False
