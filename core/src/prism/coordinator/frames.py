"""The frames that proxies send each other, as bytes and back. Wire form: proto/prism/v1/frames.proto."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from google.protobuf.message import DecodeError

from prism.model.message import DeliverySemantics, Message
from prism.v1 import frames_pb2

TARGETS_PER_FRAME = 1_000

Frame = frames_pb2.ProxyFrame


def chunks(count: int, size: int = TARGETS_PER_FRAME) -> Iterator[slice]:
    """Slices that cut `count` targets into frames."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def deliver(
    sender: str, message: Message, identities: Sequence[str], registration_ids: Sequence[str], number: int, wait_ms: int
) -> bytes:
    """A message for hosted identities."""
    frame = Frame(sender=sender)
    body = frame.deliver
    body.message.message_id = message.id
    body.message.payload = message.payload
    body.message.content_type = message.content_type
    body.message.sent_at_us = message.sent_at
    body.targets.identities.extend(identities)
    body.targets.registration_ids.extend(registration_ids)
    body.number = number
    body.wait_ms = wait_ms
    return frame.SerializeToString()


def nudge(sender: str, identities: Sequence[str]) -> bytes:
    """New messages in the queues of hosted identities."""
    frame = Frame(sender=sender)
    frame.nudge.identities.extend(identities)
    return frame.SerializeToString()


def acked(sender: str, message_id: str, identities: Sequence[str], *, again: bool) -> bytes:
    """An at-least-once message was acknowledged; `again`: that may have been told before."""
    frame = Frame(sender=sender)
    frame.acked.message_id = message_id
    frame.acked.identities.extend(identities)
    frame.acked.again = again
    return frame.SerializeToString()


def evict(sender: str, identities: Sequence[str], registration_ids: Sequence[str], reason: str) -> bytes:
    """Sessions that have lost their identities."""
    frame = Frame(sender=sender)
    frame.evict.targets.identities.extend(identities)
    frame.evict.targets.registration_ids.extend(registration_ids)
    frame.evict.reason = reason
    return frame.SerializeToString()


def receipt(
    sender: str, message_id: str, number: int, codes: bytes, reason_index: array[int], reasons: Sequence[str]
) -> bytes:
    """What became of a frame."""
    frame = Frame(sender=sender)
    body = frame.receipt
    body.message_id = message_id
    body.number = number
    body.statuses = codes
    if reasons:
        body.reason_index.extend(reason_index)
        body.reasons.extend(reasons)
    return frame.SerializeToString()


def parse(payload: bytes) -> Frame | None:
    """The frame, or None when it isn't one (somebody else wrote to the inbox)."""
    frame = Frame()
    try:
        frame.ParseFromString(payload)
    except DecodeError:
        return None
    if frame.WhichOneof("kind") is None:
        return None
    return frame


def message_of(frame: frames_pb2.DeliverFrame) -> Message:
    """The message in a deliver frame."""
    body = frame.message
    return Message(
        id=body.message_id,
        payload=body.payload,
        content_type=body.content_type,
        sent_at=body.sent_at_us,
        delivery=DeliverySemantics.AT_MOST_ONCE,
    )
