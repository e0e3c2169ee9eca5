"""The operations, blocking."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast, overload

from prism.client.inbox import DEFAULT_PREFETCH
from prism.sync.inbox import Inbox

if TYPE_CHECKING:
    from prism.client.arguments import AttachWhat, Beats
    from prism.client.batching import Items
    from prism.client.dead_letter import DeadLetter
    from prism.client.identity import Identity, IdentityPage, Registered
    from prism.client.inbox import Inbox as AsyncInbox
    from prism.client.notices import OnEvent
    from prism.client.registry import Registry as AsyncRegistry
    from prism.client.ttl import Seconds
    from prism.filters.parse import Source
    from prism.model.delivery import MulticastResult
    from prism.model.errors import PrismError
    from prism.model.message import Content, DeliverySemantics
    from prism.model.operations import Explanation
    from prism.sync.thread import LoopThread


class Registry:
    """See `prism.client.registry.Registry`, whose methods these are, blocking."""

    def __init__(self, registry: AsyncRegistry, thread: LoopThread) -> None:
        self._registry = registry
        self._run = thread.run
        self._thread = thread

    def register(
        self,
        identity: str,
        metadata: Mapping[str, Any] | bytes | None = None,
        *,
        ttl: Seconds | None = None,
        replace: bool = False,
    ) -> Registered:
        """Stores an identity with its metadata."""
        return self._run(self._registry.register(identity, metadata, ttl=ttl, replace=replace))

    def register_many(
        self,
        items: Items,
        *,
        ttl: Seconds | Mapping[str, Seconds | None] | None = None,
        replace: bool = False,
        raise_on_error: bool = False,
    ) -> list[Registered | PrismError]:
        """Stores many identities; each succeeds or fails alone."""
        work = self._registry.register_many(items, ttl=ttl, replace=replace, raise_on_error=raise_on_error)
        return self._run(work)

    def get(self, identity: str) -> Identity:
        """Reads one identity. Raises NotFound."""
        return self._run(self._registry.get(identity))

    def get_many(self, identities: Iterable[str]) -> list[Identity]:
        """Reads identities by name; those that aren't registered are left out."""
        return self._run(self._registry.get_many(identities))

    def enumerate(
        self,
        filter: Source = None,  # noqa: A002 - the RFC's word
        *,
        sort_by: Sequence[str] | str = (),
        limit: int | None = None,
        offset: int = 0,
        cursor: str | None = None,
        include_metadata: bool = True,
    ) -> list[Identity]:
        """The identities that match."""
        enumeration = self._registry.enumerate(
            filter, sort_by=sort_by, limit=limit, offset=offset, cursor=cursor, include_metadata=include_metadata
        )

        async def whole() -> list[Identity]:
            return await enumeration

        return self._run(whole())

    def pages(
        self,
        filter: Source = None,  # noqa: A002 - the RFC's word
        *,
        size: int = 1_000,
        sort_by: Sequence[str] | str = (),
        limit: int | None = None,
        offset: int = 0,
        cursor: str | None = None,
        include_metadata: bool = True,
    ) -> Iterator[IdentityPage]:
        """The identities that match, page by page; what `enumerate(...).pages(size)` is in the async client."""
        enumeration = self._registry.enumerate(
            filter, sort_by=sort_by, limit=limit, offset=offset, cursor=cursor, include_metadata=include_metadata
        )
        pages = enumeration.pages(size)
        try:
            while (page := self._run(_next(pages))) is not None:
                yield page
        finally:
            self._run(pages.aclose())

    def count(self, filter: Source = None) -> int:  # noqa: A002 - the RFC's word
        """How many identities match now."""
        return self._run(self._registry.count(filter))

    def explain(self, filter: Source = None, *, sort_by: Sequence[str] | str = ()) -> Explanation:  # noqa: A002
        """How an enumeration would be run."""
        return self._run(self._registry.explain(filter, sort_by=sort_by))

    def multicast(
        self,
        filter: Source = None,  # noqa: A002 - the RFC's word
        message: Content | None = None,
        *,
        content_type: str | None = None,
        delivery: DeliverySemantics | str | None = None,
        timeout: Seconds | None = None,
        message_id: str | None = None,
        message_ttl: Seconds | None = None,
    ) -> MulticastResult:
        """Sends a message to every identity that matches."""
        work = self._registry.multicast(
            filter,
            message,
            content_type=content_type,
            delivery=delivery,
            timeout=timeout,
            message_id=message_id,
            message_ttl=message_ttl,
        )
        return self._run(work)

    def get_multicast(self, message_id: str) -> MulticastResult:
        """What has become of a multicast by now."""
        return self._run(self._registry.get_multicast(message_id))

    def dead_letters(self, identity: str, limit: int = 100) -> list[DeadLetter]:
        """The messages of an identity that were given up."""
        return self._run(self._registry.dead_letters(identity, limit))

    def replay(self, identity: str, message_ids: Iterable[str]) -> int:
        """Puts dead letters back into the identity's queue; how many."""
        return self._run(self._registry.replay(identity, message_ids))

    def unregister(self, identity: str, registration_id: str | None = None) -> bool:
        """Removes an identity; whether it was registered."""
        return self._run(self._registry.unregister(identity, registration_id))

    def unregister_many(self, identities: Beats) -> list[bool | PrismError]:
        """Removes many."""
        return self._run(self._registry.unregister_many(identities))

    @overload
    def heartbeat(  # type: ignore[overload-overlap]  # a string is an iterable of strings, too
        self, identity: str, ttl: Seconds | None = None, *, registration_id: str | None = None
    ) -> datetime | None: ...
    @overload
    def heartbeat(self, identity: Beats, ttl: Seconds | None = None) -> list[datetime | PrismError | None]: ...
    def heartbeat(
        self, identity: str | Beats, ttl: Seconds | None = None, *, registration_id: str | None = None
    ) -> datetime | list[datetime | PrismError | None] | None:
        """Renews the TTL of an identity, or of many."""
        work: Any = self._registry.heartbeat(cast("str", identity), ttl, registration_id=registration_id)
        return cast("datetime | list[datetime | PrismError | None] | None", self._run(work))

    def update(self, identity: str, patch: Mapping[str, Any] | bytes, *, revision: int | None = None) -> Identity:
        """Changes metadata by a JSON merge patch."""
        return self._run(self._registry.update(identity, patch, revision=revision))

    def attach(
        self,
        identity: AttachWhat,
        metadata: Mapping[str, Any] | bytes | None = None,
        *,
        ttl: Seconds | None = None,
        keep: bool = False,
        only_if_absent: bool = False,
        partial: bool = False,
        on_event: OnEvent | None = None,
        prefetch: int = DEFAULT_PREFETCH,
    ) -> Inbox:
        """Registers identities and receives what is multicast to them. `on_event` is called in the client's thread."""

        async def make() -> AsyncInbox:
            return self._registry.attach(
                identity,
                metadata,
                ttl=ttl,
                keep=keep,
                only_if_absent=only_if_absent,
                partial=partial,
                on_event=on_event,
                prefetch=prefetch,
            )

        return Inbox(self._run(make()), self._thread)


async def _next(pages: AsyncIterator[IdentityPage]) -> IdentityPage | None:
    return await anext(pages, None)
