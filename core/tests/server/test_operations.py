"""Every operation through a real gRPC server, with nothing but generated stubs."""

from __future__ import annotations

import orjson
import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode
from prism.model.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidFilter,
    InvalidMetadata,
    NotFound,
    RevisionConflict,
    StaleRegistration,
    Unsupported,
)
from prism.model.json import INT64_MAX
from prism.v1 import registry_pb2 as pb
from prism.v1.filter_pb2 import Filter
from prism.wire.errors import from_status
from prism.wire.filters import to_filter
from prism.wire.identities import PAGE_BYTES
from prism.wire.times import moment_from_timestamp
from prism.wire.values import document_from_fields, fill_fields, to_value
from support.calls import refused

METADATA = {"room": "engineering", "battery": 0.5, "serial": INT64_MAX, "tags": ["a", None], "on": True}


def where(text: str) -> Filter:
    return Filter(json=text)


async def register(stub, *identities: str, metadata: bytes = b"{}", **fields) -> pb.RegisterManyResponse:
    request = pb.RegisterManyRequest(identities=identities, metadata_json=[metadata] * len(identities), **fields)
    answer = await stub.RegisterMany(request)
    assert not answer.errors
    return answer


async def test_register_stores_metadata_given_as_values(stub):
    request = pb.RegisterRequest(identity="a", ttl_seconds=60)
    fill_fields(request.metadata, METADATA)
    answer = await stub.Register(request)
    assert answer.success
    assert not answer.HasField("error")
    assert moment_from_timestamp(answer.expires_at) - moment_from_timestamp(answer.registered_at) == 60_000_000
    (found,) = (await stub.Get(pb.GetRequest(identities=["a"]))).found
    assert document_from_fields(found.metadata) == METADATA
    assert found.revision == answer.revision
    assert found.registered_at == answer.registered_at


async def test_register_stores_metadata_given_as_json(stub):
    await stub.Register(pb.RegisterRequest(identity="a", metadata_json=orjson.dumps(METADATA)))
    page = (await stub.Get(pb.GetRequest(identities=["a"], columnar=True))).page
    assert orjson.loads(page.metadata_json[0]) == METADATA


async def test_a_registration_without_ttl_never_expires(stub):
    answer = await stub.Register(pb.RegisterRequest(identity="a", ttl_seconds=0))
    assert not answer.HasField("expires_at")


async def test_registering_twice_is_refused_unless_replacing(stub):
    first = await stub.Register(pb.RegisterRequest(identity="a"))
    code, error = await refused(stub.Register(pb.RegisterRequest(identity="a")))
    assert code is StatusCode.ALREADY_EXISTS
    assert type(error) is AlreadyExists
    assert error.details == {"identity": "a"}
    second = await stub.Register(pb.RegisterRequest(identity="a", replace=True))
    assert second.registration_id != first.registration_id


async def test_namespaces_are_apart_and_default_is_the_unnamed_one(stub):
    await stub.Register(pb.RegisterRequest(identity="a", namespace="other"))
    await stub.Register(pb.RegisterRequest(identity="b"))
    assert (await stub.Count(pb.CountRequest(namespace="other"))).count == 1
    assert (await stub.Get(pb.GetRequest(identities=["b"], namespace="default"))).found[0].identity == "b"


async def test_register_many_reports_each_item_by_itself(stub):
    await register(stub, "taken")
    request = pb.RegisterManyRequest(
        identities=["new", "taken", "", "bad"], metadata_json=[b"{}", b"{}", b"{}", b"[1]"], ttl_seconds=9
    )
    answer = await stub.RegisterMany(request)
    assert [bool(registration_id) for registration_id in answer.registration_ids] == [True, False, False, False]
    assert answer.expires_at_us[0] - answer.registered_at_us[0] == 9_000_000
    assert list(answer.revisions[1:]) == [0, 0, 0]
    errors = {item.index: from_status(item.status) for item in answer.errors}
    assert {index: type(error) for index, error in errors.items()} == {
        1: AlreadyExists,
        2: InvalidArgument,
        3: InvalidMetadata,
    }


