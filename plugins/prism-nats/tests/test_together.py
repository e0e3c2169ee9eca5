"""Proxies over NATS, end to end: what native subscribers get, what the statuses say, and a node that dies meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import nats
import pytest
import yaml
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.delivery import Status
from prism.model.message import DeliverySemantics
from prism.model.operations import AttachItem
from prism.sessions.events import Delivery
from prism.sessions.hub import Hub
from prism_conformance.servers import Server, shared
from prism_nats.config import NatsConfig
from prism_nats.messaging import NatsMessaging
from support.proxies import NS, Proxy, eventually

from .conftest import Until, flushed

MEBIBYTE = 1024 * 1024


@asynccontextmanager
async def proxies_on(server: Server, number: int = 2, **options: Any) -> AsyncIterator[list[Proxy]]:
    """Proxies that share a registry in Redis, and everything else by a NATS server."""
    redis = shared("redis")
    slot = {"type": "nats", "servers": server.url.split(","), "subject_prefix": server.scope, **options}
    slots = {
        "registry": {"type": "redis", "host": redis.host, "port": redis.port, "key_prefix": redis.scope},
        "messaging": slot,
        "durability": slot,
    }
    config = load_config({"namespaces": [{"name": NS, "pattern": "multicast-registry", "backend_slots": slots}]})
    async with AsyncExitStack() as stack:
        proxies = []
        for _ in range(number):
            coordinator = await stack.enter_async_context(Coordinator(config))
            proxies.append(Proxy(coordinator, await stack.enter_async_context(Hub(coordinator))))
        yield proxies


EXAMPLE_1 = """
messaging:
  type: nats
  servers: ["nats://localhost:4222"]
  delivery: at-most-once
