"""What is slow or away for a while doesn't cost healthy clients their places."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from prism import Client, Inbox, InboxEvent, Lost, Message
from prism_conformance.together.campaign import TOLERANT
from prism_conformance.together.mixes import NAMESPACE, Mix
from prism_conformance.together.stand import Stand, standing

MIX = Mix("redis", "nats", "redis")
PEOPLE = 40
PATIENCE = 30.0


class Crowd:
    """People attached to the first proxy, each by a stream of their own; the second one is asked about them."""

    def __init__(self, asked: Client) -> None:
        self.registry = asked.registry
        self.events: list[InboxEvent] = []
        self.got: Counter[tuple[str, str]] = Counter()
        self._news = asyncio.Condition()

    async def listen(self, inbox: Inbox, take: Callable[[Message], Any]) -> None:
        async for message in inbox:
            self.got[message.identity, message.text] += 1
            take(message)
            async with self._news:
                self._news.notify_all()

    async def until_all_got(self, text: str, times: int) -> None:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: sum(self.got[f"p{i}", text] >= times for i in range(PEOPLE)) == PEOPLE)

    async def until_all_are_reached(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while (await self.registry.multicast(None, "hello", timeout=2)).delivered_count < PEOPLE:
                pass

    async def watch(self, seconds: float) -> set[int]:
        """How many were registered, asked again and again for so long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        counts = set()
        while loop.time() < until:
            counts.add(await self.registry.count())
            await asyncio.sleep(0.05)
        return counts

    @property
    def lost(self) -> list[InboxEvent]:
        return [event for event in self.events if isinstance(event, Lost)]


@asynccontextmanager
async def attached(stand: Stand, ttl: int, take: Callable[[Message], Any] = Message.settle) -> AsyncIterator[Crowd]:
    first, second = stand.addresses
    async with AsyncExitStack() as stack:
        crowd = Crowd(await stack.enter_async_context(Client(NAMESPACE, second)))
        client = await stack.enter_async_context(Client(NAMESPACE, first))
        inboxes = [client.registry.attach(f"p{i}", {}, ttl=ttl, on_event=crowd.events.append) for i in range(PEOPLE)]
        for inbox in inboxes:
            await stack.enter_async_context(inbox)
        async with asyncio.TaskGroup() as tasks:
            listening = [tasks.create_task(crowd.listen(inbox, take)) for inbox in inboxes]
            yield crowd
            for task in listening:
                task.cancel()


async def test_nobody_is_dropped_when_a_proxy_is_stopped_for_half_a_lifetime() -> None:
    async with standing(MIX, sweep_interval="100ms") as stand, attached(stand, ttl=5) as crowd:
        await crowd.until_all_are_reached()
        await stand.proxies.pause(node=0)
        during = await crowd.watch(2.5)
        await stand.proxies.resume(node=0)
        assert during | await crowd.watch(3) == {PEOPLE}
        assert crowd.events == []
        await crowd.until_all_are_reached()


async def test_everybody_comes_back_when_a_proxy_was_stopped_for_longer_than_a_lifetime() -> None:
    async with standing(MIX, sweep_interval="100ms") as stand, attached(stand, ttl=2) as crowd:
        await stand.proxies.pause(node=0)
        assert 0 in await crowd.watch(4)
        await stand.proxies.resume(node=0)
        await crowd.until_all_are_reached()
        assert crowd.lost == []


async def test_nobody_is_dropped_when_the_registry_answers_late() -> None:
    async with (
        standing(MIX, through={"redis"}, sweep_interval="100ms") as stand,
        attached(stand, ttl=5) as crowd,
    ):
        await stand.ways["redis"].delay(0.5)
        assert await crowd.watch(8) == {PEOPLE}
        await stand.ways["redis"].heal()
        assert crowd.events == []
        await crowd.until_all_are_reached()


async def test_queues_of_those_who_live_outlast_an_outage_longer_than_a_lifetime() -> None:
    def leave_unacked(message: Message) -> None:
        if message.attempt > 1:
            message.settle()

    async with standing(MIX, sweep_interval="100ms", **TOLERANT) as stand, attached(stand, 2, leave_unacked) as crowd:
        stored = await crowd.registry.multicast(None, "kept", delivery="at-least-once", timeout=0)
        assert stored.pending_count == PEOPLE
        await crowd.until_all_got("kept", 1)
        await stand.servers["redis"].kill()
        await asyncio.sleep(4)  # the outage itself
        await stand.servers["redis"].restart()
        await crowd.until_all_got("kept", 2)
        await crowd.until_all_are_reached()
        assert crowd.lost == []
