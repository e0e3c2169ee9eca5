"""Stock grpcurl, which knows nothing of Prism, lists, describes and calls everything by reflection."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from prism.v1 import registry_pb2 as pb
from support.grpcurl import BUILD_TIMEOUT, called, grpcurl, grpcurl_path

pytestmark = pytest.mark.timeout(BUILD_TIMEOUT + 60)

SERVICE = "prism.v1.MulticastRegistryService"
METHODS = [method.name for method in pb.DESCRIPTOR.services_by_name["MulticastRegistryService"].methods]
PAYLOAD = base64.b64encode(b"hello").decode()

REQUESTS = {
    "Register": {"identity": "b", "metadata": {"room": {"string_value": "x"}}, "ttl_seconds": 60},
    "RegisterMany": {"identities": ["c"], "metadata_json": [base64.b64encode(b"{}").decode()]},
    "Get": {"identities": ["a"]},
    "Enumerate": {"filter": {"json": '{"room": "x"}'}, "sort_by": ["room desc"], "pagination": {"limit": 10}},
    "EnumeratePages": {"include_metadata": False},
    "Count": {"filter": {"comparison": {"path": "room", "operator": "OPERATOR_EQ", "operand": {"string_value": "x"}}}},
    "Explain": {"filter": {"json": '{"room": "x"}'}},
    "Multicast": {"payload": PAYLOAD, "timeout_ms": 100, "message_id": "m-1"},
    "GetMulticast": {"message_id": "m-0"},
    "ListDeadLetters": {"identity": "a"},
    "ReplayDeadLetters": {"identity": "a", "message_ids": ["m-0"]},
    "Unregister": {"identity": "a"},
    "UnregisterMany": {"identities": ["a"]},
    "Heartbeat": {"identities": ["a"], "ttl_seconds": 60},
    "Update": {"identity": "a", "patch": {"room": {"null_value": "NULL_VALUE"}}},
    "Attach": {"attach": [{"identity": "d"}]},
}
"""A request for every method; `a` is registered and `m-0` was sent before each."""

EXPECTED = {
    "Register": lambda answer: answer["success"] and answer["registration_id"],
    "RegisterMany": lambda answer: len(answer["registration_ids"]) == 1,
    "Get": lambda answer: answer["found"][0]["metadata"] == {"room": {"string_value": "x"}},
    "Enumerate": lambda answer: answer["total_count"] == "1",
    "EnumeratePages": lambda answer: answer["identities"] == ["a"],
    "Count": lambda answer: answer["count"] == "1",
    "Explain": lambda answer: answer["registry"] == "memory",
    "Multicast": lambda answer: answer["statuses"][0]["status"] == "FAILED",
    "GetMulticast": lambda answer: answer["target_count"] == "1",
    "ListDeadLetters": lambda answer: not answer.get("dead_letters"),
    "ReplayDeadLetters": lambda answer: answer.get("replayed", "0") == "0",
    "Unregister": lambda answer: answer["removed"],
    "UnregisterMany": lambda answer: answer["removed"] == [True],
    "Heartbeat": lambda answer: int(answer["expires_at_us"][0]) > 0,
    "Update": lambda answer: base64.b64decode(answer["metadata_json"]) == b"{}",
    "Attach": lambda answer: answer["events"][0]["refused"]["reason"] == "NOT_FOUND",
}


@pytest.fixture(scope="module")
def program() -> Path:
    return grpcurl_path()


async def test_reflection_lists_the_services(program, proxy):
    code, printed = await grpcurl(program, proxy.address, "list")
    assert code == 0
    assert {SERVICE, "grpc.health.v1.Health"} <= set(printed.split())


async def test_reflection_lists_every_method(program, proxy):
    _, printed = await grpcurl(program, proxy.address, "list", SERVICE)
    assert sorted(printed.split()) == sorted(f"{SERVICE}.{method}" for method in METHODS)


@pytest.mark.parametrize("symbol", [SERVICE, "prism.v1.Filter", "prism.v1.AttachResponse", "prism.v1.ItemError"])
async def test_reflection_describes(program, proxy, symbol):
    code, printed = await grpcurl(program, proxy.address, "describe", symbol)
    assert code == 0
    assert symbol in printed


def test_there_is_a_request_for_every_method():
    assert REQUESTS.keys() == EXPECTED.keys() == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
async def test_every_method_can_be_called_by_hand(program, proxy, stub, method):
    await stub.Register(pb.RegisterRequest(identity="a", metadata_json=b'{"room":"x"}'))
    await stub.Multicast(pb.MulticastRequest(payload=b"x", message_id="m-0"))
    answer = await called(program, proxy.address, method, REQUESTS[method])
    assert EXPECTED[method](answer)


async def test_errors_show_their_details(program, proxy):
    request = json.dumps({"identity": "", "ttl_seconds": -1})
    code, printed = await grpcurl(program, proxy.address, f"{SERVICE}/Register", data=request)
    assert code != 0
    assert "InvalidArgument" in printed
    assert '"domain": "prism"' in printed
    assert '"field": "ttl_seconds"' in printed


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_health_is_serving(program, proxy, service):
    request = json.dumps({"service": service})
    code, printed = await grpcurl(program, proxy.address, "grpc.health.v1.Health/Check", data=request)
    assert (code, json.loads(printed)) == (0, {"status": "SERVING"})
