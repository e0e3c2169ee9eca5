"""What is malformed, too large or out of range is refused with a reason, and the proxy goes on serving."""

from __future__ import annotations

import logging

import grpc
import pytest
from grpc import StatusCode
from prism.config import load_config
from prism.model.errors import (
    InternalError,
    InvalidArgument,
    InvalidFilter,
    InvalidMetadata,
    LimitExceeded,
    NotFound,
    QuotaExceeded,
)
from prism.model.json import MAX_NESTING
from prism.server.app import OFF, Proxy
from prism.v1 import registry_pb2 as pb
from prism.v1.filter_pb2 import Filter
from prism.v1.registry_pb2_grpc import MulticastRegistryServiceStub
from prism.v1.value_pb2 import Value
from prism.wire.values import to_value
from support.calls import Stream, refused

SERVICE = "/prism.v1.MulticastRegistryService/"
LONG = "x" * 513


async def test_bytes_that_are_no_message_are_refused(channel):
    code, error = await refused(channel.unary_unary(SERVICE + "Register")(b"\xff\xff\xff"))
    assert code is StatusCode.INVALID_ARGUMENT
    assert "prism.v1.RegisterRequest" in error.message


async def test_text_that_is_not_utf_8_is_refused(channel):
    code, _ = await refused(channel.unary_unary(SERVICE + "Register")(b"\x0a\x02\xc3\x28"))
    assert code is StatusCode.INVALID_ARGUMENT


async def test_a_filter_nested_deeper_than_protobuf_reads_is_refused(channel):
    deep = b""
    for _ in range(101):  # Filter.negated, again and again
        deep = (
            b"\x22"
            + (b"%c" % len(deep) if len(deep) < 128 else b"%c%c" % (len(deep) & 127 | 128, len(deep) >> 7))
            + deep
        )
    code, error = await refused(channel.unary_unary(SERVICE + "Count")(b"\x0a" + deep[1:]))
    assert code is StatusCode.INVALID_ARGUMENT
    assert "nests deeper" in error.message


async def test_a_filter_deeper_than_the_limit_is_refused(stub):
    deep = Filter(json='{"a": 1}')
    for _ in range(6):
        deep = Filter(negated=deep)
    code, error = await refused(stub.Count(pb.CountRequest(filter=deep)))
    assert code is StatusCode.INVALID_ARGUMENT
    assert type(error) is LimitExceeded
    assert "limit of 5 levels" in error.message


async def test_a_value_without_a_kind_is_refused_at_its_place(stub):
    request = pb.RegisterRequest(identity="a")
    request.metadata["status"].CopyFrom(Value())
    code, error = await refused(stub.Register(request))
    assert code is StatusCode.INVALID_ARGUMENT
    assert type(error) is InvalidMetadata
    assert error.violations[0].field == "metadata.status"


async def test_nan_in_metadata_is_refused(stub):
    request = pb.RegisterRequest(identity="a")
    request.metadata["x"].double_value = float("nan")
    _, error = await refused(stub.Register(request))
    assert type(error) is InvalidMetadata


async def test_metadata_nested_too_deep_is_refused(stub):
    nested = b'{"a":' * (MAX_NESTING + 1) + b"1" + b"}" * (MAX_NESTING + 1)
    _, error = await refused(stub.Register(pb.RegisterRequest(identity="a", metadata_json=nested)))
    assert type(error) is InvalidMetadata


@pytest.mark.parametrize("metadata", [b"", b"[]", b"{", b'{"a": NaN}', b"\xff", b'{"a": 9223372036854775808}'])
async def test_metadata_that_is_no_json_object_is_refused(stub, metadata):
    _, error = await refused(stub.Register(pb.RegisterRequest(identity="a", metadata_json=metadata)))
    assert type(error) is InvalidMetadata


async def test_metadata_in_both_fields_is_refused(stub):
    request = pb.RegisterRequest(identity="a", metadata_json=b"{}")
    request.metadata["x"].CopyFrom(to_value(1))
    _, error = await refused(stub.Register(request))
    assert [violation.field for violation in error.violations] == ["metadata_json"]


