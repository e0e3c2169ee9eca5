"""Two proxies over Redis in all three slots: registered on one, reached from the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.delivery import Status
from prism.model.errors import InvalidConfig
from prism.model.operations import AttachItem
from prism.sessions.hub import Hub
from support.proxies import NS, Proxy, eventually


def configured(slot: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A namespace with Redis in all slots, its options as in the RFC's example."""
    slots = {
        "registry": {"type": "redis", **slot, "ttl_default": 300},
        "messaging": {"type": "redis", **slot, "delivery": "at-most-once"},
        "durability": {"type": "redis", **slot},
    }
    return {"namespaces": [{"name": NS, "pattern": "multicast-registry", "backend_slots": slots, **more}]}


@pytest.fixture
async def proxies(config: dict[str, Any]) -> AsyncIterator[list[Proxy]]:
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            coordinator = await stack.enter_async_context(Coordinator(load_config(configured(config))))
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


async def test_unregistered_identity_is_reached_no_more(proxies: list[Proxy]) -> None:
    one, other = proxies
    await one.register("alice", {"room": "a"})
    assert await other.unregister("alice")
    assert (await one.send({"room": "a"}, b"x", timeout=1)).target_count == 0
    assert await one.get("alice") is None


async def test_identity_whose_ttl_is_over_is_swept_with_its_queue(proxies: list[Proxy]) -> None:
    one, other = proxies
    await one.register("alice", {"room": "a"}, ttl=1)

    async def is_gone() -> bool:
        return await other.get("alice") is None

    async with asyncio.timeout(20):
        await eventually(is_gone)
    assert (await other.send({"room": "a"}, b"x", delivery="at-least-once", timeout=1)).target_count == 0


async def test_strong_consistency_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match="strong"):
        load_config(configured(config, needs={"consistency": "strong"}))


async def test_persistent_durability_is_refused_on_a_server_that_keeps_nothing(config: dict[str, Any]) -> None:
    demanding = load_config(configured(config, needs={"durability": "persistent"}))
    with pytest.raises(InvalidConfig, match="persistent"):
        async with Coordinator(demanding):
            pass
