"""What an inbox does about what a proxy says, with the proxy's part played by a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import prism
import pytest
from prism import Disconnected, Draining, InboxEvent, Lost, Reattached
from prism.client.channels import Connections
from prism.client.grpc_link import GrpcLink
from prism.client.inbox import AttachOptions, Inbox
from prism.client.link import StreamEvent
from prism.model.message import Message
from prism.model.operations import AttachItem, Attachment
from prism.server.app import Proxy
from prism.sessions import events as said
from support.clients import Events


class ScriptedLink:
    """A link whose other end is the test."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[AttachItem] = asyncio.Queue()
        self.settled: asyncio.Queue[tuple[list[int], list[tuple[int, int]]]] = asyncio.Queue()
        self.left = False
        self.closed = False
        self._events: asyncio.Queue[StreamEvent | prism.PrismError | None] = asyncio.Queue()

    def say(self, *events: StreamEvent | prism.PrismError | None) -> None:
        """Makes the proxy say something; an error or None ends the stream."""
        for event in events:
            self._events.put_nowait(event)

    def attached(self, identity: str, handle: int = 0, registration_id: str = "r1") -> None:
        self.say(Attachment(identity, handle, registration_id, 1, None))

    async def question(self) -> AttachItem:
        """The next identity that is asked for."""
        async with asyncio.timeout(10):
            return await self.asked.get()

    async def open(self) -> None: ...

    async def attach(self, items: Sequence[AttachItem]) -> Sequence[StreamEvent]:
        for item in items:
            self.asked.put_nowait(item)
        return ()

    async def detach(self, identities: Sequence[str], *, keep: bool) -> None:
        self.say(*(said.Detached(identity, -1) for identity in identities))

    async def settle(self, acks: Sequence[int], nacks: Sequence[tuple[int, int]]) -> None:
        self.settled.put_nowait((list(acks), list(nacks)))

    async def touch(self) -> None: ...

    async def receive(self) -> Sequence[StreamEvent]:
        event = await self._events.get()
        if isinstance(event, prism.PrismError):
            raise event
        return () if event is None else (event,)

    def handed_over(self, events: Sequence[StreamEvent]) -> None: ...

    def leave(self) -> None:
        self.left = True

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.say(None)


class Stage:
    """Hands out scripted links in the order they are opened."""

    reached = True

    def __init__(self) -> None:
        self.opened: asyncio.Queue[ScriptedLink] = asyncio.Queue()
        self.unregistered: list[Any] = []

    def link(self) -> ScriptedLink:
        link = ScriptedLink()
        self.opened.put_nowait(link)
        return link

    async def next_link(self) -> ScriptedLink:
        async with asyncio.timeout(10):
            return await self.opened.get()

    async def unregister(self, beats: Sequence[Any]) -> list[bool]:
        self.unregistered += beats
        return [True] * len(beats)


@asynccontextmanager
async def attached_inbox(
    stage: Stage, identities: dict[str, bytes | None], on_event: Events | None = None
) -> AsyncIterator[tuple[Inbox, ScriptedLink]]:
    async def connect() -> Any:
        return stage

    inbox = Inbox(connect, identities, AttachOptions(on_event=on_event, timeout=5), set())
    opening = asyncio.create_task(inbox.open())
    link = await stage.next_link()
    for handle in range(len(identities)):
        item = await link.question()
        link.attached(item.identity, handle)
    await opening
    try:
        yield inbox, link
    finally:
        await inbox.aclose()


def message(text: str) -> Message:
    return Message(text, text.encode(), "text/plain", 0)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_lost_stream_is_resumed_under_its_registration(stage: Stage, events: Events) -> None:
    async with attached_inbox(stage, {"a": b'{"x":1}'}, events) as (inbox, first):
        first.say(prism.Unavailable("gone"))
        second = await stage.next_link()
        item = await second.question()
        assert (item.identity, item.metadata, item.resume) == ("a", b'{"x":1}', "r1")
        second.attached("a", registration_id="r2")
        await events.wait(Reattached)
        assert [type(event) for event in events.seen] == [Disconnected, Reattached]
        assert inbox.registration_id("a") == "r2"