async def test_register_many_takes_a_time_to_live_for_each(stub):
    request = pb.RegisterManyRequest(
        identities=["a", "b", "c", "d"], metadata_json=[b"{}"] * 4, ttls_seconds=[9, 0, -1, -2]
    )
    answer = await stub.RegisterMany(request)
    default = await stub.RegisterMany(pb.RegisterManyRequest(identities=["e"], metadata_json=[b"{}"]))
    assert answer.expires_at_us[0] - answer.registered_at_us[0] == 9_000_000
    assert answer.expires_at_us[1] == 0
    assert bool(answer.expires_at_us[2]) == bool(default.expires_at_us[0])
    assert [(item.index, type(from_status(item.status))) for item in answer.errors] == [(3, InvalidArgument)]


@pytest.mark.parametrize(("ttls", "ttl", "problem"), [([1], None, "ttls_seconds"), ([1, 2], 3, "together with")])
async def test_register_many_refuses_times_to_live_that_do_not_fit(stub, ttls, ttl, problem):
    request = pb.RegisterManyRequest(
        identities=["a", "b"], metadata_json=[b"{}"] * 2, ttls_seconds=ttls, ttl_seconds=ttl
    )
    code, error = await refused(stub.RegisterMany(request))
    assert code is StatusCode.INVALID_ARGUMENT
    assert problem in str(error)


async def test_get_leaves_out_what_is_not_registered(stub):
    await register(stub, "a", "c")
    answer = await stub.Get(pb.GetRequest(identities=["c", "b", "a"]))
    assert [found.identity for found in answer.found] == ["c", "a"]


async def test_enumerate_pages_through_everything_with_a_cursor(stub):
    await register(stub, *(f"d{i:02}" for i in range(25)))
    seen: list[str] = []
    request = pb.EnumerateRequest(pagination=pb.Pagination(limit=10))
    while True:
        answer = await stub.Enumerate(request)
        assert answer.total_count == 25
        seen += [found.identity for found in answer.identities]
        if not answer.HasField("next_cursor"):
            break
        request.pagination.cursor = answer.next_cursor
    assert seen == [f"d{i:02}" for i in range(25)]


async def test_enumerate_takes_filter_sort_offset_and_leaves_metadata_out(stub):
    for i in range(6):
        await register(stub, f"d{i}", metadata=b'{"n":%d}' % i)
    request = pb.EnumerateRequest(
        filter=where('{"n.gte": 2}'),
        sort_by=["n desc"],
        pagination=pb.Pagination(offset=1, limit=2),
        include_metadata=False,
    )
    answer = await stub.Enumerate(request)
    assert [found.identity for found in answer.identities] == ["d4", "d3"]
    assert answer.total_count == 4
    assert not answer.identities[0].metadata


async def test_an_offset_past_the_end_still_counts(stub):
    await register(stub, "a", "b")
    answer = await stub.Enumerate(pb.EnumerateRequest(pagination=pb.Pagination(offset=7)))
    assert (len(answer.identities), answer.total_count) == (0, 2)


async def test_a_page_of_large_metadata_is_cut_short_and_goes_on(stub):
    metadata = orjson.dumps({"text": "x" * 60_000})
    await register(stub, *(f"d{i:02}" for i in range(40)), metadata=metadata)
    first = await stub.Enumerate(pb.EnumerateRequest())
    assert 0 < len(first.identities) < 40
    assert first.ByteSize() <= PAGE_BYTES
    rest = await stub.Enumerate(pb.EnumerateRequest(pagination=pb.Pagination(cursor=first.next_cursor)))
    assert rest.identities[0].identity == f"d{len(first.identities):02}"
    assert rest.total_count == 40


async def test_enumerate_pages_streams_columns_bounded_in_bytes(stub):
    metadata = orjson.dumps({"text": "x" * 60_000})
    for batch in range(3):
        await register(stub, *(f"d{batch}{i:02}" for i in range(60)), metadata=metadata)
    pages = [page async for page in stub.EnumeratePages(pb.EnumerateRequest())]
    assert sum(len(page.identities) for page in pages) == 180
    assert all(page.ByteSize() <= PAGE_BYTES for page in pages)
    assert all(page.HasField("next_cursor") for page in pages[:-1])
    assert not pages[-1].HasField("next_cursor")


async def test_a_stream_of_pages_can_be_taken_up_after_any_page(stub):
    await register(stub, *(f"d{i:04}" for i in range(4_500)))
    pages = [page async for page in stub.EnumeratePages(pb.EnumerateRequest())]
    request = pb.EnumerateRequest(pagination=pb.Pagination(cursor=pages[0].next_cursor))
    rest = [name async for page in stub.EnumeratePages(request) for name in page.identities]
    assert [*pages[0].identities, *rest] == [f"d{i:04}" for i in range(4_500)]


