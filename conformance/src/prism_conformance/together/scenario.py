"""What every mix has to do, end to end: two proxies and a client of each, over whatever fills the slots.

Registered on one proxy and attached on the other; found by filter on both; messages for exactly those that match, with
true statuses; kept for who is away; gone when unregistered; expired once. Nothing sleeps: what must not arrive is
followed by a message that must, on the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from prism import Client, Inbox, Message, NotFound, Unsupported
from prism.config import load_config
from prism.model.delivery import MulticastResult, Status
from prism.server.app import OFF, Proxy

PATIENCE = 20.0
"""Seconds until what must come is given up."""
BRIEF = 20
"""Identities that expire."""

FIRST_FLOOR = {"floor": 1}
SWEPT_OFTEN = {"sweep_interval": "100ms"}
"""For the namespace: expiry is looked for ten times a second."""


class House:
    """Two proxies with a client each: lamps are registered through `a`, people attach through `b`."""

    def __init__(self, proxies: list[Proxy], a: Client, b: Client) -> None:
        self.a = a.registry
        self.b = b.registry
        self._namespace = a.namespace
        self._proxies = proxies

    @property
    def keeps(self) -> bool:
        """Whether there is a durability slot."""
        return self._proxies[0].config.namespaces[self._namespace].durability is not None

    @property
    def expired(self) -> int:
        """Expiries that the proxies announced, in all."""
        return sum(proxy.coordinator.metrics.expired[self._namespace] for proxy in self._proxies)


@asynccontextmanager
async def opened(config: Mapping[str, Any]) -> AsyncIterator[House]:
    """Starts two proxies with one configuration, whose first namespace it is about."""
    namespace = config["namespaces"][0]["name"]
    async with AsyncExitStack() as stack:
        proxies, clients = [], []
        for _ in range(2):
            proxy = Proxy(load_config(config), listen="127.0.0.1:0", http_listen=OFF)
            proxies.append(await stack.enter_async_context(proxy))
            clients.append(await stack.enter_async_context(Client(namespace, proxy.address)))
        yield House(proxies, *clients)


async def play(house: House) -> None:
    """Plays the whole scenario. Raises AssertionError where something isn't as promised, TimeoutError where it never
    comes."""
    brief = await house.a.register_many({f"brief-{i}": {"brief": True} for i in range(BRIEF)}, ttl=1)
    assert not [outcome for outcome in brief if isinstance(outcome, Exception)]
    lamps = {f"lamp {i}": {"floor": i % 3, "kind": "lamp"} for i in range(6)}
    await house.a.register_many(lamps, ttl=300, raise_on_error=True)
    async with (
        house.b.attach("kitchen", {"floor": 1, "kind": "person"}, ttl=1) as kitchen,
        house.b.attach("attic", {"floor": 9, "kind": "person"}, ttl=300) as attic,
    ):
        await both_find_the_same(house)
        await at_most_once_reaches_exactly_those_that_match(house, kitchen, attic)
        if house.keeps:
            await at_least_once_reaches_exactly_those_that_match(house, kitchen, attic)
            await who_was_away_gets_it_on_return(house)
            await repeated_message_is_stored_once(house, kitchen)
        else:
            await at_least_once_is_refused(house)
        await unregistered_is_gone_everywhere(house)
        await expired_is_announced_once(house)
        assert (await house.a.get("kitchen")).metadata["kind"] == "person", "an attached identity is renewed"


async def both_find_the_same(house: House) -> None:
    """A filter finds the same on either proxy, at once."""
    expected = ["kitchen", "lamp 1", "lamp 4"]
    for registry in (house.a, house.b):
        assert [found.identity for found in await registry.enumerate(FIRST_FLOOR, sort_by="$identity")] == expected
        assert await registry.count({"kind": "lamp"}) == 6
        assert [found.identity for found in await registry.enumerate({"floor.gt": 2})] == ["attic"]


async def at_most_once_reaches_exactly_those_that_match(house: House, kitchen: Inbox, attic: Inbox) -> None:
    """Attached on the other proxy is reached, and nobody else; an unattached identity is never called DELIVERED."""
    result = await house.a.multicast(FIRST_FLOOR, "now", timeout=5)
    statuses = _statuses(result)
    assert statuses.keys() == {"kitchen", "lamp 1", "lamp 4"}
    assert statuses["kitchen"] is Status.DELIVERED
    assert {statuses["lamp 1"], statuses["lamp 4"]} <= {Status.FAILED, Status.PENDING}
    assert (result.target_count, result.delivered_count) == (3, 1)
    fence = await house.a.multicast({"kind": "person"}, "fence", timeout=5)
    assert _statuses(fence) == {"kitchen": Status.DELIVERED, "attic": Status.DELIVERED}
    assert [(m.text, m.id) for m in await _next(kitchen, 2)] == [
        ("now", result.message_id),
        ("fence", fence.message_id),
    ]
    assert [m.text for m in await _next(attic, 1)] == ["fence"], "a message reached somebody outside its filter"


async def at_least_once_reaches_exactly_those_that_match(house: House, kitchen: Inbox, attic: Inbox) -> None:
    """Stored for each, DELIVERED once acked, PENDING for who is away."""
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(house.a.multicast(FIRST_FLOOR, "kept", delivery="at-least-once", timeout=3))
        [message] = await _next(kitchen, 1)
        await message.ack()
        assert (message.text, message.attempt) == ("kept", 1)
    result = sending.result()
    assert message.id == result.message_id
    assert _statuses(result) == {"kitchen": Status.DELIVERED, "lamp 1": Status.PENDING, "lamp 4": Status.PENDING}
    fence = await house.a.multicast({"floor": 9}, "fence", delivery="at-least-once", timeout=0)
    [message] = await _next(attic, 1)
    assert message.id == fence.message_id, "a message reached somebody outside its filter"
    await message.ack()


async def who_was_away_gets_it_on_return(house: House) -> None:
    """An identity that comes back to another proxy gets what was sent meanwhile, and the sender hears of it."""
    async with house.b.attach("lamp 1", ttl=300, keep=True) as lamp:
        [message] = await _next(lamp, 1)
        assert (message.text, message.identity) == ("kept", "lamp 1")
        assert (await house.b.get("lamp 1")).metadata == {"floor": 1, "kind": "lamp"}
        await message.ack()

        async def told() -> bool:
            return _statuses(await house.a.get_multicast(message.id))["lamp 1"] is Status.DELIVERED

        await _eventually(told)


async def repeated_message_is_stored_once(house: House, kitchen: Inbox) -> None:
    """A multicast that is sent again under its id, through either proxy, reaches each identity once."""
    for registry in (house.a, house.b):
        await registry.multicast(
            {"$identity": "kitchen"}, "twice", delivery="at-least-once", timeout=0, message_id="m1"
        )
    await house.a.multicast({"$identity": "kitchen"}, "fence", delivery="at-least-once", timeout=0)
    got: list[Message] = []
    while not got or got[-1].text != "fence":
        got += await _next(kitchen, 1)
        await got[-1].ack()
    assert [message.text for message in got] == ["twice", "fence"]


async def at_least_once_is_refused(house: House) -> None:
    """Without a durability slot at-least-once isn't promised."""
    try:
        await house.a.multicast(FIRST_FLOOR, "kept", delivery="at-least-once")
    except Unsupported as error:
        assert "durability" in str(error)  # noqa: PT017 - this isn't only run by pytest
    else:
        raise AssertionError("at-least-once was accepted without a durability slot")