async def test_an_interruption_is_told_once_however_many_tries_it_takes(stage: Stage, events: Events) -> None:
    async with attached_inbox(stage, {"a": b"{}"}, events) as (_, first):
        first.say(None)
        for _ in range(3):
            (await stage.next_link()).say(prism.Unavailable("still gone"))
        last = await stage.next_link()
        await last.question()
        last.attached("a", 0, "r2")
        await events.wait(Reattached)
        assert [type(event) for event in events.seen] == [Disconnected, Reattached]


async def test_messages_before_and_after_a_gap_are_told_apart(stage: Stage, events: Events) -> None:
    async with attached_inbox(stage, {"a": b"{}"}, events) as (inbox, first):
        first.say(said.Delivery(message("1"), [0]), None)
        second = await stage.next_link()
        await second.question()
        second.attached("a", 7)
        second.say(said.Delivery(message("2"), [7]), said.Delivery(message("3"), [7]))
        received = [await inbox.receive(10) for _ in range(3)]
        assert [(m.text, m.gap_before) for m in received] == [("1", False), ("2", True), ("3", False)]


async def test_an_identity_that_expired_while_attached_is_attached_again(stage: Stage, events: Events) -> None:
    async with attached_inbox(stage, {"a": b"{}"}, events) as (inbox, link):
        link.say(said.Lost("a", 0, "EXPIRED"))
        item = await link.question()
        assert (item.metadata, item.resume) == (b"{}", "r1")
        link.attached("a", 1, "r2")
        link.say(said.Delivery(message("x"), [1]))
        assert (await inbox.receive(10)).gap_before is True
        await events.wait(Reattached)


async def test_an_expired_identity_without_metadata_is_lost(stage: Stage) -> None:
    async with attached_inbox(stage, {"a": None}) as (inbox, link):
        link.say(said.Lost("a", 0, "EXPIRED"))
        with pytest.raises(prism.Expired, match="'a'"):
            await inbox.receive(10)


async def test_an_identity_overtaken_during_an_interruption_is_lost(stage: Stage) -> None:
    async with attached_inbox(stage, {"a": b"{}"}) as (inbox, first):
        first.say(None)
        second = await stage.next_link()
        await second.question()
        second.say(said.Refused("a", prism.Superseded("a newer session has it")))
        with pytest.raises(prism.Superseded, match="newer session"):
            await inbox.receive(10)


async def test_being_overtaken_by_its_own_unanswered_attachment_is_no_loss(stage: Stage) -> None:
    async with attached_inbox(stage, {"a": b"{}"}) as (inbox, first):
        first.say(None)
        second = await stage.next_link()
        await second.question()
        second.say(prism.Unavailable("gone before it answered, after it took effect"))
        third = await stage.next_link()
        assert (await third.question()).resume == "r1"
        third.say(said.Refused("a", prism.Superseded("r1 is not the newest")))
        assert (await third.question()).resume is None
        third.attached("a", 0, "r3")
        third.say(said.Delivery(message("x"), [0]))
        assert (await inbox.receive(10)).text == "x"


async def test_metadata_that_is_not_taken_any_more_ends_a_single_inbox(stage: Stage) -> None:
    async with attached_inbox(stage, {"a": b"{}"}) as (inbox, first):
        first.say(None)
        second = await stage.next_link()
        await second.question()
        second.say(said.Refused("a", prism.InvalidMetadata("the schema has changed")))
        with pytest.raises(prism.InvalidMetadata, match="schema has changed"):
            await inbox.receive(10)


async def test_of_many_only_the_refused_is_given_up(stage: Stage, events: Events) -> None:
    async with attached_inbox(stage, {"a": b"{}", "b": b"{}"}, events) as (inbox, first):
        first.say(None)
        second = await stage.next_link()
        await second.question()
        second.say(said.Refused("a", prism.InvalidMetadata("the schema has changed")))
        second.attached("b", 1)
        (back,) = await events.wait(Reattached)
        assert back.identities == ("b",)
        (lost,) = await events.wait(Lost)
        assert (lost.identity, type(lost.error)) == ("a", prism.InvalidMetadata)
        assert inbox.identities == ("b",)


