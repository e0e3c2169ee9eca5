"""Session events as the bytes of AttachResponse frames.

A multicast reaches thousands of streams with the same message, so its bytes are made once: deliveries are put
together from encoded parts (concatenating encoded protobuf fields is what encoding them together gives).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from prism.model.message import Message
from prism.model.operations import Attachment
from prism.model.time import Micros
from prism.sessions.events import Delivery, Detached, Draining, Lost, MessageGap, Refused, SessionEvent
from prism.v1 import attach_pb2 as pb
from prism.wire.errors import code_of, cut, wire_violations

NO_HANDLE = 2**32 - 1
"""The handle of an identity that wasn't attached."""
CACHED_MESSAGES = 128
CACHED_BYTES = 16 * 1024 * 1024

_FIRST = b"\x0a"
"""The tag of field 1 with a length: AttachResponse.events, AttachEvent.delivery, Delivery.message."""
_ONLY_HANDLE = [0]


class FrameEncoder:
    """Encodes events; remembers the messages it encoded last. One for all streams of a proxy."""

    def __init__(self) -> None:
        self._cache: dict[int, tuple[Message, bytes, bytes]] = {}
        self._cached_bytes = 0

    def frame(self, events: Sequence[SessionEvent]) -> bytes:
        """One AttachResponse with the events in order."""
        if len(events) == 1:
            event = events[0]
            if event.__class__ is Delivery and event.handles == _ONLY_HANDLE and not event.tags:
                found = self._cache.get(id(event.message))
                if found is not None:  # the message of a multicast, on its way to thousands of streams
                    return found[2]
            return self._event(event)
        return b"".join([self._event(event) for event in events])

    def _event(self, event: SessionEvent) -> bytes:
        if event.__class__ is Delivery:
            return self._delivery(event)
        return _field(_FIRST, _message(event).SerializeToString())

    def _delivery(self, delivery: Delivery) -> bytes:
        """The `events` entry of a delivery; for the one identity of a stream the same bytes for every stream."""
        found = self._cache.get(id(delivery.message))
        _, content, alone = found if found is not None else self._encode(delivery.message)
        if delivery.tags:
            to = pb.Delivery(handles=delivery.handles, tags=delivery.tags, attempts=delivery.attempts)
        elif delivery.handles == _ONLY_HANDLE:
            return alone
        else:
            to = pb.Delivery(handles=delivery.handles)
        return _field(_FIRST, _field(_FIRST, content + to.SerializeToString()))

    def _encode(self, message: Message) -> tuple[Message, bytes, bytes]:
        """Encodes a message; keeps it (and with it its id, the key) until newer ones push it out."""
        inner = pb.DeliveredMessage(
            message_id=message.id,
            payload=message.payload,
            content_type=message.content_type,
            sent_at_us=message.sent_at,
        )
        content = _field(_FIRST, inner.SerializeToString())
        entry = (message, content, _field(_FIRST, _field(_FIRST, content)))
        while self._cache and (len(self._cache) >= CACHED_MESSAGES or self._cached_bytes > CACHED_BYTES):
            _, old, _ = self._cache.pop(next(iter(self._cache)))
            self._cached_bytes -= 2 * len(old)
        self._cache[id(message)] = entry
        self._cached_bytes += 2 * len(content)
        return entry


def _message(event: SessionEvent) -> pb.AttachEvent:
    match event:
        case Attachment():
            attached = pb.Attached(
                identity=event.identity,
                handle=event.handle,
                registration_id=event.registration_id,
                revision=event.revision,
                expires_at_us=event.expires_at or 0,
                resumed=event.resumed,
            )
            return pb.AttachEvent(attached=attached)
        case Refused():
            return pb.AttachEvent(refused=_refused(event))
        case Detached():
            return pb.AttachEvent(detached=pb.Detached(identity=event.identity, handle=event.handle & NO_HANDLE))
        case Lost():
            return pb.AttachEvent(lost=pb.Lost(identity=event.identity, handle=event.handle, reason=event.reason))
        case MessageGap():
            gap = pb.MessageGap(handle=event.handle, dropped=event.dropped, reason=event.reason, tag=event.tag)
            return pb.AttachEvent(gap=gap)
        case Draining():
            return pb.AttachEvent(draining=pb.Draining(grace_ms=_milliseconds(event.grace)))
        case Delivery():
            raise AssertionError("deliveries are encoded from parts")


def _refused(event: Refused) -> pb.AttachRefused:
    error = event.error
    problems = [
        pb.FieldProblem(field=cut(violation.field, 256), description=cut(violation.description, 512))
        for violation in wire_violations(error)[:20]
    ]
    return pb.AttachRefused(
        identity=cut(event.identity, 512),
        code=code_of(error),
        message=cut(error.message, 4_096),
        reason=error.reason,
        problems=problems,
        details={cut(name, 64): cut(text, 512) for name, text in islice(error.details.items(), 8)},
    )


def _milliseconds(length: Micros) -> int:
    return length // 1_000


def _field(tag: bytes, content: bytes) -> bytes:
    """A field of bytes: its tag, the length as a varint, the content."""
    length = len(content)
    if length < 128:
        return b"%b%c%b" % (tag, length, content)
    size = bytearray()
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    size.append(length)
    return b"%b%b%b" % (tag, bytes(size), content)
