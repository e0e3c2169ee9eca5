"""Which calls are sent again, how long they take, and what is said when nobody answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import prism
import pytest
from prism import Client
from prism.v1 import registry_pb2 as pb
from prism.v1.registry_pb2_grpc import MulticastRegistryServiceServicer, add_MulticastRegistryServiceServicer_to_server
from support.proxies import eventually

ANSWERS: dict[str, Any] = {
    "Register": pb.RegisterResponse(success=True),
    "Get": pb.GetResponse(page=pb.IdentityPage()),
    "Count": pb.CountResponse(count=7),
    "Multicast": pb.MulticastResponse(),
    "Update": pb.UpdateResponse(),
    "UnregisterMany": pb.UnregisterManyResponse(removed=[True]),
    "Heartbeat": pb.HeartbeatResponse(expires_at_us=[1]),
}


class Flaky(MulticastRegistryServiceServicer):
    """Refuses the first calls of each method as UNAVAILABLE, or answers none at all."""

    def __init__(self) -> None:
        self.failures = 2
        self.stuck = False
        self.answered = 10**9
        self.calls: Counter[str] = Counter()
        self.requests: list[Any] = []

    def __getattribute__(self, name: str) -> Any:
        if name not in ANSWERS:
            return super().__getattribute__(name)

        async def answer(request: Any, context: Any) -> Any:
            self.calls[name] += 1
            self.requests.append(request)
            if self.stuck or self.calls[name] > self.answered:
                await asyncio.Event().wait()
            if self.calls[name] <= self.failures:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            return ANSWERS[name]

        return answer

    async def EnumeratePages(self, request: Any, context: Any) -> AsyncIterator[pb.IdentityPage]:
        self.calls["EnumeratePages"] += 1
        self.requests.append(request)
        start = int(request.pagination.cursor or 0)
        for number in range(start, 4):
            if self.calls["EnumeratePages"] <= self.failures and number == start + 1:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            page = pb.IdentityPage(
                identities=[f"i{number}"],
                metadata_json=[b"{}"],
                registered_at_us=[1],
                updated_at_us=[1],
                expires_at_us=[0],
                revisions=[1],
                attached=[False],
            )
            if number < 3:
                page.next_cursor = str(number + 1)
            yield page


@pytest.fixture
async def flaky() -> AsyncIterator[tuple[Flaky, str]]:
    service = Flaky()
    server = grpc.aio.server()
    add_MulticastRegistryServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield service, f"127.0.0.1:{port}"
    await server.stop(None)


async def reached(client: Client, service: Flaky) -> None:
    """Only a client that was answered once tries again."""
    service.failures = 0
    await client.registry.get_many(["x"])
    service.failures = 2
    service.calls.clear()
    service.requests.clear()


HARMLESS: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "Count": lambda client: client.registry.count(),
    "Get": lambda client: client.registry.get_many(["x"]),
    "UnregisterMany": lambda client: client.registry.unregister("x"),
    "Heartbeat": lambda client: client.registry.heartbeat("x"),
    "Register": lambda client: client.registry.register("x", replace=True),
    "Multicast": lambda client: client.registry.multicast(None, "x", delivery="at-least-once"),
}


@pytest.mark.parametrize("method", HARMLESS)
async def test_a_harmless_call_is_sent_again(flaky: tuple[Flaky, str], method: str) -> None:
    service, address = flaky
    async with Client(address=address) as client:
        await reached(client, service)
        await HARMLESS[method](client)
    assert service.calls[method] == 3


HARMFUL: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "Register": lambda client: client.registry.register("x"),
    "Multicast": lambda client: client.registry.multicast(None, "x"),
    "Update": lambda client: client.registry.update("x", {}),
}


@pytest.mark.parametrize("method", HARMFUL)
async def test_a_call_that_may_have_taken_effect_is_not_sent_again(flaky: tuple[Flaky, str], method: str) -> None:
    service, address = flaky
    async with Client(address=address) as client:
        await reached(client, service)
        with pytest.raises(prism.Unavailable, match="not now"):
            await HARMFUL[method](client)
    assert service.calls[method] == 1


async def test_an_at_least_once_multicast_is_repeated_under_the_same_id(flaky: tuple[Flaky, str]) -> None:
    service, address = flaky
    async with Client(address=address) as client:
        await reached(client, service)
        await client.registry.multicast(None, "x", delivery="at-least-once")
    ids = {request.message_id for request in service.requests}
    assert len(ids) == 1
    assert ids != {""}


async def test_a_stream_of_pages_is_taken_up_where_it_broke(flaky: tuple[Flaky, str]) -> None:
    service, address = flaky
    async with Client(address=address) as client:
        await reached(client, service)
        found = await client.registry.enumerate(limit=4)
    assert [identity.identity for identity in found] == ["i0", "i1", "i2", "i3"]
    assert [request.pagination.limit for request in service.requests] == [4, 3, 2]


async def test_a_call_ends_in_the_clients_time(flaky: tuple[Flaky, str]) -> None:
    service, address = flaky
    service.stuck = True
    async with Client(address=address, timeout=0.3) as client:
        with pytest.raises(prism.DeadlineExceeded, match=address):
            await client.registry.count()


async def test_trying_again_ends_in_the_clients_time(flaky: tuple[Flaky, str]) -> None:
    service, address = flaky
    async with Client(address=address, timeout=0.5) as client:
        await reached(client, service)
        service.failures = 10**9
        with pytest.raises(prism.Unavailable, match="not now"):
            await client.registry.count()
    assert service.calls["Count"] > 1


async def test_a_call_that_is_tried_again_in_vain_keeps_its_last_cause(flaky: tuple[Flaky, str]) -> None:
    service, address = flaky
    async with Client(address=address, timeout=0.5) as client:
        await reached(client, service)
        service.failures = service.answered = 1
        with pytest.raises(prism.DeadlineExceeded, match=r"did not answer in time; .*the try before it: .*not now"):
            await client.registry.count()


async def test_nobody_there_is_said_at_once_and_what_to_do() -> None:
    async with Client(address="127.0.0.1:1") as client:
        async with asyncio.timeout(5):
            with pytest.raises(prism.Unavailable) as caught:
                await client.registry.register("x")
    text = str(caught.value)
    assert "127.0.0.1:1" in text
    assert "prism serve" in text
    assert "PRISM_ADDRESS" in text


async def test_attaching_where_nobody_is_fails_at_once() -> None:
    async with Client(address="127.0.0.1:1") as client:
        async with asyncio.timeout(5):
            with pytest.raises(prism.Unavailable, match="prism serve"):
                async with client.registry.attach("x", {}):
                    pass


async def test_the_second_address_is_tried_when_the_first_is_dead(flaky: tuple[Flaky, str]) -> None:
    service, address = flaky
    service.failures = 0
    async with Client(address=f"127.0.0.1:1,{address}") as client:
        assert await client.registry.count() == 7


async def test_a_cancelled_call_is_cancelled_at_the_proxy_too(flaky: tuple[Flaky, str]) -> None:
    service, address = flaky
    service.stuck = True
    async with Client(address=address) as client:
        call = asyncio.create_task(client.registry.count())
        await eventually(lambda: service.calls["Count"] > 0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


def test_a_client_lives_on_in_the_next_event_loop() -> None:
    client = Client.embedded()

    async def count() -> int:
        return await client.registry.count()

    assert asyncio.run(count()) == asyncio.run(count()) == 0


async def test_a_client_of_another_running_loop_is_refused() -> None:
    client = Client.embedded()
    await client.registry.count()

    def elsewhere() -> None:
        asyncio.run(client.registry.count())

    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(elsewhere)
    await client.aclose()


async def test_opening_that_fails_is_tried_anew_by_the_next_call() -> None:
    client = Client.embedded(config={"namespaces": [{"nam": "x"}]})
    for _ in range(2):
        with pytest.raises(prism.InvalidConfig):
            await client.registry.count()
    await client.aclose()