async def test_an_identity_refused_for_now_is_asked_for_again(stage: Stage, events: Events) -> None:
    async with attached_inbox(stage, {"a": b"{}"}, events) as (_, first):
        first.say(None)
        second = await stage.next_link()
        await second.question()
        second.say(said.Refused("a", prism.Unavailable("the registry is down")))
        assert (await second.question()).resume == "r1"
        second.attached("a", 0, "r2")
        await events.wait(Reattached)


async def test_an_attachment_that_may_have_taken_effect_is_asked_for_again(stage: Stage, events: Events) -> None:
    async with attached_inbox(stage, {"a": b"{}"}, events) as (_, first):
        first.say(None)
        second = await stage.next_link()
        await second.question()
        second.say(said.Refused("a", prism.DeadlineExceeded("the connection was cut in the middle of it")))
        assert (await second.question()).resume == "r1"
        second.say(said.Refused("a", prism.Superseded("r1 is not the newest")))
        assert (await second.question()).resume is None
        second.attached("a", 0, "r3")
        await events.wait(Reattached)


async def test_a_stream_that_is_hopeless_ends_the_inbox(stage: Stage) -> None:
    async with attached_inbox(stage, {"a": b"{}"}) as (inbox, first):
        first.say(None)
        (await stage.next_link()).say(prism.NotFound("namespace 'x' is not configured here"))
        with pytest.raises(prism.NotFound, match="not configured"):
            await inbox.receive(10)


async def test_a_move_brings_the_new_stream_up_before_the_old_one_goes(stage: Stage, events: Events) -> None:
    async with attached_inbox(stage, {"a": b"{}"}, events) as (inbox, old):
        old.say(said.Draining(10_000_000))
        new = await stage.next_link()
        assert old.left
        assert (await new.question()).resume == "r1"
        assert not old.closed
        old.say(said.Delivery(message("1"), [0]), said.Lost("a", 0, "SUPERSEDED"))
        new.attached("a", 0, "r2")
        new.say(said.Delivery(message("2"), [0]))
        (moved,) = await events.wait(Reattached)
        assert moved.gap is False
        received = [await inbox.receive(10), await inbox.receive(10)]
        assert sorted(m.text for m in received) == ["1", "2"]
        assert [m.gap_before for m in received] == [False, False]
        assert [type(event) for event in events.seen] == [Draining, Reattached]


async def test_a_move_that_fails_goes_on_on_the_old_stream(stage: Stage, events: Events) -> None:
    async with attached_inbox(stage, {"a": b"{}"}, events) as (inbox, old):
        old.say(said.Draining(10_000_000))
        new = await stage.next_link()
        await new.question()
        new.say(prism.Unavailable("this proxy is draining, too"))
        third = await stage.next_link()
        old.say(said.Delivery(message("still here"), [0]))
        assert (await inbox.receive(10)).text == "still here"
        await third.question()
        third.attached("a", 0, "r3")
        await events.wait(Reattached)
        assert inbox.registration_id("a") == "r3"


async def test_an_old_stream_that_ends_during_a_move_leaves_it_to_the_new_one(stage: Stage, events: Events) -> None:
    async with attached_inbox(stage, {"a": b"{}"}, events) as (inbox, old):
        old.say(said.Draining(10_000_000))
        new = await stage.next_link()
        await new.question()
        old.say(None)
        new.attached("a", 0, "r2")
        new.say(said.Delivery(message("x"), [0]))
        assert (await inbox.receive(10)).text == "x"
        assert inbox.registration_id("a") == "r2"


async def test_acks_travel_together(stage: Stage) -> None:
    async with attached_inbox(stage, {"a": b"{}"}) as (inbox, link):
        link.say(*(said.Delivery(message(str(n)), [0], [n + 1], [1]) for n in range(5)))
        received = [await inbox.receive(10) for _ in range(5)]
        for one in received[:4]:
            await one.ack()
        await received[4].nack(1.5)
        await received[0].ack()
        async with asyncio.timeout(10):
            assert await link.settled.get() == ([1, 2, 3, 4], [(5, 1_500_000)])