async def unregistered_is_gone_everywhere(house: House) -> None:
    """Unregistered on the other proxy: not found, not sent to, and nothing waits for a successor of the name."""
    assert await house.b.unregister("lamp 4")
    for registry in (house.a, house.b):
        assert await registry.count({"$identity": "lamp 4"}) == 0
        try:
            await registry.get("lamp 4")
        except NotFound:
            continue
        raise AssertionError("an unregistered identity was found")
    assert _statuses(await house.a.multicast(FIRST_FLOOR, "x", timeout=5)).keys() == {"kitchen", "lamp 1"}
    async with house.a.attach("lamp 4", {"floor": 4}, ttl=300) as successor:
        delivery = "at-least-once" if house.keeps else "at-most-once"
        fence = await house.b.multicast({"floor": 4}, "fence", delivery=delivery, timeout=0)
        [message] = await _next(successor, 1)
        assert message.id == fence.message_id, "a message for an earlier registration reached its successor"
        await message.ack()


async def expired_is_announced_once(house: House) -> None:
    """Each expiry is announced by one of the two proxies, once."""

    async def swept() -> bool:
        return house.expired >= BRIEF

    await _eventually(swept)
    for registry in (house.a, house.b):
        assert await registry.count({"brief": True}) == 0
    assert house.expired == BRIEF


def _statuses(result: MulticastResult) -> dict[str, Status]:
    found = {status.identity: status.status for status in result.statuses}
    assert len(found) == result.target_count, "an identity was told twice, or not at all"
    return found


async def _next(inbox: Inbox, count: int) -> list[Message]:
    return [await inbox.receive(PATIENCE) for _ in range(count)]


async def _eventually(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - what is awaited happens in the proxies, without an event here
            await asyncio.sleep(0.02)
