"""Frames put together from encoded parts are what protobuf would have encoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prism.model.errors import InvalidMetadata, Violation
from prism.model.message import DeliverySemantics, Message
from prism.model.operations import Attachment
from prism.server.frames import CACHED_BYTES, CACHED_MESSAGES, FrameEncoder
from prism.sessions.events import Delivery, Detached, Draining, Lost, MessageGap, Refused
from prism.v1 import attach_pb2 as pb


def message(payload: bytes = b"hello", name: str = "m") -> Message:
    return Message(name, payload, "text/plain", 17, DeliverySemantics.AT_MOST_ONCE)


def expected(delivery: Delivery) -> pb.AttachEvent:
    handles = [] if delivery.handles == [0] and not delivery.tags else delivery.handles
    m = delivery.message
    inner = pb.DeliveredMessage(message_id=m.id, payload=m.payload, content_type=m.content_type, sent_at_us=m.sent_at)
    return pb.AttachEvent(
        delivery=pb.Delivery(message=inner, handles=handles, tags=delivery.tags, attempts=delivery.attempts)
    )


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=200), st.binary(max_size=40_000), st.booleans())
def test_a_delivery_reads_as_protobuf_would_have_written_it(handles, payload, leased):
    columns = [[i + 1 for i in handles], [1] * len(handles)] if leased else []
    delivery = Delivery(message(payload), handles, *columns)
    frame = pb.AttachResponse.FromString(FrameEncoder().frame([delivery]))
    assert list(frame.events) == [expected(delivery)]


@pytest.mark.parametrize("size", [0, 100, 127, 128, 16_383, 16_384, 1_048_576])
def test_lengths_around_the_edges_of_varints_are_right(size):
    delivery = Delivery(message(b"x" * size), [0])
    frame = pb.AttachResponse.FromString(FrameEncoder().frame([delivery]))
    assert frame.events[0].delivery.message.payload == b"x" * size


def test_streams_of_one_identity_share_the_same_bytes():
    encoder, sent = FrameEncoder(), message()
    assert encoder.frame([Delivery(sent, [0])]) is encoder.frame([Delivery(sent, [0])])


def test_a_message_with_another_identity_is_encoded_anew_though_it_looks_the_same():
    encoder = FrameEncoder()
    frames = [encoder.frame([Delivery(message(name=str(i)), [0])]) for i in range(CACHED_MESSAGES * 3)]
    ids = [pb.AttachResponse.FromString(frame).events[0].delivery.message.message_id for frame in frames]
    assert ids == [str(i) for i in range(CACHED_MESSAGES * 3)]


def test_what_is_remembered_is_bounded_in_number_and_bytes():
    encoder = FrameEncoder()
    for _ in range(CACHED_MESSAGES * 2):
        encoder.frame([Delivery(message(), [0])])
    assert len(encoder._cache) <= CACHED_MESSAGES
    for _ in range(40):
        encoder.frame([Delivery(message(b"x" * 1_000_000), [0])])
    assert encoder._cached_bytes <= CACHED_BYTES + 3_000_000
    assert encoder._cached_bytes == sum(2 * len(content) for _, content, _ in encoder._cache.values())


def test_every_event_has_its_message_in_order():
    error = InvalidMetadata("bad", violations=[Violation("metadata.x", "wrong")])
    events = [
        Attachment("a", 3, "r", 9, 1_000, resumed=True),
        Attachment("b", 4, "r", 9, None),
        Refused("c", error),
        Detached("a", 3),
        Lost("b", 4, "EXPIRED"),
        MessageGap(4, 2, "full", 8),
        Draining(1_500_000),
        Delivery(message(), [4]),
    ]
    frame = pb.AttachResponse.FromString(FrameEncoder().frame(events))
    problem = pb.FieldProblem(field="metadata.x", description="wrong")
    assert list(frame.events) == [
        pb.AttachEvent(
            attached=pb.Attached(
                identity="a", handle=3, registration_id="r", revision=9, expires_at_us=1_000, resumed=True
            )
        ),
        pb.AttachEvent(attached=pb.Attached(identity="b", handle=4, registration_id="r", revision=9)),
        pb.AttachEvent(
            refused=pb.AttachRefused(identity="c", code=3, message="bad", reason="INVALID_METADATA", problems=[problem])
        ),
        pb.AttachEvent(detached=pb.Detached(identity="a", handle=3)),
        pb.AttachEvent(lost=pb.Lost(identity="b", handle=4, reason="EXPIRED")),
        pb.AttachEvent(gap=pb.MessageGap(handle=4, dropped=2, reason="full", tag=8)),
        pb.AttachEvent(draining=pb.Draining(grace_ms=1_500)),
        expected(Delivery(message(), [4])),
    ]
