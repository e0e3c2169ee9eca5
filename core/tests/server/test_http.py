"""Health, readiness and metrics over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import ClassVar

import aiohttp
import grpc
import pytest
from prism.config import load_config
from prism.coordinator import namespace
from prism.memory.durability import MemoryDurability
from prism.model.errors import InvalidConfig, Unavailable
from prism.model.time import SECOND
from prism.server.addresses import join_address, split_address
from prism.server.app import OFF, Proxy
from prism.slots.optional import Measured
from prism.v1 import registry_pb2 as pb
from prism.v1.registry_pb2_grpc import MulticastRegistryServiceStub
from prometheus_client.parser import text_string_to_metric_families
from support.calls import Stream, refused


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with Proxy(load_config(None), listen="127.0.0.1:0", http_listen="127.0.0.1:0") as proxy:
        yield proxy


async def get(proxy: Proxy, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{proxy.http_address}{path}") as answer:
        return answer.status, await answer.text()


async def metrics(proxy: Proxy) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample, by its name and the values of its labels in the order of their names."""
    _, text = await get(proxy, "/metrics")
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples]
    return {(s.name, tuple(value for _, value in sorted(s.labels.items()))): s.value for s in samples}


async def test_a_serving_proxy_is_healthy_and_ready(proxy):
    assert await get(proxy, "/health") == (200, '{"status": "ok"}')
    assert await get(proxy, "/ready") == (200, '{"status": "ready"}')


async def test_a_proxy_whose_slot_fails_is_not_ready_and_says_which(proxy, monkeypatch):
    ns = await proxy.coordinator.namespace("default")

    async def unreachable() -> None:
        raise ConnectionRefusedError("no answer")

    monkeypatch.setattr(type(ns.registry), "check", lambda _: unreachable())
    status, body = await get(proxy, "/ready")
    assert status == 503
    assert '"slot": "registry"' in body
    assert '"namespace": "default"' in body
    assert (await get(proxy, "/health"))[0] == 200


async def test_a_proxy_whose_slots_do_not_answer_says_which(proxy, monkeypatch):
    ns = await proxy.coordinator.namespace("default")
    monkeypatch.setattr(namespace, "CHECK_TIMEOUT", 0.05)
    monkeypatch.setattr(ns.messaging, "check", asyncio.Event().wait)
    monkeypatch.setattr(ns.durability, "check", asyncio.Event().wait)
    status, body = await get(proxy, "/ready")
    assert status == 503
    answer = json.loads(body)
    assert answer["slot"] == "messaging"
    for slot in ("messaging", "durability"):
        text = (
            f"the {slot} slot (memory) of namespace 'default' failed to answer a health check: no answer within 0.05 s"
        )
        assert text in answer["message"]


async def test_a_draining_proxy_is_not_ready_but_alive(proxy):
    async with grpc.aio.insecure_channel(proxy.address) as channel:
        stream = Stream(MulticastRegistryServiceStub(channel))
        await stream.attach("a")
        draining = asyncio.create_task(proxy.drain(5 * SECOND))
        assert (await stream.event()).WhichOneof("kind") == "draining"
        assert await get(proxy, "/ready") == (503, '{"status": "draining"}')
        assert (await get(proxy, "/health"))[0] == 200
        stream.call.cancel()
        await draining


async def test_metrics_count_operations_calls_and_sessions(proxy):
    async with grpc.aio.insecure_channel(proxy.address) as channel:
        stub = MulticastRegistryServiceStub(channel)
        stream = Stream(stub)
        await stream.attach("a")
        await stub.Register(pb.RegisterRequest(identity="b"))
        await refused(stub.Register(pb.RegisterRequest(identity="b")))
        await stub.Multicast(pb.MulticastRequest(payload=b"x"))
        found = await metrics(proxy)
    assert found["prism_registered_total", ("default",)] == 2
    assert found["prism_multicasts_total", ("default",)] == 1
    assert found["prism_deliveries_total", ("default", "delivered")] == 1
    assert found["prism_deliveries_total", ("default", "failed")] == 1
    assert found["prism_streams", ()] == 1
    assert found["prism_attached", ("default",)] == 1
    assert found["prism_grpc_calls_total", ("OK", "Register")] == 1
    assert found["prism_grpc_calls_total", ("ALREADY_EXISTS", "Register")] == 1
    assert found["prism_grpc_seconds_count", ("Register",)] == 2
    assert found["prism_grpc_seconds_bucket", ("+Inf", "Register")] == 2


async def test_what_slots_measure_themselves_is_shown_by_namespace_and_slot(proxy):
    class Gauged(MemoryDurability, Measured):
        meanings: ClassVar[dict[str, str]] = {"log_lag_records": "Records that are still to come."}

        def gauges(self) -> dict[str, float]:
            return {"log_lag_records": 7}

        def counters(self) -> dict[str, float]:
            return {"refused_records": 3}

    ns = await proxy.coordinator.namespace("default")
    ns.durability.__class__ = Gauged
    found = await metrics(proxy)
    assert found["prism_memory_log_lag_records", ("default", "durability")] == 7
    assert found["prism_memory_refused_records_total", ("default", "durability")] == 3
    text = (await get(proxy, "/metrics"))[1]
    assert "# HELP prism_memory_log_lag_records Records that are still to come.\n" in text
    assert "# TYPE prism_memory_log_lag_records gauge\n" in text
    assert "# TYPE prism_memory_refused_records_total counter\n" in text


async def test_without_an_http_address_nothing_is_served():
    async with Proxy(load_config(None), listen="127.0.0.1:0", http_listen=OFF) as proxy:
        assert proxy.http_address is None


async def test_two_proxies_in_one_process_have_metrics_of_their_own(proxy):
    async with Proxy(load_config(None), listen="127.0.0.1:0", http_listen="127.0.0.1:0") as other:
        async with grpc.aio.insecure_channel(other.address) as channel:
            await MulticastRegistryServiceStub(channel).Register(pb.RegisterRequest(identity="a"))
        assert ("prism_registered_total", ("default",)) in await metrics(other)
        assert ("prism_registered_total", ("default",)) not in await metrics(proxy)


@pytest.mark.parametrize("edge", ["listen", "http_listen"])
async def test_a_port_that_is_taken_is_named(proxy, edge):
    taken = proxy.address if edge == "listen" else proxy.http_address
    addresses = {"listen": "127.0.0.1:0", "http_listen": OFF} | {edge: taken}
    with pytest.raises(Unavailable, match=taken):
        async with Proxy(load_config(None), **addresses):
            pass


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:7070", "127.0.0.1", 7070), ("[::1]:0", "::1", 0), ("localhost:1", "localhost", 1)],
)
def test_addresses_are_host_and_port(text, host, port):
    assert split_address(text) == (host, port)
    assert join_address(host, port) == text


@pytest.mark.parametrize("text", ["", "localhost", ":7070", "a:b", "a:70700", "a:-1", "a:"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InvalidConfig, match="HOST:PORT"):
        split_address(text)