async def test_a_stream_of_pages_ends_at_its_limit_with_a_cursor(stub):
    await register(stub, *(f"d{i}" for i in range(9)))
    request = pb.EnumerateRequest(pagination=pb.Pagination(limit=4), include_metadata=False)
    (page,) = [page async for page in stub.EnumeratePages(request)]
    assert len(page.identities) == 4
    assert not page.metadata_json
    assert page.HasField("next_cursor")


async def test_count_takes_a_filter(stub):
    await register(stub, "a", "b", metadata=b'{"x":1}')
    await register(stub, "c")
    assert (await stub.Count(pb.CountRequest(filter=where('{"x": 1}')))).count == 2
    assert (await stub.Count(pb.CountRequest())).count == 3


async def test_explain_names_the_registry_and_the_parts(stub):
    answer = await stub.Explain(pb.EnumerateRequest(filter=where('{"x": 1, "y.regex": "a"}')))
    assert answer.registry == "memory"
    assert [orjson.loads(part.filter) for part in answer.parts] == [{"x": 1}, {"y.regex": "a"}]
    assert {part.support for part in answer.parts} <= {"exact", "inexact", "unsupported"}


async def test_multicast_tells_the_truth_about_who_took_it(stub):
    await register(stub, "a")
    answer = await stub.Multicast(pb.MulticastRequest(payload=b"hello"))
    assert (answer.target_count, answer.delivered_count, answer.failed_count) == (1, 0, 1)
    (status,) = answer.statuses
    assert status.status == pb.DeliveryStatus.FAILED
    assert "not attached" in status.error


async def test_multicast_answers_with_columns_when_asked(stub):
    await register(stub, "a", "b")
    answer = await stub.Multicast(pb.MulticastRequest(payload=b"hello", columnar=True))
    assert not answer.statuses
    assert sorted(answer.columns.identities) == ["a", "b"]
    assert answer.columns.statuses == bytes([pb.DeliveryStatus.FAILED] * 2)


async def test_at_least_once_is_pending_until_it_is_acknowledged(stub):
    await register(stub, "a")
    request = pb.MulticastRequest(payload=b"x", delivery=pb.AT_LEAST_ONCE, message_id="m-1", message_ttl_seconds=60)
    answer = await stub.Multicast(request)
    assert (answer.message_id, answer.pending_count) == ("m-1", 1)
    report = await stub.GetMulticast(pb.GetMulticastRequest(message_id="m-1"))
    assert [status.status for status in report.statuses] == [pb.DeliveryStatus.PENDING]


async def test_get_multicast_gives_the_rest_of_the_statuses(stub):
    names = [f"{i:06}-" + "n" * 400 for i in range(9_000)]
    for start in range(0, 9_000, 3_000):
        await register(stub, *names[start : start + 3_000])
    answer = await stub.Multicast(pb.MulticastRequest(payload=b"x", timeout_ms=0, columnar=True))
    assert answer.ByteSize() <= PAGE_BYTES
    seen = list(answer.columns.identities)
    assert answer.next_offset == len(seen) < 9_000
    while answer.HasField("next_offset"):
        request = pb.GetMulticastRequest(message_id=answer.message_id, offset=answer.next_offset, columnar=True)
        answer = await stub.GetMulticast(request)
        seen += answer.columns.identities
    assert sorted(seen) == names


async def test_exactly_once_needs_slots_that_can(stub):
    code, error = await refused(stub.Multicast(pb.MulticastRequest(payload=b"x", delivery=pb.EXACTLY_ONCE)))
    assert code is StatusCode.UNIMPLEMENTED
    assert type(error) is Unsupported


async def test_an_unknown_multicast_is_not_found(stub):
    code, error = await refused(stub.GetMulticast(pb.GetMulticastRequest(message_id="nope")))
    assert code is StatusCode.NOT_FOUND
    assert type(error) is NotFound


async def test_unregister_is_idempotent(stub):
    await register(stub, "a")
    assert (await stub.Unregister(pb.UnregisterRequest(identity="a"))).removed
    again = await stub.Unregister(pb.UnregisterRequest(identity="a"))
    assert again.success
    assert not again.removed


async def test_a_stale_registration_id_removes_nothing(stub):
    old = (await register(stub, "a")).registration_ids[0]
    await register(stub, "a", replace=True)
    code, error = await refused(stub.Unregister(pb.UnregisterRequest(identity="a", registration_id=old)))
    assert code is StatusCode.FAILED_PRECONDITION
    assert type(error) is StaleRegistration
    assert (await stub.Count(pb.CountRequest())).count == 1


