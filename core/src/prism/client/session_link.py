"""A session of this process's hub, as a link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from prism.client.link import StreamEvent
from prism.model.errors import PrismError, Unavailable
from prism.model.operations import AttachItem
from prism.model.time import Micros
from prism.sessions.events import Refused, SessionEvent

if TYPE_CHECKING:
    from prism.sessions.hub import Hub
    from prism.sessions.session import Session


class SessionLink:
    """See `prism.client.link.Link` for its methods."""

    def __init__(self, hub: Hub, namespace: str) -> None:
        self._hub = hub
        self._namespace = namespace
        self._session: Session | None = None

    async def open(self) -> None:
        """Opens the session."""
        self._session = await self._hub.open(self._namespace)

    async def attach(self, items: Sequence[AttachItem]) -> Sequence[StreamEvent]:
        """Outcomes come by `receive`, unless the items are refused as a whole."""
        try:
            await self._open_session().attach(items)
        except PrismError as error:
            return [Refused(item.identity, error) for item in items]
        return ()

    async def detach(self, identities: Sequence[str], *, keep: bool) -> None:
        """See Link."""
        await self._open_session().detach(identities, keep=keep)

    async def settle(self, acks: Sequence[int], nacks: Sequence[tuple[int, Micros]]) -> None:
        """See Link."""
        session = self._open_session()
        session.ack(acks)
        for tag, delay in nacks:
            session.nack((tag,), delay)

    async def touch(self) -> None:
        """See Link."""
        self._open_session().touch()

    async def receive(self) -> Sequence[StreamEvent]:
        """See Link."""
        return await self._open_session().take()

    def handed_over(self, events: Sequence[StreamEvent]) -> None:
        """See Link."""
        self._open_session().handed_over(cast("Sequence[SessionEvent]", events))

    def leave(self) -> None:
        """There is no other proxy."""

    async def close(self) -> None:
        """See Link."""
        if self._session is not None:
            self._session.close()

    def _open_session(self) -> Session:
        if self._session is None:
            raise Unavailable("the session is not open")
        return self._session