@pytest.mark.parametrize("patch", [b"[]", b"nope", b'{"a": 9223372036854775808}'])
async def test_a_patch_that_is_no_json_object_is_refused(stub, patch):
    _, error = await refused(stub.Update(pb.UpdateRequest(identity="a", patch_json=patch)))
    assert type(error) is InvalidMetadata


async def test_a_patch_in_both_fields_is_refused(stub):
    request = pb.UpdateRequest(identity="a", patch_json=b"{}")
    request.patch["x"].CopyFrom(to_value(1))
    _, error = await refused(stub.Update(request))
    assert [violation.field for violation in error.violations] == ["patch_json"]


@pytest.mark.parametrize("identity", ["", LONG, "a\nb", "a\x00", "\u2028"])
async def test_an_identity_that_cannot_be_one_is_refused_everywhere(stub, identity):
    calls = [
        stub.Register(pb.RegisterRequest(identity=identity)),
        stub.Get(pb.GetRequest(identities=[identity])),
        stub.Unregister(pb.UnregisterRequest(identity=identity)),
        stub.ListDeadLetters(pb.ListDeadLettersRequest(identity=identity)).read(),
        stub.ReplayDeadLetters(pb.ReplayDeadLettersRequest(identity=identity)),
        stub.Update(pb.UpdateRequest(identity=identity)),
    ]
    for call in calls:
        code, error = await refused(call)
        assert code is StatusCode.INVALID_ARGUMENT
        assert "identity" in error.message


@pytest.mark.parametrize("identity", ["", LONG, "a\nb", "a\x00", "\u2028"])
async def test_an_identity_that_cannot_be_one_fails_alone_in_a_batch(stub, identity):
    await stub.Register(pb.RegisterRequest(identity="a"))
    renewed = await stub.Heartbeat(pb.HeartbeatRequest(identities=[identity, "a"], ttl_seconds=60))
    removed = await stub.UnregisterMany(pb.UnregisterManyRequest(identities=[identity, "a"]))
    assert [moment > 0 for moment in renewed.expires_at_us] == list(removed.removed) == [False, True]
    for answer in (renewed, removed):
        (failed,) = answer.errors
        assert (failed.index, failed.status.code) == (0, StatusCode.INVALID_ARGUMENT.value[0])
        assert "identity" in failed.status.message


@pytest.mark.parametrize("namespace", ["x" * 129, "a\nb"])
async def test_a_namespace_that_cannot_be_one_is_refused(stub, namespace):
    code, error = await refused(stub.Count(pb.CountRequest(namespace=namespace)))
    assert code is StatusCode.INVALID_ARGUMENT
    assert "namespace" in error.message


async def test_metadata_over_the_limit_is_refused_with_value_limit_and_fix(stub):
    metadata = b'{"x":"%s"}' % (b"y" * 65_536)
    _, error = await refused(stub.Register(pb.RegisterRequest(identity="a", metadata_json=metadata)))
    assert type(error) is LimitExceeded
    assert error.message == "metadata: 65,544 bytes is over the limit of 65,536; store less in it"


async def test_a_payload_over_the_limit_is_refused(stub):
    _, error = await refused(stub.Multicast(pb.MulticastRequest(payload=b"x" * (1024 * 1024 + 1))))
    assert type(error) is LimitExceeded
    assert "payload" in error.message


async def test_a_request_over_what_is_read_at_all_is_refused(stub):
    code, error = await refused(stub.Multicast(pb.MulticastRequest(payload=b"x" * (8 * 1024 * 1024 + 1))))
    assert code is StatusCode.RESOURCE_EXHAUSTED
    assert type(error) is LimitExceeded


