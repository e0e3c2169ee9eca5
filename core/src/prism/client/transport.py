"""What the client's API needs of whatever carries it: a proxy over gRPC, or a coordinator in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from prism.client.identity import Columns, Registered
from prism.client.link import Link
from prism.model.delivery import MulticastResult
from prism.model.errors import PrismError
from prism.model.message import DeadLetter
from prism.model.operations import Beat, EnumerateQuery, Explanation, MulticastCommand, Ttl
from prism.model.time import Micros


@dataclass(frozen=True, slots=True)
class Entry:
    """One identity to register, its metadata as JSON bytes; `ttl` None for the batch's."""

    identity: str
    metadata_json: bytes
    ttl: Ttl | None = None


@dataclass(frozen=True, slots=True)
class ColumnPage:
    """A page of identities as columns, and where the next one begins (None: this was the last)."""

    columns: Columns
    next_cursor: str | None


class Transport(Protocol):
    """As `prism.coordinator.service.Service`, for one namespace and in the client's shapes.

    Every call ends within the client's timeout with an answer or a PrismError.
    """

    @property
    def reached(self) -> bool:
        """Whether anything has ever answered."""

    async def register(self, entry: Entry, *, ttl: Ttl, replace: bool) -> Registered:
        """Stores one identity."""

    async def register_many(
        self, entries: Sequence[Entry], *, ttl: Ttl, replace: bool
    ) -> list[Registered | PrismError]:
        """Stores a batch; one outcome per item."""

    async def get(self, identities: Sequence[str]) -> Columns:
        """Those that are registered, in the order asked."""

    def pages(self, query: EnumerateQuery) -> AsyncGenerator[ColumnPage]:
        """The matching identities. Close it (`aclosing`) when leaving early."""

    async def count(self, filter: object) -> int:  # noqa: A002 - the field's word
        """How many match."""

    async def explain(self, query: EnumerateQuery) -> Explanation:
        """How the query would be run."""

    async def multicast(self, command: MulticastCommand) -> MulticastResult:
        """Sends, and waits for receipts."""

    async def get_multicast(self, message_id: str) -> MulticastResult:
        """What has become of a multicast."""

    async def unregister(self, beats: Sequence[Beat]) -> list[bool | PrismError]:
        """Removes a batch; one outcome per item."""

    async def heartbeat(self, beats: Sequence[Beat], *, ttl: Ttl) -> list[Micros | PrismError | None]:
        """Renews a batch; the new expiry of each (None: never)."""

    async def update(self, identity: str, patch_json: bytes, *, revision: int | None) -> Columns:
        """Applies a merge patch; the identity as it is then, a single row."""

    async def dead_letters(self, identity: str, limit: int) -> Sequence[DeadLetter]:
        """The oldest messages of an identity's queue that were given up."""

    async def replay(self, identity: str, message_ids: Sequence[str]) -> int:
        """Puts dead letters back into their queue; how many there were."""

    def link(self) -> Link:
        """What a new stream goes over."""

    async def close(self) -> None:
        """Releases everything. Idempotent."""