async def test_a_gap_is_acked_when_the_reader_comes_to_it(stage: Stage, events: Events) -> None:
    async with attached_inbox(stage, {"a": b"{}"}, events) as (inbox, link):
        link.say(said.MessageGap(0, 3, "the queue was full", 9), said.Delivery(message("x"), [0]))
        await events.wait(prism.MessageGap)
        assert link.settled.empty()
        assert (await inbox.receive(10)).gap_before is True
        async with asyncio.timeout(10):
            assert await link.settled.get() == ([9], [])


async def test_a_slow_reader_holds_the_stream_back(stage: Stage) -> None:
    async def connect() -> Any:
        return stage

    inbox = Inbox(connect, {"a": b"{}"}, AttachOptions(prefetch=4, timeout=5), set())
    opening = asyncio.create_task(inbox.open())
    link = await stage.next_link()
    await link.question()
    link.attached("a")
    await opening
    link.say(*(said.Delivery(message(str(n)), [0]) for n in range(20)))
    for _ in range(50):
        await asyncio.sleep(0)
    assert link._events.qsize() == 16
    assert [(await inbox.receive(10)).text for _ in range(20)] == [str(n) for n in range(20)]
    await inbox.aclose()


async def test_leaving_while_the_stream_is_lost_unregisters_by_a_call(stage: Stage, events: Events) -> None:
    async with attached_inbox(stage, {"a": b"{}"}, events) as (_, first):
        first.say(None)
        await events.wait(Disconnected)
    assert [(beat.identity, beat.registration_id) for beat in stage.unregistered] == [("a", "r1")]


async def test_events_come_one_after_another(stage: Stage) -> None:
    at_work = 0
    seen: list[InboxEvent] = []
    enough = asyncio.Event()

    async def slow(event: InboxEvent) -> None:
        nonlocal at_work
        assert at_work == 0
        at_work += 1
        await asyncio.sleep(0)
        at_work -= 1
        seen.append(event)
        if len(seen) == 3:
            enough.set()

    async with attached_inbox(stage, {"a": b"{}"}, slow) as (_, link):  # type: ignore[arg-type]
        link.say(*(said.MessageGap(0, n, "full") for n in (1, 2, 3)))
        async with asyncio.timeout(10):
            await enough.wait()
        assert [event.dropped for event in seen if isinstance(event, prism.MessageGap)] == [1, 2, 3]


async def test_a_link_that_fails_unexpectedly_is_an_error_and_not_tried_for_ever(stage: Stage) -> None:
    async def connect() -> Any:
        return stage

    async def attach(items: Sequence[AttachItem]) -> Sequence[StreamEvent]:
        raise TypeError(f"no way to send {len(items)}")

    inbox = Inbox(connect, {"a": b"{}"}, AttachOptions(timeout=5), set())
    make = stage.link

    def link() -> ScriptedLink:
        made = make()
        made.attach = attach
        return made

    stage.link = link
    with pytest.raises(prism.InternalError, match="no way to send 1"):
        await inbox.open()


async def test_an_item_that_cannot_be_sent_is_refused_alone(proxy: Proxy) -> None:
    connections = Connections([proxy.address])
    link = GrpcLink(connections, "default", 10)
    await link.open()
    try:
        wrong = [AttachItem("\ud800", b"{}"), AttachItem(cast("str", 5), b"{}"), AttachItem("big", b"x" * 5_000_000)]
        refused = await link.attach([*wrong, AttachItem("good", b"{}")])
        assert [(event.identity, type(event.error)) for event in refused if isinstance(event, said.Refused)] == [
            ("\ud800", prism.InvalidArgument),
            (5, prism.InvalidArgument),
            ("big", prism.LimitExceeded),
        ]
        async with asyncio.timeout(10):
            (answer,) = await link.receive()
        assert isinstance(answer, Attachment)
        assert answer.identity == "good"
    finally:
        await link.close()
        await connections.close()
