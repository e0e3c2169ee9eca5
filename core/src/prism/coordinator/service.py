"""The one interface of Prism's operations: the coordinator has it, and so has the client of a remote proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from prism.model.delivery import MulticastResult
from prism.model.errors import PrismError
from prism.model.identity import Registration
from prism.model.message import DeadLetter
from prism.model.operations import Beat, EnumerateQuery, Explanation, MulticastCommand, NewIdentity, Page, Ttl
from prism.model.time import Micros


class Service(Protocol):
    """Batch in, list of the same length and order out: one bad item fails alone, as a PrismError in its place.

    What is wrong with the call as a whole is raised.
    """

    async def register(
        self, namespace: str, items: Sequence[NewIdentity], *, ttl: Ttl, replace: bool
    ) -> list[Registration | PrismError]:
        """Stores identities; the registrations as stored."""

    async def get(self, namespace: str, identities: Sequence[str]) -> list[Registration | None]:
        """The registrations, None where there is none."""

    async def update(
        self, namespace: str, identity: str, patch: Mapping[str, Any], *, revision: int | None
    ) -> Registration:
        """Applies a JSON merge patch to the metadata; NotFound, RevisionConflict."""

    async def heartbeat(self, namespace: str, beats: Sequence[Beat], *, ttl: Ttl) -> list[Micros | PrismError | None]:
        """Renews; the new expiry of each (None: never)."""

    async def unregister(self, namespace: str, beats: Sequence[Beat]) -> list[bool | PrismError]:
        """Removes; whether each was there."""

    def enumerate(self, namespace: str, query: EnumerateQuery) -> AsyncIterator[Page]:
        """The matching registrations, page by page."""

    async def count(self, namespace: str, filter: Any) -> int:  # noqa: A002 - the field's word
        """How many match."""

    async def explain(self, namespace: str, query: EnumerateQuery) -> Explanation:
        """How the query would be run."""

    async def multicast(self, namespace: str, command: MulticastCommand) -> MulticastResult:
        """Sends to all that match, and waits for receipts as long as the command says."""

    async def get_multicast(self, namespace: str, message_id: str) -> MulticastResult:
        """What has become of a multicast by now; NotFound when it isn't kept any more."""

    async def dead_letters(self, namespace: str, identity: str, limit: int) -> list[DeadLetter]:
        """The oldest messages of an identity's queue that were given up; NotFound, Unsupported without queues."""

    async def replay(self, namespace: str, identity: str, message_ids: Sequence[str]) -> int:
        """Puts dead letters back at the end of their queue; how many there were. Errors as for `dead_letters`."""
