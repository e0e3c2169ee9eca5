"""Frames between proxies: names as one string, bounded in size, and nothing taken for a frame that isn't one."""

from __future__ import annotations

import pytest
from prism.coordinator import frames
from prism.model.errors import InternalError
from prism.model.message import DeliverySemantics, Message
from prism.v1 import frames_pb2

MESSAGE = Message("m1", b"payload", "text/plain", 1, DeliverySemantics.AT_MOST_ONCE)


def sent(identities: list[str], registration_ids: list[str]) -> frames.Frame | None:
    return frames.parse(frames.deliver("proxy-1", MESSAGE, identities, registration_ids, 0, 100))


@pytest.mark.parametrize("identities", [["alice"], ["alice", "bob"], ["é", "a b", "😀.*>"]])
def test_targets_come_out_as_they_went_in(identities: list[str]) -> None:
    registration_ids = [f"r{i}" for i in range(len(identities))]
    frame = sent(identities, registration_ids)
    assert frame is not None
    assert frames.targets_of(frame.deliver.targets) == (identities, registration_ids)
    assert frame.deliver.targets.count == len(identities)


def test_a_name_with_the_joint_in_it_is_refused() -> None:
    with pytest.raises(InternalError, match=r"U\+0000"):
        sent(["alice", "b\0ob"], ["r1", "r2"])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_columns_of_other_lengths_than_said_are_no_frame(count: int) -> None:
    targets = frames_pb2.FrameTargets(count=count, identities="alice\0bob", registration_ids="r1\0r2")
    frame = frames.Frame(sender="proxy-1", evict=frames_pb2.EvictFrame(targets=targets, reason="EXPIRED"))
    assert frames.parse(frame.SerializeToString()) is None


def test_columns_of_different_lengths_are_no_frame() -> None:
    targets = frames_pb2.FrameTargets(count=2, identities="alice\0bob", registration_ids="r1")
    frame = frames.Frame(sender="proxy-1", deliver=frames_pb2.DeliverFrame(targets=targets))
    assert frames.parse(frame.SerializeToString()) is None


def test_what_fits_into_one_frame_is_one_piece() -> None:
    assert list(frames.pieces([f"user-{i}" for i in range(10_000)])) == [slice(0, 10_000)]


def test_nobody_is_no_piece() -> None:
    assert list(frames.pieces([])) == []


@pytest.mark.parametrize("names", [["é" * 250] * 9_000, [*["x"] * 9_000, *["y" * 512] * 9_000], ["z"] * 25_000])
def test_pieces_are_bounded_and_lose_nobody(names: list[str]) -> None:
    pieces = [names[piece] for piece in frames.pieces(names)]
    assert [name for piece in pieces for name in piece] == names
    assert max(len(piece) for piece in pieces) <= frames.TARGETS_PER_FRAME
    assert max(len("".join(piece).encode()) for piece in pieces) <= frames.NAMES_PER_FRAME


def acks(number: int, size: int = 10) -> list[bytes]:
    return [frames.acked("proxy-1", f"m{i}", ["a" * size], again=False) for i in range(number)]


def test_small_frames_go_together_and_come_out_in_order() -> None:
    (batch,) = frames.batches("proxy-1", acks(1_000))
    ids = [frame.acked.message_id for frame in frames.unpacked(batch) if frame is not None]
    assert ids == [f"m{i}" for i in range(1_000)]


def test_a_frame_alone_is_no_batch() -> None:
    assert list(frames.batches("proxy-1", acks(1))) == acks(1)


def test_nothing_is_no_batch() -> None:
    assert list(frames.batches("proxy-1", [])) == []


def test_batches_are_bounded_in_bytes() -> None:
    batches = list(frames.batches("proxy-1", acks(100, 20_000)))
    assert max(map(len, batches)) < frames.BATCH + 1_000
    assert sum(len(list(frames.unpacked(batch))) for batch in batches) == 100


def test_a_batch_in_a_batch_and_what_is_no_frame_in_one_are_none() -> None:
    (inner,) = frames.batches("proxy-1", acks(2))
    (outer,) = frames.batches("proxy-1", [inner, b"\xff\xff", *acks(1)])
    assert [frame is None for frame in frames.unpacked(outer)] == [True, True, False]
