"""Proxies that die, come back, or drain, with identities attached."""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import prism
import pytest
from prism import Client, Disconnected, Draining, Reattached
from prism.config import load_config
from prism.server.app import OFF, Proxy
from support.clients import Events
from support.proxies import eventually, shared_memory

SERVE = """
import asyncio, sys
from prism.config import load_config
from prism.server.app import serve
asyncio.run(serve(load_config(None), listen=sys.argv[1], http_listen="off", ready=lambda _: print("ready", flush=True)))
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@asynccontextmanager
async def process(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A proxy in a process of its own, killed in the end."""
    proxy = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVE,
        f"127.0.0.1:{port}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert proxy.stdout is not None
    try:
        async with asyncio.timeout(60):
            while await proxy.stdout.readline() != b"ready\n":
                assert proxy.returncode is None
        yield proxy
    finally:
        if proxy.returncode is None:
            proxy.kill()
        await proxy.wait()


@asynccontextmanager
async def two_proxies() -> AsyncIterator[tuple[Proxy, Proxy]]:
    config = shared_memory(f"test-{secrets.token_hex(6)}")
    async with (
        Proxy(load_config(config), listen="127.0.0.1:0", http_listen=OFF) as one,
        Proxy(load_config(config), listen="127.0.0.1:0", http_listen=OFF) as two,
    ):
        yield one, two


async def test_inboxes_attach_again_when_a_killed_proxy_comes_back(port: int, events: Events) -> None:
    async with Client(address=f"127.0.0.1:{port}") as client:
        alone = client.registry.attach("alone", {"n": 1}, on_event=events)
        gateway = client.registry.attach({f"g{i}": {"n": 2} for i in range(20)}, on_event=events)
        async with process(port) as proxy:
            await alone.open()
            await gateway.open()
            assert (await client.registry.multicast(None, "before")).delivered_count == 21
            assert (await alone.receive(10)).gap_before is False
            proxy.kill()
            await events.wait(Disconnected, 2)
        async with process(port):
            back = await events.wait(Reattached, 2)
            assert sorted(len(event.identities) for event in back) == [1, 20]
            assert all(event.gap and event.duration > 0 for event in back)
            assert await client.registry.count() == 21
            assert (await client.registry.multicast(None, "after")).delivered_count == 21
            after = await alone.receive(10)
            assert (after.text, after.gap_before) == ("after", True)
            received = [await gateway.receive(10) for _ in range(40)]
            assert sum(message.text == "after" for message in received) == 20
            assert all(message.gap_before == (message.text == "after") for message in received)
            await alone.aclose()
            await gateway.aclose()
            assert await client.registry.count() == 0


async def test_an_identity_without_known_metadata_is_lost_with_its_registration(port: int) -> None:
    async with Client(address=f"127.0.0.1:{port}") as client:
        inbox = client.registry.attach("a")
        async with process(port):
            await client.registry.register("a", {"x": 1})
            await inbox.open()
        async with process(port):
            with pytest.raises(prism.NotFound, match="'a'"):
                await inbox.receive(30)


async def test_leaving_while_the_proxy_is_gone_ends_all_the_same(port: int, events: Events) -> None:
    async with Client(address=f"127.0.0.1:{port}", timeout=5) as client:
        async with process(port):
            inbox = client.registry.attach("a", {}, on_event=events)
            await inbox.open()
        await events.wait(Disconnected)
        await inbox.aclose()
        assert inbox.identities == ()


async def test_a_client_goes_on_with_another_proxy(events: Events) -> None:
    async with two_proxies() as (one, two), Client(address=f"{one.address},{two.address}") as client:
        async with client.registry.attach("a", {"x": 1}, on_event=events) as inbox:
            first_registration = inbox.registration_id("a")
            await one.stop()
            (back,) = await events.wait(Reattached)
            assert back.identities == ("a",)
            assert inbox.registration_id("a") != first_registration
            found = await client.registry.get("a")
            assert (found.metadata, found.attached) == ({"x": 1}, True)
            assert (await client.registry.multicast(None, "x")).delivered_count == 1
            assert (await inbox.receive(10)).gap_before is True


