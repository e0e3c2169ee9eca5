"""A slot that hangs is named to the caller before the caller gives up on the proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from prism import Client
from prism.config import load_config
from prism.model.deadline import answering_within
from prism.model.errors import DeadlineExceeded
from prism.plugins.spec import SlotKind
from prism.server.app import OFF, Proxy

TIMEOUT = 1.0


async def hang(*_: Any, **__: Any) -> Any:
    await asyncio.Event().wait()


def hang_scan(*_: Any) -> AsyncIterator[Any]:
    async def read() -> AsyncIterator[Any]:
        await hang()
        yield None

    return read()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with Proxy(load_config(None), listen="127.0.0.1:0", http_listen=OFF) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Client]:
    async with Client(address=proxy.address) as patient:
        await patient.registry.register("there")
    async with Client(address=proxy.address, timeout=TIMEOUT) as client:
        yield client


async def attach(client: Client) -> None:
    async with client.registry.attach("a", {}):
        pass


QUEUES: dict[str, tuple[str, Callable[[Client], Awaitable[Any]]]] = {
    "register": ("create", lambda client: client.registry.register("a")),
    "unregister": ("mark", lambda client: client.registry.unregister("there")),
    "attach": ("create", attach),
    "dead letters": ("dead_letters", lambda client: client.registry.dead_letters("there")),
    "replay": ("replay", lambda client: client.registry.replay("there", ["m"])),
}


@pytest.mark.parametrize("call", QUEUES)
async def test_a_hanging_durability_slot_is_named_in_time(proxy, client, monkeypatch, call):
    method, do = QUEUES[call]
    ns = await proxy.coordinator.namespace("default")
    monkeypatch.setattr(ns.durability, method, hang)
    text = r"the durability slot \(memory\) .* no answer in the caller's time"
    with pytest.raises(DeadlineExceeded, match=text) as caught:
        await asyncio.wait_for(do(client), 3 * TIMEOUT)
    assert caught.value.details["slot"] == "durability"


async def test_a_hanging_scan_is_named_in_time(proxy, client, monkeypatch):
    ns = await proxy.coordinator.namespace("default")
    monkeypatch.setattr(ns.registry, "scan", hang_scan)
    with pytest.raises(DeadlineExceeded, match=r"the registry slot \(memory\) .* failed to scan"):
        await client.registry.enumerate()


async def test_an_embedded_call_names_the_slot_too(monkeypatch):
    async with Client.embedded(timeout=TIMEOUT) as client:
        await client.registry.register("there")
        transport: Any = await client.registry._connect()
        ns = await transport._coordinator.namespace("default")
        monkeypatch.setattr(ns.registry, "get", hang)
        with pytest.raises(DeadlineExceeded, match=r"the registry slot \(memory\)"):
            await client.registry.get("there")


async def test_a_caller_without_a_deadline_is_waited_for(proxy, monkeypatch):
    ns = await proxy.coordinator.namespace("default")
    monkeypatch.setattr(ns.registry, "get", hang)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(proxy.coordinator.get("default", ["a"]), 0.05)


async def test_a_caller_that_cancels_is_not_told_of_a_deadline(proxy):
    ns = await proxy.coordinator.namespace("default")

    async def call() -> None:
        with answering_within(30), ns.guard(SlotKind.REGISTRY)("get"):
            await hang()

    calling = asyncio.create_task(call())
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


async def test_what_a_call_leaves_running_has_no_deadline(proxy):
    ns = await proxy.coordinator.namespace("default")
    done = asyncio.Event()

    async def left_behind() -> str:
        with ns.guard(SlotKind.REGISTRY)("get"):
            await done.wait()
        return "finished"

    with answering_within(0.05):
        task = asyncio.create_task(left_behind())
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    done.set()
    assert await task == "finished"
