"""Two proxies over Kafka for messaging and durability: registered on one, reached from the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.delivery import Status
from prism.model.operations import AttachItem
from prism.sessions.hub import Hub
from prism_conformance.servers import shared
from support.proxies import NS, Proxy, eventually


def configured(config: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A namespace with the RFC's second example's messaging and durability, and a registry that proxies share."""
    valkey = shared("valkey")
    slots = {
        "registry": {"type": "redis", "url": valkey.url, "key_prefix": valkey.scope},
        "messaging": {"type": "kafka", **config, "delivery": "at-least-once", "retention": "7d"},
        "durability": {"use_messaging": True},
    }
    return {"namespaces": [{"name": NS, "pattern": "multicast-registry", "backend_slots": slots, **more}]}


@pytest.fixture
async def proxies(config: dict[str, Any]) -> AsyncIterator[list[Proxy]]:
    settings = load_config(configured(config))
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            coordinator = await stack.enter_async_context(Coordinator(settings))
            hub = await stack.enter_async_context(Hub(coordinator))
            found.append(Proxy(coordinator, hub))
        yield found


async def test_attached_on_one_proxy_is_reached_from_the_other(proxies: list[Proxy]) -> None:
    one, other = proxies
    async with one.stream(AttachItem("alice", {"room": "a"}), AttachItem("bob", {"room": "b"})) as stream:
        result = await other.send({"room": "a"}, b"hello", timeout=5)
        assert [(item.identity, item.status) for item in result.statuses] == [("alice", Status.DELIVERED)]
        await eventually(lambda: stream.payloads == [b"hello"])


async def test_message_sent_at_least_once_while_nobody_listens_is_delivered_later(proxies: list[Proxy]) -> None:
    one, other = proxies
    await one.register("alice", {"room": "a"})
    result = await other.send({"room": "a"}, b"kept", delivery="at-least-once", timeout=0)
    assert (result.target_count, result.failed_count) == (1, 0)
    async with one.stream() as stream:
        await stream.attach("alice")
        await eventually(lambda: stream.payloads == [b"kept"])


async def test_messages_sent_at_least_once_arrive_in_order(proxies: list[Proxy]) -> None:
    one, other = proxies
    async with one.stream(AttachItem("alice", {"room": "a"})) as stream:
        for i in range(20):
            await other.send({"room": "a"}, b"%d" % i, delivery="at-least-once", timeout=0)
        await eventually(lambda: len(stream.payloads) == 20)
        assert stream.payloads == [b"%d" % i for i in range(20)]


async def test_unregistered_identity_is_reached_no_more(proxies: list[Proxy]) -> None:
    one, other = proxies
    await one.register("alice", {"room": "a"})
    assert await other.unregister("alice")
    assert (await one.send({"room": "a"}, b"x", delivery="at-least-once", timeout=1)).target_count == 0


async def test_sender_that_asks_who_listens_is_told_that_nobody_knows(proxies: list[Proxy]) -> None:
    one, _ = proxies
    await one.register("alice", {"room": "a"})
    result = await one.send({"room": "a"}, b"x", timeout=1)
    assert [item.status for item in result.statuses] == [Status.PENDING]
