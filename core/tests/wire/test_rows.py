"""Registrations, multicast results and times between model and messages."""

from __future__ import annotations

import pytest
from prism.model.delivery import MulticastResult, Status, Statuses
from prism.model.errors import InvalidArgument
from prism.model.identity import Registration
from prism.model.message import DeliverySemantics
from prism.model.operations import Default
from prism.model.pages import RecordPage
from prism.model.time import SECOND
from prism.v1 import registry_pb2 as pb
from prism.wire.identities import fill_identity, fitting, page_bytes, slices, to_page
from prism.wire.multicast import (
    append_statuses,
    semantics_from_wire,
    semantics_to_wire,
    to_response,
    to_result,
)
from prism.wire.times import (
    MAX_SECONDS,
    fill_timestamp,
    moment_from_timestamp,
    seconds_from_wire,
    timeout_from_wire,
    ttl_from_wire,
    ttl_to_wire,
)
from prism.wire.values import document_from_fields

T = 1_760_011_200_123_456


def registration(name: str = "a", metadata: bytes = b'{"x":9007199254740993}', **kwargs) -> Registration:
    return Registration(name, metadata, "r1", 7, T, T + 1, kwargs.get("expires_at"), kwargs.get("address", ""))


def result(count: int, reason: str = "no stream") -> MulticastResult:
    statuses = Statuses()
    for i in range(count):
        statuses.identities.append(f"device-{i}")
        statuses.codes.append(Status.DELIVERED if i % 2 else Status.FAILED)
        statuses.reason_index.append(0 if i % 2 else 1)
    statuses.reasons.append(reason)
    return MulticastResult("m1", count, count // 2, 0, count - count // 2, 0, statuses)


def test_a_registration_as_a_message_keeps_64_bit_integers_and_microseconds():
    message = pb.Identity()
    fill_identity(message, registration(expires_at=T + 5, address="proxy"))
    assert document_from_fields(message.metadata) == {"x": 9007199254740993}
    assert moment_from_timestamp(message.registered_at) == T
    assert moment_from_timestamp(message.updated_at) == T + 1
    assert moment_from_timestamp(message.expires_at) == T + 5
    assert (message.revision, message.attached) == (7, True)


def test_a_registration_without_expiry_has_none_in_its_message():
    message = pb.Identity()
    fill_identity(message, registration(), include_metadata=False)
    assert not message.HasField("expires_at")
    assert not message.metadata


def test_moments_before_the_epoch_survive():
    message = pb.Identity().registered_at
    fill_timestamp(message, -1)
    assert (message.seconds, message.nanos) == (-1, 999_999_000)
    assert moment_from_timestamp(message) == -1


def test_a_page_has_columns_of_the_same_length():
    page = to_page(RecordPage.of([registration("a"), registration("b", expires_at=T)]), "cursor")
    assert list(page.identities) == ["a", "b"]
    assert list(page.metadata_json) == [b'{"x":9007199254740993}'] * 2
    assert list(page.expires_at_us) == [0, T]
    assert list(page.attached) == [False, False]
    assert page.next_cursor == "cursor"


def test_the_last_page_has_no_cursor_and_metadata_can_be_left_out():
    page = to_page(RecordPage.of([registration()]), include_metadata=False)
    assert not page.HasField("next_cursor")
    assert not page.metadata_json


@pytest.mark.parametrize("count", [0, 1, 3, 500])
@pytest.mark.parametrize("include_metadata", [True, False])
@pytest.mark.parametrize("cursor", [None, "next"])
def test_a_page_encoded_by_columns_is_the_page(count, include_metadata, cursor):
    rows = [
        registration(f"é-{i}", address="p" if i % 3 else "", expires_at=None if i % 2 else T + i) for i in range(count)
    ]
    page = RecordPage.of(rows)
    encoded = page_bytes(page, cursor, include_metadata=include_metadata)
    assert pb.IdentityPage.FromString(encoded) == to_page(page, cursor, include_metadata=include_metadata)


@pytest.mark.parametrize("limit", [500, 5_000, 100_000])
def test_slices_stay_below_the_limit_and_lose_nothing(limit):
    rows = [registration(f"d{i}", b'{"k":"%s"}' % (b"x" * (i % 200))) for i in range(300)]
    parts = list(slices(RecordPage.of(rows), limit))
    assert [row for part in parts for row in part.registrations()] == rows
    assert all(to_page(part).ByteSize() <= limit for part in parts)


def test_a_row_over_the_limit_is_a_slice_of_its_own():
    rows = [registration("a"), registration("b", b'"' + b"x" * 1_000 + b'"'), registration("c")]
    assert [len(part) for part in slices(RecordPage.of(rows), 300)] == [1, 1, 1]
    assert fitting(RecordPage.of(rows[1:]), 300) == 1


def test_no_rows_are_one_empty_slice():
    assert list(map(len, slices(RecordPage.empty()))) == [0]


@pytest.mark.parametrize("columnar", [True, False])
def test_a_multicast_result_survives_the_wire(columnar):
    sent = result(10)
    response = to_response(sent, columnar=columnar)
    assert to_result(pb.MulticastResponse.FromString(response.SerializeToString())) == sent
    assert not response.HasField("next_offset")


@pytest.mark.parametrize("columnar", [True, False])
@pytest.mark.parametrize("reason", ["no stream", "ü" * 200])
def test_statuses_beyond_the_limit_are_had_page_by_page(columnar, reason):
    sent = result(2_000, reason)
    response = to_response(sent, columnar=columnar, limit=4_096)
    received = to_result(response)
    pages = 1
    while response.HasField("next_offset"):
        assert response.ByteSize() <= 4_096 + 200
        response = to_response(sent, columnar=columnar, offset=response.next_offset, limit=4_096)
        append_statuses(received.statuses, response)
        pages += 1
    assert pages > 2
    assert list(received.statuses) == list(sent.statuses)


def test_columns_carry_only_the_reasons_they_need():
    sent = result(3)
    sent.statuses.reasons.append("of somebody else")
    assert list(to_response(sent, columnar=True).columns.reasons) == ["no stream"]


@pytest.mark.parametrize("offset", [-1, 11])
def test_an_offset_outside_the_statuses_is_refused(offset):
    with pytest.raises(InvalidArgument, match="offset"):
        to_response(result(10), offset=offset)


@pytest.mark.parametrize("delivery", [None, *DeliverySemantics])
def test_semantics_survive_the_wire(delivery):
    assert semantics_from_wire(semantics_to_wire(delivery)) == delivery


def test_unknown_semantics_are_refused():
    with pytest.raises(InvalidArgument, match="9 is no DeliverySemantics"):
        semantics_from_wire(9)


def test_a_ttl_survives_the_wire():
    assert ttl_from_wire(ttl_to_wire(30 * SECOND)) == 30 * SECOND
    assert ttl_from_wire(0) == 0
    assert ttl_from_wire(None) is Default.TTL
    assert ttl_to_wire(Default.TTL) is None


@pytest.mark.parametrize("seconds", [-1, MAX_SECONDS + 1, 2**63 - 1, -(2**63)])
def test_a_ttl_out_of_range_is_refused(seconds):
    with pytest.raises(InvalidArgument, match="ttl_seconds"):
        ttl_from_wire(seconds)


@pytest.mark.parametrize("ttl", [SECOND // 2, -SECOND, (MAX_SECONDS + 1) * SECOND])
def test_a_ttl_that_the_wire_cannot_carry_is_refused(ttl):
    with pytest.raises(InvalidArgument, match="ttl"):
        ttl_to_wire(ttl)


@pytest.mark.parametrize("milliseconds", [-1, 300_001, 2**62])
def test_a_timeout_out_of_range_is_refused(milliseconds):
    with pytest.raises(InvalidArgument, match="timeout_ms"):
        timeout_from_wire(milliseconds)


@pytest.mark.parametrize("seconds", [0, -5, 2**60])
def test_a_length_of_time_that_must_be_positive_is(seconds):
    with pytest.raises(InvalidArgument, match="message_ttl_seconds"):
        seconds_from_wire(seconds, "message_ttl_seconds")