async def test_unregister_many_reports_each_item_by_itself(stub):
    old = (await register(stub, "a", "b")).registration_ids
    await register(stub, "b", replace=True)
    request = pb.UnregisterManyRequest(identities=["a", "b", "c"], registration_ids=[old[0], old[1], ""])
    answer = await stub.UnregisterMany(request)
    assert list(answer.removed) == [True, False, False]
    assert [(item.index, type(from_status(item.status))) for item in answer.errors] == [(1, StaleRegistration)]


async def test_heartbeat_renews_and_says_which_were_lost(stub):
    old = (await register(stub, "a", "b", ttl_seconds=5)).registration_ids
    await register(stub, "b", replace=True)
    request = pb.HeartbeatRequest(identities=["a", "b", "c"], registration_ids=[*old, ""], ttl_seconds=1_000)
    answer = await stub.Heartbeat(request)
    (page,) = [page async for page in stub.EnumeratePages(pb.EnumerateRequest(filter=where('{"$identity": "a"}')))]
    assert list(page.expires_at_us) == [answer.expires_at_us[0]]
    assert list(answer.expires_at_us[1:]) == [0, 0]
    assert [type(from_status(item.status)) for item in answer.errors] == [StaleRegistration, NotFound]


async def test_update_patches_metadata_given_as_values(stub):
    await register(stub, "a", metadata=b'{"x":1,"y":2}')
    request = pb.UpdateRequest(identity="a")
    request.patch["y"].CopyFrom(to_value(None))
    request.patch["z"].CopyFrom(to_value({"deep": [1]}))
    answer = await stub.Update(request)
    assert orjson.loads(answer.metadata_json) == {"x": 1, "z": {"deep": [1]}}
    assert answer.identity.identity == "a"


async def test_update_patches_metadata_given_as_json(stub):
    await register(stub, "a", metadata=b'{"x":1,"y":2}')
    answer = await stub.Update(pb.UpdateRequest(identity="a", patch_json=b'{"x":null}'))
    assert answer.metadata_json == b'{"y":2}'


async def test_an_update_of_another_revision_is_refused(stub):
    revision = (await register(stub, "a")).revisions[0]
    await stub.Update(pb.UpdateRequest(identity="a", patch_json=b'{"x":1}', revision=revision))
    code, error = await refused(stub.Update(pb.UpdateRequest(identity="a", patch_json=b"{}", revision=revision)))
    assert code is StatusCode.ABORTED
    assert type(error) is RevisionConflict


async def test_updating_what_is_not_registered_is_not_found(stub):
    code, _ = await refused(stub.Update(pb.UpdateRequest(identity="a")))
    assert code is StatusCode.NOT_FOUND


async def test_a_filter_tree_is_evaluated(stub):
    from prism.filters import Filter as Built

    await register(stub, "a", metadata=b'{"battery":0.1}')
    await register(stub, "b", metadata=b'{"battery":0.9}')
    answer = await stub.Enumerate(pb.EnumerateRequest(filter=to_filter(Built(battery__lt=0.2).node)))
    assert [found.identity for found in answer.identities] == ["a"]


@pytest.mark.parametrize("method", ["Enumerate", "Count", "Explain", "Multicast"])
async def test_a_wrong_filter_is_refused_at_its_place(stub, method):
    kind = {"Count": pb.CountRequest, "Multicast": pb.MulticastRequest}.get(method, pb.EnumerateRequest)
    bad = where('{"$and": [{"a": 1}, {"battery_level.lt": true}]}')
    code, error = await refused(getattr(stub, method)(kind(filter=bad)))
    assert code is StatusCode.INVALID_ARGUMENT
    assert type(error) is InvalidFilter
    assert [violation.field for violation in error.violations] == ["$.$and[1].battery_level.lt"]


async def test_errors_carry_error_info_of_the_domain_prism(stub):
    from prism.wire.rpc import DETAILS_KEY

    call = stub.Update(pb.UpdateRequest(identity="a"))
    await refused(call)
    (details,) = [value for key, value in await call.trailing_metadata() if key == DETAILS_KEY]
    from google.rpc import status_pb2

    info = error_details_pb2.ErrorInfo()
    status_pb2.Status.FromString(details).details[0].Unpack(info)
    assert (info.domain, info.reason, dict(info.metadata)) == ("prism", "NOT_FOUND", {"identity": "a"})