async def test_batches_over_the_limit_are_refused(stub):
    names = [str(i) for i in range(10_001)]
    calls = [
        stub.RegisterMany(pb.RegisterManyRequest(identities=names, metadata_json=[b"{}"] * len(names))),
        stub.Get(pb.GetRequest(identities=names)),
        stub.Heartbeat(pb.HeartbeatRequest(identities=names)),
        stub.UnregisterMany(pb.UnregisterManyRequest(identities=names)),
    ]
    for call in calls:
        _, error = await refused(call)
        assert type(error) is LimitExceeded
        assert "10,001 items is over the limit of 10,000" in error.message


async def test_columns_of_unequal_length_are_refused(stub):
    calls = {
        "metadata_json": stub.RegisterMany(pb.RegisterManyRequest(identities=["a", "b"], metadata_json=[b"{}"])),
        "registration_ids": stub.Heartbeat(pb.HeartbeatRequest(identities=["a"], registration_ids=["x", "y"])),
    }
    for field, call in calls.items():
        _, error = await refused(call)
        assert [violation.field for violation in error.violations] == [field]


@pytest.mark.parametrize("ttl", [-1, 2**63 - 1])
async def test_a_ttl_out_of_range_is_refused(stub, ttl):
    calls = [
        stub.Register(pb.RegisterRequest(identity="a", ttl_seconds=ttl)),
        stub.RegisterMany(pb.RegisterManyRequest(identities=["a"], metadata_json=[b"{}"], ttl_seconds=ttl)),
        stub.Heartbeat(pb.HeartbeatRequest(identities=["a"], ttl_seconds=ttl)),
    ]
    for call in calls:
        _, error = await refused(call)
        assert [violation.field for violation in error.violations] == ["ttl_seconds"]


async def test_a_ttl_over_the_namespaces_maximum_names_the_field_of_the_request():
    config = load_config({"namespaces": [{"name": "default", "ttl": {"max": "1h"}}]})
    async with Proxy(config, listen="127.0.0.1:0", http_listen=OFF) as proxy:
        async with grpc.aio.insecure_channel(proxy.address) as channel:
            stub = MulticastRegistryServiceStub(channel)
            _, error = await refused(stub.Register(pb.RegisterRequest(identity="a", ttl_seconds=86_400)))
            stream = Stream(stub)
            refusal = (await stream.attach("a", ttl_seconds=86_400)).refused
            await stream.call.done_writing()
    assert [violation.field for violation in error.violations] == ["ttl_seconds"]
    assert [problem.field for problem in refusal.problems] == ["ttl_seconds"]


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("timeout_ms", pb.MulticastRequest(timeout_ms=-1)),
        ("timeout_ms", pb.MulticastRequest(timeout_ms=300_001)),
        ("message_ttl_seconds", pb.MulticastRequest(message_ttl_seconds=0)),
        ("message_id", pb.MulticastRequest(message_id="")),
        ("message_id", pb.MulticastRequest(message_id="x" * 65)),
        ("content_type", pb.MulticastRequest(content_type="a\nb")),
        ("delivery", pb.MulticastRequest(delivery=17)),
    ],
    ids=str,
)
async def test_what_a_multicast_cannot_do_is_refused_by_field(stub, field, request_):
    code, error = await refused(stub.Multicast(request_))
    assert code is StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in error.violations] == [field]


@pytest.mark.parametrize(
    ("field", "page"),
    [
        ("pagination.limit", pb.Pagination(limit=5_001)),
        ("pagination.limit", pb.Pagination(limit=-1)),
        ("pagination.offset", pb.Pagination(offset=-1)),
        ("pagination.offset", pb.Pagination(offset=1, cursor="x")),
    ],
    ids=str,
)
async def test_a_page_out_of_range_is_refused(stub, field, page):
    code, error = await refused(stub.Enumerate(pb.EnumerateRequest(pagination=page)))
    assert code is StatusCode.INVALID_ARGUMENT
    assert field in error.message


async def test_a_cursor_that_is_none_is_refused(stub):
    request = pb.EnumerateRequest(pagination=pb.Pagination(cursor="garbage"))
    code, error = await refused(stub.Enumerate(request))
    assert code is StatusCode.INVALID_ARGUMENT
    assert isinstance(error, InvalidArgument)


