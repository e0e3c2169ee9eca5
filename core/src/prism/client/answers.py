"""What a stream says, and what follows from it for the identities of an inbox."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from prism.client.buffer import Buffer, GapMark
from prism.client.delivered import Delivered
from prism.client.events import Draining, Lost, MessageGap
from prism.client.link import StreamEvent
from prism.client.message import Arrival
from prism.client.moving import move
from prism.client.stream import Stream
from prism.model.errors import (
    BY_REASON,
    DeadlineExceeded,
    Expired,
    InternalError,
    PrismError,
    QuotaExceeded,
    SessionLost,
    Superseded,
    Unregistered,
)
from prism.model.operations import Attachment
from prism.model.time import SECOND
from prism.sessions import events as session_events

if TYPE_CHECKING:
    from prism.client.absence import Absence
    from prism.client.attachments import Attachments
    from prism.client.wanted import Wanted

_LOST: dict[type[PrismError], str] = {
    Superseded: "{!r} was taken over by a newer session or registration",
    Expired: "the registration of {!r} expired, and its metadata isn't known here to register it again",
    Unregistered: "{!r} was unregistered",
    SessionLost: "{!r} was taken away",
}


class Answers:
    """Handles the events of all streams of an inbox."""

    def __init__(self, owner: Attachments, buffer: Buffer, absence: Absence) -> None:
        self._owner = owner
        self._buffer = buffer
        self._absence = absence

    def handle(self, stream: Stream, events: Sequence[StreamEvent]) -> None:
        """Acts on what a stream brought, in order."""
        for event in events:
            if isinstance(event, (Delivered, session_events.Delivery)):
                self._on_delivery(stream, event)
            else:
                self._on_control(stream, event)

    def _on_delivery(self, stream: Stream, event: Delivered | session_events.Delivery) -> None:
        handles = stream.handles
        try:
            identities = [handles[handle] for handle in event.handles]
        except KeyError as error:
            raise InternalError(f"the proxy delivered to handle {error}, which stands for nobody") from error
        self._buffer.put(Arrival(stream, event.message, identities, event.tags, event.attempts))

    def _on_control(self, stream: Stream, event: StreamEvent) -> None:
        match event:
            case Attachment():
                self._on_attached(stream, event)
            case session_events.Refused():
                self._on_refused(stream, event.identity, event.error)
            case session_events.Detached():
                if stream.handles.get(event.handle) == event.identity:
                    stream.release(event.handle)
                waiter = self._owner.leaving.get(event.identity)
                if waiter is not None and not waiter.done():
                    waiter.set_result(True)
            case session_events.Lost():
                self._on_lost(stream, event)
            case session_events.MessageGap():
                identity = stream.handles.get(event.handle)
                if identity is not None:
                    self._buffer.mark(GapMark(identity, stream, event.tag))
                    self._owner.tell(MessageGap(identity, event.dropped, event.reason))
            case session_events.Draining():
                self._owner.tell(Draining(event.grace / SECOND))
                if stream is self._owner.stream and self._owner.next is None:
                    self._owner.spawn(partial(move, self._owner, stream, event.grace / SECOND))

    def _on_attached(self, stream: Stream, event: Attachment) -> None:
        stream.handles[event.handle] = event.identity
        stream.answer(event.identity)
        one = self._owner.wanted.get(event.identity)
        if one is None or one.stream is not stream:
            return
        one.attached = True
        one.unsure = False
        one.previous = None
        one.registration_id = event.registration_id
        one.expires_at = event.expires_at
        self._owner.attached(one)
        if one.missed:
            one.missed = False
            self._buffer.mark(GapMark(one.identity))
        one.settle()
        self._absence.ended(one.identity, self._owner.wanted)

    def _on_refused(self, stream: Stream, identity: str, error: PrismError) -> None:
        stream.answer(identity)
        one = self._owner.wanted.get(identity)
        if one is None or one.stream is not stream or self._owner.closing:
            return
        if one.waiter is not None:
            del self._owner.wanted[identity]
            one.settle(error)
        elif isinstance(error, Superseded) and one.unsure:
            self._ask_anew(one, stream)
        elif error.retryable or isinstance(error, (QuotaExceeded, DeadlineExceeded)):
            # After a deadline it may have been registered all the same, under an id that nobody told us.
            one.unsure = one.unsure or isinstance(error, DeadlineExceeded)
            one.stream = None
            self._owner.ask_later(one)
        else:
            self._drop(one, error)

    def _on_lost(self, stream: Stream, event: session_events.Lost) -> None:
        stream.release(event.handle)
        one = self._owner.wanted.get(event.identity)
        if one is None or self._owner.closing:
            return
        if one.previous is stream:
            one.previous = None
        elif one.stream is not stream:
            return
        elif event.reason == Superseded.reason and one.unsure:
            self._ask_anew(one, stream)
        elif event.reason == Expired.reason and one.metadata is not None:
            one.missed = True
            one.attached = False
            self._absence.began((one.identity,))
            self._owner.ask(stream, (one,))
        else:
            kind = BY_REASON.get(event.reason, SessionLost)
            kind = kind if kind in _LOST else SessionLost
            self._drop(one, kind(_LOST[kind].format(event.identity), details={"identity": event.identity}))

    def _ask_anew(self, one: Wanted, stream: Stream) -> None:
        """What overtook us may be ourselves, on a stream that broke before it answered: the newer session wins."""
        one.unsure = False
        one.registration_id = ""
        one.missed = True
        self._owner.ask(stream, (one,))

    def _drop(self, one: Wanted, error: PrismError) -> None:
        del self._owner.wanted[one.identity]
        self._owner.tell(Lost(one.identity, error))
        self._absence.ended(one.identity, self._owner.wanted)
        if not self._owner.wanted:
            self._owner.fail(error)
