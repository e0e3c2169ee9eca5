"""How a multicast goes through its pages: one is sent while the next is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from prism.coordinator import multicast
from prism.model.delivery import Status
from prism.model.errors import Unavailable
from prism.model.identity import Target
from prism.model.pages import TargetPage
from prism.slots.messaging import MessagingBackend, Publication, Published, Topic
from prism.slots.registry import Query, RegistryBackend
from support.proxies import NS, Proxy, eventually


class Log:
    """What the slots of a proxy were asked, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.may_answer = asyncio.Event()
        self.held: set[str] = set()
        """The targets whose publications wait for `may_answer`."""

    async def publish(self, publication: Publication, topics: Sequence[Topic]) -> list[Published]:
        self.lines.append(f"publish {topics[0].name}")
        try:
            if topics[0].name in self.held:
                await self.may_answer.wait()
        except asyncio.CancelledError:
            self.lines.append("cancelled")
            raise
        self.lines.append(f"published {topics[0].name}")
        return [Published(1)] * len(topics)

    def scan(self, pages: int, failure: Exception | None = None) -> Callable[[Query], AsyncIterator[TargetPage]]:
        async def read(query: Query) -> AsyncIterator[TargetPage]:
            for i in range(pages):
                self.lines.append(f"read {i}")
                yield TargetPage.of([Target(str(i), f"registration-{i}", "")])
            if failure is not None:
                self.may_answer.set()
                raise failure

        return read


@pytest.fixture
async def log(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    await proxy.send()  # opens the namespace
    monkeypatch.setattr(multicast, "WORTH_READING_AHEAD", 1)
    monkeypatch.setattr(messaging_of(proxy), "publish", log.publish)
    return log


def messaging_of(proxy: Proxy) -> MessagingBackend:
    return proxy.coordinator._namespaces[NS].messaging


def registry_of(proxy: Proxy) -> RegistryBackend:
    return proxy.coordinator._namespaces[NS].registry


async def test_page_is_sent_while_the_next_is_read_and_before_it_is_sent(
    proxy: Proxy, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_of(proxy), "scan", log.scan(3))
    log.held = {"0"}
    sending = asyncio.create_task(proxy.send())
    await eventually(lambda: len(log.lines) == 3)
    assert sorted(log.lines) == ["publish 0", "read 0", "read 1"]
    log.may_answer.set()
    assert (await sending).delivered_count == 3
    order = [line for line in log.lines if line.startswith("publish")]
    assert order == [f"{verb} {i}" for i in range(3) for verb in ("publish", "published")]


async def test_page_before_one_that_cannot_be_read_is_sent_and_counted(
    proxy: Proxy, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_of(proxy), "scan", log.scan(2, Unavailable("gone")))
    log.held = {"1"}  # the last page is under way when the next one fails
    with pytest.raises(Unavailable, match=r"gone.*\(after 2 targets were served"):
        await proxy.send()
    assert log.lines[-1] == "published 1"


async def test_cancelled_multicast_cancels_the_page_under_way(
    proxy: Proxy, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_of(proxy), "scan", log.scan(1))
    log.held = {"0"}
    sending = asyncio.create_task(proxy.send())
    await eventually(lambda: "publish 0" in log.lines)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert log.lines[-1] == "cancelled"


@pytest.mark.parametrize(
    ("delivery", "text"),
    [
        ("at-most-once", "not known to be sent: the messaging slot (memory) gave no answer within the timeout"),
        ("at-least-once", "not known to be stored: the durability slot (memory) gave no answer within the timeout"),
    ],
)
async def test_hanging_slot_does_not_outlast_the_timeout_and_claims_nothing(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, delivery: str, text: str
) -> None:
    await proxy.register("a")

    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(messaging_of(proxy), "publish", hang)
    monkeypatch.setattr(proxy.coordinator._namespaces[NS].durability, "enqueue", hang)
    async with asyncio.timeout(5):
        result = await proxy.send(delivery=delivery, timeout=0.1)
    (status,) = result.statuses
    assert (status.status, status.error) == (Status.TIMEOUT, text)


async def test_hanging_messaging_slot_is_asked_once_for_all_pages(
    proxy: Proxy, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multicast, "LEAST_PUBLISH", 0.01)
    monkeypatch.setattr(registry_of(proxy), "scan", log.scan(3))
    log.held = {"0"}
    result = await proxy.send(timeout=0.05)
    assert [status.status for status in result.statuses] == [Status.TIMEOUT, Status.FAILED, Status.FAILED]
    assert [line for line in log.lines if line.startswith("publish")] == ["publish 0"]


async def test_short_timeout_does_not_cut_off_a_slot_that_works(
    proxy: Proxy, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_of(proxy), "scan", log.scan(1))
    log.held = {"0"}
    asyncio.get_running_loop().call_later(0.05, log.may_answer.set)
    assert (await proxy.send(timeout=0.001)).delivered_count == 1


@pytest.mark.parametrize("delivery", ["at-most-once", "at-least-once"])
async def test_slot_that_gives_up_by_itself_leaves_it_open_too(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, delivery: str
) -> None:
    await proxy.register("a")

    async def late(*_: object) -> None:
        raise TimeoutError("no answer within 10 s")

    monkeypatch.setattr(messaging_of(proxy), "publish", late)
    monkeypatch.setattr(proxy.coordinator._namespaces[NS].durability, "enqueue", late)
    (status,) = (await proxy.send(delivery=delivery)).statuses
    assert status.status is Status.TIMEOUT
    assert "no answer within 10 s" in (status.error or "")