async def test_a_sort_order_over_the_limit_is_refused(stub):
    request = pb.EnumerateRequest(sort_by=[f"f{i}" for i in range(9)])
    _, error = await refused(stub.Enumerate(request))
    assert type(error) is LimitExceeded


async def test_a_wrong_filter_ends_a_stream_of_pages_with_its_error(stub):
    call = stub.EnumeratePages(pb.EnumerateRequest(filter=Filter()))
    code, error = await refused(call.read())
    assert code is StatusCode.INVALID_ARGUMENT
    assert type(error) is InvalidFilter


async def test_an_offset_outside_the_statuses_is_refused(stub):
    await stub.Multicast(pb.MulticastRequest(message_id="m"))
    _, error = await refused(stub.GetMulticast(pb.GetMulticastRequest(message_id="m", offset=5)))
    assert [violation.field for violation in error.violations] == ["offset"]


async def test_an_answer_too_large_for_one_message_says_to_ask_for_less(stub):
    names = [f"d{i}" for i in range(70)]
    metadata = [b'{"x":"%s"}' % (b"y" * 60_000)] * 35
    for part in (names[:35], names[35:]):
        await stub.RegisterMany(pb.RegisterManyRequest(identities=part, metadata_json=metadata))
    _, error = await refused(stub.Get(pb.GetRequest(identities=names)))
    assert type(error) is LimitExceeded
    assert "ask for fewer" in error.message


async def test_an_unknown_namespace_is_not_found_and_the_near_one_is_named():
    config = load_config({"namespaces": [{"name": "devices", "pattern": "multicast-registry"}]})
    async with Proxy(config, listen="127.0.0.1:0", http_listen=OFF) as proxy, _channel(proxy) as channel:
        stub = MulticastRegistryServiceStub(channel)
        code, error = await refused(stub.Count(pb.CountRequest(namespace="device")))
        assert code is StatusCode.NOT_FOUND
        assert type(error) is NotFound
        assert 'did you mean "devices"' in error.message
        assert (await stub.Count(pb.CountRequest(namespace="devices"))).count == 0


async def test_registrations_over_the_namespaces_quota_are_refused():
    namespace = {"name": "default", "pattern": "multicast-registry", "limits": {"registrations": 1}}
    config = load_config({"namespaces": [namespace]})
    async with Proxy(config, listen="127.0.0.1:0", http_listen=OFF) as proxy, _channel(proxy) as channel:
        stub = MulticastRegistryServiceStub(channel)
        await stub.Register(pb.RegisterRequest(identity="a"))
        code, error = await refused(stub.Register(pb.RegisterRequest(identity="b")))
        assert code is StatusCode.RESOURCE_EXHAUSTED
        assert type(error) is QuotaExceeded


async def test_a_bug_is_reported_by_an_incident_number_and_never_by_its_traceback(proxy, stub, monkeypatch, caplog):
    async def broken(*_: object, **__: object) -> int:
        raise ZeroDivisionError("secret inside")

    monkeypatch.setattr(proxy.coordinator, "count", broken)
    with caplog.at_level(logging.ERROR, "prism.server"):
        code, error = await refused(stub.Count(pb.CountRequest()))
    assert code is StatusCode.INTERNAL
    assert type(error) is InternalError
    assert "secret" not in str(error)
    assert error.details["incident"] in caplog.text
    assert "ZeroDivisionError: secret inside" in caplog.text


async def test_a_failed_batch_with_thousands_of_errors_still_fits_one_answer(stub):
    names = [f"bad\n{i}" for i in range(10_000)]
    request = pb.RegisterManyRequest(identities=names, metadata_json=[b"{}"] * len(names))
    answer = await stub.RegisterMany(request)
    assert len(answer.errors) == 10_000
    assert answer.ByteSize() < 4 * 1024 * 1024


def _channel(proxy: Proxy):
    import grpc

    return grpc.aio.insecure_channel(proxy.address)