"""


def example(text: str, **more: Any) -> Mapping[str, Any]:
    slots = {"registry": {"type": "redis"}, **yaml.safe_load(text), **more}
    return {"namespaces": [{"name": "presence", "pattern": "multicast-registry", "backend_slots": slots}]}


def test_messaging_block_of_the_rfcs_first_example_is_accepted_as_printed() -> None:
    namespace = load_config(example(EXAMPLE_1)).namespaces["presence"]
    assert namespace.delivery is DeliverySemantics.AT_MOST_ONCE
    assert isinstance(namespace.messaging.config, NatsConfig)
    assert namespace.messaging.config.servers == ("nats://localhost:4222",)


def test_delivery_option_is_the_namespaces_default() -> None:
    text = EXAMPLE_1.replace("at-most-once", "at-least-once")
    namespace = load_config(example(text, durability={"type": "nats"})).namespaces["presence"]
    assert namespace.delivery is DeliverySemantics.AT_LEAST_ONCE


async def test_native_subscriber_receives_a_multicast(nats_server: Server) -> None:
    client = await nats.connect(nats_server.url)
    everything = await client.subscribe(f"{nats_server.scope}.{NS}.to.*")
    await flushed(client)
    async with proxies_on(nats_server) as (one, other):
        await one.register("user 1", {"room": "a"})
        await one.register("user 2", {"room": "b"})
        result = await other.send({"room": "a"}, b"\x00hello", content_type="text/plain", message_id="m1")
    message = await everything.next_msg(timeout=5)
    assert message.subject == f"{nats_server.scope}.{NS}.to.user%201"
    assert message.data == b"\x00hello"
    assert message.headers is not None
    sent_at = message.headers.pop("Prism-Sent-At")
    assert sent_at.endswith("Z")
    assert message.headers == {"Prism-Namespace": NS, "Prism-Message-Id": "m1", "Content-Type": "text/plain"}
    assert [(item.identity, item.status, item.error) for item in result.statuses] == [
        ("user 1", Status.PENDING, "sent to its topic; the broker doesn't say whether anybody listens")
    ]
    await client.close()


async def test_statuses_of_native_topics_tell_what_nats_knows(nats_server: Server) -> None:
    client = await nats.connect(nats_server.url)
    for i in range(0, 100, 3):
        await client.subscribe(f"{nats_server.scope}.{NS}.to.user-{i}")
    await flushed(client)
    async with proxies_on(nats_server, 1) as (proxy,):
        for i in range(100):
            await proxy.register(f"user-{i}", {"room": "a"})
        result = await proxy.send({"room": "a"}, b"x")
    statuses = {item.identity: item.status for item in result.statuses}
    assert statuses == {f"user-{i}": Status.FAILED if i % 3 else Status.PENDING for i in range(100)}
    assert (result.delivered_count, result.pending_count, result.failed_count) == (0, 34, 66)
    await client.close()


async def test_what_no_message_can_carry_fails_for_native_topics_and_says_why(nats_server: Server) -> None:
    async with proxies_on(nats_server, 1) as (proxy,):
        await proxy.register("alice", {"room": "a"})
        result = await proxy.send({"room": "a"}, bytes(MEBIBYTE))
    (status,) = result.statuses
    assert status.status is Status.FAILED
    assert "max_payload of 1,048,576" in str(status.error)


@pytest.mark.parametrize("size", [5, MEBIBYTE])
async def test_attached_on_one_proxy_is_reached_from_the_other(nats_server: Server, size: int) -> None:
    payload = bytes(i % 251 for i in range(size))
    async with proxies_on(nats_server) as (one, other), one.stream(AttachItem("alice", {"room": "a"})) as stream:
        result = await other.send({"room": "a"}, payload, timeout=10)
        assert [(item.identity, item.status) for item in result.statuses] == [("alice", Status.DELIVERED)]
        result = await other.send({"room": "a"}, payload, delivery="at-least-once", timeout=0)
        assert (result.pending_count, result.failed_count) == (1, 0)
        await stream.until(Delivery, 2)
        assert stream.payloads == [payload] * 2


async def test_a_mebibyte_waits_for_an_identity_that_is_away(nats_server: Server) -> None:
    payload = bytes(i % 251 for i in range(MEBIBYTE))
    async with proxies_on(nats_server) as (one, other):
        await one.register("alice", {"room": "a"})
        result = await other.send({"room": "a"}, payload, delivery="at-least-once", timeout=0)
        assert (result.target_count, result.failed_count) == (1, 0)
        async with one.stream() as stream:
            await stream.attach("alice")
            await eventually(lambda: stream.payloads == [payload])


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "ours", [pytest.param(True, marks=pytest.mark.soak), False], ids=["the node we talk to", "another node"]
)
async def test_node_killed_in_the_middle_of_multicasts_loses_nothing_that_was_stored(
    start_server: Callable[..., Server], until: Until, ours: bool
) -> None:
    cluster = await asyncio.to_thread(start_server, "nats_cluster")
    options = {"stream": {"replicas": 3}, "timeout": 20, "reconnect": {"wait": 0.05}}
    names = [f"user-{i}" for i in range(20)]
    stored: dict[str, set[str]] = {name: set() for name in names}
    async with proxies_on(cluster, 2, **options) as (one, other):
        messaging = one.coordinator._namespaces[NS].messaging
        assert isinstance(messaging, NatsMessaging)
        at = messaging._link.wire.connected_url
        assert at is not None
        node = next(i for i, each in enumerate(cluster.nodes) if (each.port == at.port) is ours)
        async with other.stream() as stream:
            handles = {(await stream.attach(AttachItem(name, {"room": "a"}))).handle: name for name in names}

            async def multicast(number: int) -> None:
                """Sends one message at least once, until the answer is that all have it."""
                message_id = f"m{number}"

                async def all_stored() -> bool:
                    result = await one.send(
                        {"room": "a"}, b"x", delivery="at-least-once", timeout=0, message_id=message_id
                    )
                    for item in result.statuses:
                        if item.status in {Status.DELIVERED, Status.PENDING}:
                            stored[item.identity].add(message_id)
                    return result.failed_count + result.timeout_count == 0

                await until(all_stored, 60)

            for number in range(3):
                await multicast(number)
            dying = asyncio.create_task(asyncio.to_thread(cluster.kill, node=node))
            for number in range(3, 12):
                await multicast(number)
            await dying
            arrived: dict[str, set[str]] = {name: set() for name in names}

            def all_arrived() -> bool:
                for delivery in stream.of(Delivery):
                    for handle in delivery.handles:
                        arrived[handles[handle]].add(delivery.message.id)
                return all(stored[name] <= arrived[name] for name in names)

            await eventually(all_arrived, 60)
    assert stored == {name: {f"m{i}" for i in range(12)} for name in names}
    assert arrived == stored
