"""The registry slot: identities with metadata and a TTL (RFC: slot 1; set, get, scan, delete, expire)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TypeAlias

from prism.filters.ast import Node, SortKey, Support
from prism.model.identity import Registration, Target
from prism.model.pages import RecordPage as RecordPage  # noqa: PLC0414 - plugins import it from here
from prism.model.pages import TargetPage as TargetPage  # noqa: PLC0414
from prism.model.time import Micros
from prism.slots.context import Backend, Failure


class Keep(Enum):
    """A sentinel for Write.ttl."""

    EXPIRY = "expiry"
    """Leave the expiry as it stands."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Write only where no live registration of the identity exists; else ALREADY_EXISTS."""


@dataclass(frozen=True, slots=True)
class Anything:
    """Write whatever is there. A live registration is replaced by a new one."""


@dataclass(frozen=True, slots=True)
class AtRevision:
    """Change the registration that is at this revision, keeping its `registered_at`.

    CONFLICT where the live registration is at another revision, NOT_FOUND where there is none.
    """

    revision: int


Precondition: TypeAlias = Absent | Anything | AtRevision


@dataclass(frozen=True, slots=True)
class Write:
    """One registration to store.

    `metadata_json` is a JSON object in canonical bytes; it is stored and returned byte for byte. `ttl` is
    microseconds from now by the backend's clock, None for no expiry, `Keep.EXPIRY` (with AtRevision only) to
    leave it as it is.
    """

    identity: str
    metadata_json: bytes
    registration_id: str
    ttl: Micros | Keep | None
    precondition: Precondition
    address: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """The write took effect. `replaced` is the live registration it took the place of, if any
    (also for AtRevision: the registration as it was addressed before)."""

    registration: Registration
    replaced: Target | None = None


class Refusal(StrEnum):
    """Why a precondition, fence or renewal did not hold. Nothing was changed."""

    ALREADY_EXISTS = "already_exists"
    CONFLICT = "conflict"
    NOT_FOUND = "not_found"
    STALE = "stale"
    QUOTA_EXCEEDED = "quota_exceeded"


@dataclass(frozen=True, slots=True)
class Refused:
    """The item was refused; `current` is what stands there instead, where the backend knows it cheaply."""

    reason: Refusal
    current: Registration | None = None


@dataclass(frozen=True, slots=True)
class Fence:
    """A registration to delete; `registration_id` None deletes whichever there is."""

    identity: str
    registration_id: str | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was removed."""

    target: Target


@dataclass(frozen=True, slots=True)
class Renewal:
    """A heartbeat: move the expiry to `ttl` microseconds from now (None: never expire)."""

    identity: str
    registration_id: str | None
    ttl: Micros | None


@dataclass(frozen=True, slots=True)
class Renewed:
    """The new expiry. A renewal changes neither revision nor updated_at."""

    expires_at: Micros | None


SetOutcome: TypeAlias = Stored | Refused | Failure
DeleteOutcome: TypeAlias = Deleted | Refused | Failure
RenewOutcome: TypeAlias = Renewed | Refused | Failure


class Projection(Enum):
    """How much of each record a scan returns."""

    TARGETS = "targets"
    """TargetPage: identity, registration id, address. The backend needs not read the metadata."""
    FULL = "full"
    """RecordPage: all that a Registration holds."""


ScanPage: TypeAlias = TargetPage | RecordPage
"""A page of a scan, by its query's projection."""


@dataclass(frozen=True, slots=True)
class After:
    """Where a scan goes on: past the record with these sort values and this identity, in the query's order."""

    values: tuple[object, ...]
    identity: str


@dataclass(frozen=True, slots=True)
class Query:
    """What the core pushes down. The live records for which all `conjuncts` hold, in order.

    Only conjuncts that `plan` answered EXACT or INEXACT are given. `sort` (ties and default: by identity, in
    code-point order), `after` and `limit` are given only when every conjunct of the filter is EXACT, except
    that `after` with an empty sort is always given. A page has at most `page_size` records.
    """

    conjuncts: tuple[Node, ...] = ()
    sort: tuple[SortKey, ...] = ()
    after: After | None = None
    limit: int | None = None
    page_size: int = 1_000
    projection: Projection = Projection.FULL


class RegistryBackend(Backend):
    """Stores registrations.

    Every list answered is as long as the list asked and in its order, one outcome per item: one bad item
    fails alone. Two items of one batch that name the same identity act in order. The expired are invisible
    to every method at once, whatever is still stored. Cancelling a call leaves each item either done or not.
    """

    @abstractmethod
    async def set(self, writes: Sequence[Write]) -> list[SetOutcome]:
        """Stores registrations, each atomically with its precondition.

        Times, expiry and revision are the backend's: `revision` is greater than any the identity ever had
        (max of the last one + 1 and the clock's microseconds serves). With Anything over a live registration
        and with Absent, `registered_at` is now. With `context.limits.registrations` set, a write that adds
        an identity beyond it is refused with QUOTA_EXCEEDED.
        """

    @abstractmethod
    async def get(self, identities: Sequence[str]) -> list[Registration | None]:
        """The live registrations, None where there is none."""

    @abstractmethod
    def plan(self, conjuncts: Sequence[Node]) -> list[Support]:
        """Says of each conjunct what `scan` would do with it. Pure, synchronous, quick; may be called unopened."""

    @abstractmethod
    def scan(self, query: Query) -> AsyncIterator[ScanPage]:
        """The matching live records in pages of columns, by the query's projection; an empty page is never yielded.

        With Projection.TARGETS each page is a TargetPage, with Projection.FULL a RecordPage. All columns of a page
        have one length; nobody changes them once the page is yielded.

        Memory is bounded by a few pages. Of records that stay matching during the scan, none is skipped or
        repeated; those that come or go meanwhile may or may not be seen. The iterator may be left early.
        """

    @abstractmethod
    async def count(self, conjuncts: Sequence[Node]) -> int:
        """How many live records match. Called with EXACT conjuncts only."""

    @abstractmethod
    async def delete(self, fences: Sequence[Fence]) -> list[DeleteOutcome]:
        """Removes registrations: NOT_FOUND where none is live, STALE where the registration id is another's."""

    @abstractmethod
    async def expire(self, renewals: Sequence[Renewal]) -> list[RenewOutcome]:
        """Renews many in one go: NOT_FOUND or STALE for those that were lost."""

    @abstractmethod
    async def pop_expired(self, limit: int) -> list[Registration]:
        """Removes up to `limit` expired registrations and returns them; of racing callers one gets each."""
