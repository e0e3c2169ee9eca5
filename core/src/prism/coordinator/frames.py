"""The frames that proxies send each other, as bytes and back. Wire form: proto/prism/v1/frames.proto."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence

from google.protobuf.message import DecodeError

from prism.model.errors import InternalError
from prism.model.message import DeliverySemantics, Message
from prism.v1 import frames_pb2

TARGETS_PER_FRAME = 10_000
NAMES_PER_FRAME = 512 * 1024
"""Bytes of names in a frame. With the payload it may still be more than a broker takes at once; then its plugin
sends it in parts."""
BATCH = 512 * 1024
"""Bytes of small frames in one publication."""
JOINT = "\0"
"""Joins names, none of which has it."""

Frame = frames_pb2.ProxyFrame


def chunks(count: int, size: int) -> Iterator[slice]:
    """Slices that cut `count` targets into pieces of `size`."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def pieces(names: Sequence[str]) -> Iterator[slice]:
    """Slices that cut targets into frames, each bounded in targets and in bytes of names."""
    yield from _halved(names, 0, len(names))


def _halved(names: Sequence[str], start: int, stop: int) -> Iterator[slice]:
    count = stop - start
    if count > 1 and (count > TARGETS_PER_FRAME or _size(names[start:stop]) > NAMES_PER_FRAME):
        middle = start + count // 2
        yield from _halved(names, start, middle)
        yield from _halved(names, middle, stop)
    elif count:
        yield slice(start, stop)


def _size(names: Sequence[str]) -> int:
    text = "".join(names)
    return len(text) if text.isascii() else len(text.encode())


def _fill(targets: frames_pb2.FrameTargets, identities: Sequence[str], registration_ids: Sequence[str]) -> None:
    count = targets.count = len(identities)
    targets.identities = JOINT.join(identities)
    targets.registration_ids = JOINT.join(registration_ids)
    for text in (targets.identities, targets.registration_ids):
        if text.count(JOINT) != count - 1:
            raise InternalError("a name of a target has the character U+0000, which no name may have")


def targets_of(targets: frames_pb2.FrameTargets) -> tuple[list[str], list[str]]:
    """The identities and registration ids of a frame."""
    return targets.identities.split(JOINT), targets.registration_ids.split(JOINT)


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
    _fill(body.targets, identities, registration_ids)
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
    _fill(frame.evict.targets, identities, registration_ids)
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


def batches(sender: str, singles: Iterable[bytes]) -> Iterator[bytes]:
    """Frames for one inbox in as few publications as their size allows, in their order."""
    batch: list[bytes] = []
    size = 0
    for single in singles:
        if batch and size + len(single) > BATCH:
            yield _batch(sender, batch)
            batch, size = [], 0
        batch.append(single)
        size += len(single)
    if batch:
        yield _batch(sender, batch)


def _batch(sender: str, singles: Sequence[bytes]) -> bytes:
    if len(singles) == 1:
        return singles[0]
    frame = Frame(sender=sender)
    frame.batch.frames.extend(singles)
    return frame.SerializeToString()


def unpacked(payload: bytes) -> Iterator[Frame | None]:
    """The frames in a publication; None for what isn't one (somebody else wrote to the inbox)."""
    frame = parse(payload)
    if frame is None or frame.WhichOneof("kind") != "batch":
        yield frame
        return
    for single in frame.batch.frames:
        inner = parse(single)
        yield None if inner is not None and inner.WhichOneof("kind") == "batch" else inner


def parse(payload: bytes) -> Frame | None:
    """The frame, or None when it isn't one."""
    frame = Frame()
    try:
        frame.ParseFromString(payload)
    except DecodeError:
        return None
    kind = frame.WhichOneof("kind")
    if kind is None:
        return None
    if kind in ("deliver", "evict"):
        targets = getattr(frame, kind).targets
        joints = targets.count - 1
        if targets.identities.count(JOINT) != joints or targets.registration_ids.count(JOINT) != joints:
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