async def test_what_was_not_acked_comes_again_after_a_reconnect(events: Events) -> None:
    async with two_proxies() as (one, two), Client(address=f"{one.address},{two.address}") as client:
        async with client.registry.attach("a", {}, on_event=events) as inbox:
            await client.registry.multicast(None, "important", delivery="at-least-once", timeout=0)
            first = await inbox.receive(10)
            await one.stop()
            await events.wait(Reattached)
            await first.ack()
            second = await inbox.receive(40)
            assert second.id == first.id
            await second.ack()


async def test_a_draining_proxy_is_left_without_a_gap(events: Events) -> None:
    async with two_proxies() as (one, two):
        async with Client(address=f"{one.address},{two.address}") as client, Client(address=two.address) as sender:
            attached = {"g1": {}, "g2": {}, "g3": {}}
            async with client.registry.attach(attached, on_event=events) as inbox:
                draining = asyncio.create_task(one.drain())
                (moved,) = await events.wait(Reattached)
                assert moved.gap is False
                assert [type(event) for event in events.seen] == [Draining, Reattached]
                async with asyncio.timeout(20):
                    await draining
                result = await sender.registry.multicast(None, "here?")
                assert result.delivered_count == 3
                received = [await inbox.receive(10) for _ in range(3)]
                assert {message.identity for message in received} == set(attached)
                assert not any(message.gap_before for message in received)
                assert await client.registry.count() == 3
            assert await sender.registry.count() == 0


async def test_every_message_of_a_move_is_received_as_its_sender_was_told(events: Events) -> None:
    async with two_proxies() as (one, two):
        async with Client(address=f"{one.address},{two.address}") as client, Client(address=two.address) as sender:
            async with client.registry.attach("a", {}, on_event=events) as inbox:
                delivered = 0
                draining = asyncio.create_task(one.drain())
                while not any(isinstance(event, Reattached) for event in events.seen) or delivered < 5:
                    delivered += (await sender.registry.multicast(None, {"n": delivered})).delivered_count
                await draining
                numbers = [(await inbox.receive(10)).content["n"] for _ in range(delivered)]
                assert numbers == list(range(delivered))


async def test_while_nobody_else_serves_an_inbox_stays_with_its_draining_proxy(proxy: Proxy, events: Events) -> None:
    async with Client(address=proxy.address) as client, client.registry.attach("a", {}, on_event=events) as inbox:
        draining = asyncio.create_task(proxy.drain(2_000_000))
        await events.wait(Draining)
        for number in range(5):
            assert (await client.registry.multicast(None, {"n": number})).delivered_count == 1
            assert (await inbox.receive(10)).content["n"] == number
        await draining
        await events.wait(Disconnected)


async def test_two_clients_fight_for_an_identity_only_once(proxy: Proxy) -> None:
    async with Client(address=proxy.address) as one, Client(address=proxy.address) as two:
        async with one.registry.attach("a", {}) as old, two.registry.attach("a", {}) as new:
            with pytest.raises(prism.Superseded):
                await old.receive(10)
            await one.registry.multicast(None, "x")
            assert (await new.receive(10)).text == "x"


async def test_many_inboxes_attach_at_once_and_again(proxy: Proxy) -> None:
    async with Client(address=proxy.address, timeout=60) as client:
        inboxes = [client.registry.attach(f"i{number}", {}) for number in range(400)]
        await asyncio.gather(*(inbox.open() for inbox in inboxes))
        assert (await client.registry.multicast(None, "x", timeout=20)).delivered_count == 400
        for hosting in proxy.hub._hostings.values():
            for session in list(hosting.sessions):
                session.close()

        async def all_attached() -> bool:
            return proxy.hub.sessions == 400 and sum(proxy.hub.attached.values()) == 400

        await eventually(all_attached, 30)
        assert (await client.registry.multicast(None, "y", timeout=20)).delivered_count == 400
        await asyncio.gather(*(inbox.aclose() for inbox in inboxes))
        assert proxy.hub.sessions == 0 or await client.registry.count() == 0


async def test_attaching_to_a_proxy_that_drains_says_that_it_drains(proxy: Proxy) -> None:
    async with Client("default", proxy.address, timeout=1) as client:
        await client.registry.count()  # it was reached: from now on, attaching tries again
        await proxy.hub.drain(0)
        with pytest.raises(prism.Unavailable, match=r"'a' was not attached within 1 s; .*this proxy is draining"):
            await client.registry.attach("a", {}).open()
