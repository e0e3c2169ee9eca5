"""Attached identities: what they receive, and how they come and go."""

from __future__ import annotations

import asyncio
from typing import Any

import prism
import pytest
from prism import Client, Lost, MessageGap, Status
from support.clients import Events, OpenClient
from support.proxies import eventually


async def test_an_attached_identity_is_registered_and_gone_afterwards(client: Client) -> None:
    async with client.registry.attach("alice", {"room": "x"}, ttl=30) as inbox:
        found = await client.registry.get("alice")
        assert (found.metadata, found.attached) == ({"room": "x"}, True)
        assert inbox.identities == ("alice",)
        assert inbox.registration_id("alice")
    assert await client.registry.count() == 0


async def test_a_message_arrives_as_it_was_sent(client: Client) -> None:
    async with client.registry.attach("alice", {}) as inbox:
        result = await client.registry.multicast(None, {"type": "chat", "text": "Hello!"})
        assert [(s.identity, s.status) for s in result.statuses] == [("alice", Status.DELIVERED)]
        message = await inbox.receive(10)
        assert message.identity == "alice"
        assert message.id == result.message_id
        assert message.content == message.json() == {"type": "chat", "text": "Hello!"}
        assert message.content_type == "application/json"
        assert (message.attempt, message.redelivered, message.gap_before) == (1, False, False)
        await message.ack()
        await message.nack()


@pytest.mark.parametrize(
    ("content", "content_type", "kind"),
    [
        (b"\x00\xff", None, "application/octet-stream"),
        ("grüße", None, "text/plain; charset=utf-8"),
        ([1, {"a": None}], None, "application/json"),
        ({"a": 2**63 - 1}, "application/vnd.x+json", "application/vnd.x+json"),
        (b"<a/>", "application/xml", "application/xml"),
    ],
)
async def test_content_keeps_its_type(client: Client, content: Any, content_type: str | None, kind: str) -> None:
    async with client.registry.attach("alice", {}) as inbox:
        await client.registry.multicast(None, content, content_type=content_type)
        message = await inbox.receive(10)
        assert (message.content, message.content_type) == (content, kind)


async def test_text_is_read_as_text(client: Client) -> None:
    async with client.registry.attach("alice", {}) as inbox:
        await client.registry.multicast(None, "grüße")
        assert (await inbox.receive(10)).text == "grüße"


async def test_messages_are_iterated_in_order(client: Client) -> None:
    async with client.registry.attach("alice", {}) as inbox:
        for number in range(50):
            await client.registry.multicast(None, {"n": number})
        numbers: list[int] = []
        async for message in inbox:
            numbers.append(message.content["n"])
            if len(numbers) == 50:
                break
        assert numbers == list(range(50))


async def test_a_batch_has_what_is_there(client: Client) -> None:
    async with client.registry.attach({f"i{i}": {} for i in range(20)}) as inbox:
        await client.registry.multicast(None, "x")
        received: list[str] = []
        async for batch in inbox.batches():
            received += [message.identity for message in batch]
            if len(received) == 20:
                break
        assert sorted(received) == sorted(inbox.identities)


async def test_waiting_for_a_message_can_time_out(client: Client) -> None:
    async with client.registry.attach("alice", {}) as inbox:
        with pytest.raises(TimeoutError):
            await inbox.receive(0.01)
        await client.registry.multicast(None, "x")
        assert (await inbox.receive(10)).text == "x"


async def test_an_unacked_message_comes_again_to_the_next_session(client: Client) -> None:
    async with client.registry.attach("alice", {}, keep=True) as inbox:
        await client.registry.multicast(None, "important", delivery="at-least-once", timeout=0)
        assert (await inbox.receive(10)).attempt == 1
    async with client.registry.attach("alice") as inbox:
        again = await inbox.receive(10)
        assert (again.text, again.redelivered) == ("important", True)


async def test_an_acked_message_does_not_come_again(client: Client) -> None:
    async with client.registry.attach("alice", {}, keep=True) as inbox:
        sent = asyncio.create_task(client.registry.multicast(None, "once", delivery="at-least-once", timeout=10))
        await (await inbox.receive(10)).ack()
        assert (await sent).delivered_count == 1
    async with client.registry.attach("alice") as inbox:
        await client.registry.multicast(None, "next")
        assert (await inbox.receive(10)).text == "next"


async def test_an_ack_right_before_leaving_counts(client: Client) -> None:
    async with client.registry.attach("alice", {}, keep=True) as inbox:
        await client.registry.multicast(None, "once", delivery="at-least-once", timeout=0)
        await (await inbox.receive(10)).ack()
    async with client.registry.attach("alice") as inbox:
        await client.registry.multicast(None, "next")
        assert (await inbox.receive(10)).text == "next"


async def test_a_nacked_message_comes_again(client: Client) -> None:
    async with client.registry.attach("alice", {}) as inbox:
        await client.registry.multicast(None, "x", delivery="at-least-once", timeout=0)
        first = await inbox.receive(10)
        await first.nack()
        second = await inbox.receive(10)
        assert (second.id, second.attempt, second.redelivered) == (first.id, 2, True)


async def test_a_kept_registration_is_left_with_its_queue(client: Client) -> None:
    async with client.registry.attach("sensor", {"x": 1}, ttl=60, keep=True):
        pass
    assert (await client.registry.get("sensor")).attached is False
    result = await client.registry.multicast(None, "wake up", delivery="at-least-once", timeout=0)
    assert result.pending_count == 1
    async with client.registry.attach("sensor") as inbox:
        assert (await inbox.receive(10)).text == "wake up"
        assert (await client.registry.get("sensor")).metadata == {"x": 1}


async def test_taking_over_what_is_not_registered_is_not_found(client: Client) -> None:
    with pytest.raises(prism.NotFound, match="'nobody'"):
        async with client.registry.attach("nobody"):
            pass


async def test_attaching_only_if_absent_refuses_a_registered_identity(client: Client) -> None:
    await client.registry.register("alice")
    with pytest.raises(prism.AlreadyExists):
        async with client.registry.attach("alice", {}, only_if_absent=True):
            pass
    assert await client.registry.count() == 1


@pytest.mark.parametrize("identity", ["", "a\nb", "x" * 600])
async def test_attaching_what_can_be_no_identity_is_refused(client: Client, identity: str) -> None:
    with pytest.raises(prism.InvalidArgument, match="identity"):
        async with client.registry.attach(identity, {}):
            pass


async def test_metadata_that_breaks_the_schema_refuses_the_attachment(open_client: OpenClient) -> None:
    config = {"namespaces": [{"name": "default", "identity_schema": {"age": "int"}}]}
    async with open_client(config) as client:
        with pytest.raises(prism.InvalidMetadata) as caught:
            async with client.registry.attach("alice", {"age": "old"}):
                pass
        assert caught.value.violations[0].field == "metadata.age"


async def test_the_newer_session_wins_and_the_older_is_told(client: Client) -> None:
    async with client.registry.attach("alice", {"n": 1}) as old:
        async with client.registry.attach("alice", {"n": 2}) as new:
            with pytest.raises(prism.Superseded, match="'alice'"):
                await old.receive(10)
            assert (await client.registry.multicast(None, "x")).delivered_count == 1
            assert (await new.receive(10)).text == "x"


async def test_a_superseded_session_leaves_the_newer_registration_alone(client: Client) -> None:
    old = client.registry.attach("alice", {"n": 1})
    await old.open()
    async with client.registry.attach("alice", {"n": 2}):
        await old.aclose()
        assert (await client.registry.get("alice")).metadata == {"n": 2}


async def test_messages_before_the_end_are_still_read(client: Client) -> None:
    async with client.registry.attach("alice", {}) as inbox:
        await client.registry.multicast(None, "last")
        await client.registry.unregister("alice")
        assert (await inbox.receive(10)).text == "last"
        with pytest.raises(prism.Unregistered, match="'alice'"):
            await inbox.receive(10)
        with pytest.raises(prism.Unregistered):
            await anext(inbox)


async def test_an_overtaken_registration_is_told_by_register_too(client: Client) -> None:
    async with client.registry.attach("alice", {}) as inbox:
        await client.registry.register("alice", replace=True)
        with pytest.raises(prism.Superseded):
            await inbox.receive(10)


async def test_a_gateway_receives_for_each_of_its_identities(client: Client) -> None:
    async with client.registry.attach({f"device-{i}": {"n": i} for i in range(100)}, ttl=30) as inbox:
        result = await client.registry.multicast({"n.lt": 10}, {"command": "report"})
        assert (result.target_count, result.delivered_count) == (10, 10)
        received = [await inbox.receive(10) for _ in range(10)]
        assert {message.identity for message in received} == {f"device-{i}" for i in range(10)}
        assert {message.id for message in received} == {result.message_id}
    assert await client.registry.count() == 0


async def test_a_gateway_acks_for_each_identity(client: Client) -> None:
    async with client.registry.attach({f"device-{i}": {} for i in range(10)}) as inbox:
        sent = asyncio.create_task(client.registry.multicast(None, "x", delivery="at-least-once", timeout=10))
        for _ in range(10):
            await (await inbox.receive(10)).ack()
        assert (await sent).delivered_count == 10


async def test_a_gateway_may_have_more_identities_than_fit_a_frame(client: Client) -> None:
    big = "x" * 1_000
    async with client.registry.attach({f"device-{i}": {"big": big} for i in range(1_700)}) as inbox:
        assert await client.registry.count() == len(inbox.identities) == 1_700
        assert (await client.registry.multicast(None, "x")).delivered_count == 1_700
    assert await client.registry.count() == 0


async def test_a_gateway_with_a_refused_identity_attaches_none(client: Client) -> None:
    with pytest.raises(prism.InvalidArgument, match="1 of 3 identities were refused"):
        async with client.registry.attach({"a": {}, "b\n": {}, "c": {}}):
            pass
    assert await client.registry.count() == 0


async def test_a_partial_gateway_goes_on_without_the_refused(client: Client) -> None:
    async with client.registry.attach({"a": {}, "b\n": {}}, partial=True) as inbox:
        assert inbox.identities == ("a",)
        assert isinstance(inbox.refused["b\n"], prism.InvalidArgument)


async def test_identities_come_and_go_on_one_stream(client: Client) -> None:
    async with client.registry.attach({"a": {}}) as inbox:
        await inbox.add("b", {"x": 1})
        assert inbox.identities == ("a", "b")
        assert (await client.registry.multicast(None, "both")).delivered_count == 2
        assert {(await inbox.receive(10)).identity, (await inbox.receive(10)).identity} == {"a", "b"}
        await inbox.remove("a")
        await inbox.remove("b", keep=True)
        assert [found.identity for found in await client.registry.enumerate()] == ["b"]
        await inbox.add("b")
        assert (await client.registry.multicast(None, "again")).delivered_count == 1
        assert (await inbox.receive(10)).identity == "b"


async def test_a_gateway_may_begin_with_nobody(client: Client) -> None:
    async with client.registry.attach({}) as inbox:
        await inbox.add("a", {})
        assert (await client.registry.multicast(None, "x")).delivered_count == 1


async def test_an_identity_is_added_only_once(client: Client) -> None:
    async with client.registry.attach("a", {}) as inbox:
        with pytest.raises(prism.AlreadyExists):
            await inbox.add("a", {})
        with pytest.raises(prism.NotFound):
            await inbox.remove("b")


async def test_adding_what_is_refused_leaves_the_others_alone(client: Client) -> None:
    async with client.registry.attach("a", {}) as inbox:
        with pytest.raises(prism.NotFound):
            await inbox.add("nobody")
        assert inbox.identities == ("a",)
        assert (await client.registry.multicast(None, "x")).delivered_count == 1


async def test_of_many_a_lost_identity_is_told_and_the_others_go_on(client: Client, events: Events) -> None:
    async with client.registry.attach({"a": {}, "b": {}}, on_event=events) as inbox:
        await client.registry.unregister("a")
        (lost,) = await events.wait(Lost)
        assert lost.identity == "a"
        assert isinstance(lost.error, prism.Unregistered)
        assert inbox.identities == ("b",)
        await client.registry.multicast(None, "x")
        assert (await inbox.receive(10)).identity == "b"


async def test_losing_the_last_identity_ends_a_gateway(client: Client) -> None:
    async with client.registry.attach({"a": {}}) as inbox:
        await client.registry.unregister("a")
        with pytest.raises(prism.Unregistered):
            await inbox.receive(10)


async def test_an_identity_that_was_lost_can_be_added_again_by_the_callback(client: Client) -> None:
    back = asyncio.Event()

    async def add_again(event: prism.InboxEvent) -> None:
        if isinstance(event, Lost):
            await inbox.add(event.identity, {"again": True})
            back.set()

    async with client.registry.attach({"a": {}, "b": {}}, on_event=add_again) as inbox:
        await client.registry.unregister("a")
        async with asyncio.timeout(10):
            await back.wait()
        assert (await client.registry.get("a")).metadata == {"again": True}


async def test_an_error_in_the_callback_reaches_the_reader(client: Client) -> None:
    def fail(event: prism.InboxEvent) -> None:
        raise ZeroDivisionError(event)

    async with client.registry.attach({"a": {}, "b": {}}, on_event=fail) as inbox:
        await client.registry.unregister("a")
        with pytest.raises(ZeroDivisionError):
            await inbox.receive(10)


async def test_messages_that_found_no_room_are_reported_as_a_gap(open_client: OpenClient, events: Events) -> None:
    queue = {"max_messages": 2}
    slots = {kind: {"type": "memory", "store": f"gap-{id(events)}"} for kind in ("registry", "messaging")}
    slots["durability"] = {"type": "memory", "store": f"gap-{id(events)}", **queue}
    config = {"namespaces": [{"name": "default", "backend_slots": slots}]}
    async with open_client(config) as client:
        async with client.registry.attach("a", {}, ttl=60, keep=True):
            pass
        for number in range(5):
            await client.registry.multicast(None, {"n": number}, delivery="at-least-once", timeout=0)
        async with client.registry.attach("a", on_event=events) as inbox:
            first, second = await inbox.receive(10), await inbox.receive(10)
            assert [first.content["n"], second.content["n"]] == [3, 4]
            assert (first.gap_before, second.gap_before) == (True, False)
            (gap,) = await events.wait(MessageGap)
            assert (gap.identity, gap.dropped) == ("a", 3)


async def test_an_idle_identity_outlives_its_ttl(client: Client) -> None:
    async with client.registry.attach("a", {}, ttl=1) as inbox:
        with pytest.raises(TimeoutError):
            await inbox.receive(2.5)
        assert (await client.registry.multicast(None, "x")).delivered_count == 1


async def test_a_reader_that_does_not_read_keeps_its_registration(client: Client) -> None:
    async with client.registry.attach("a", {}, ttl=1, prefetch=1) as inbox:
        for number in range(20):
            await client.registry.multicast(None, {"n": number}, timeout=0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.Event().wait()
        assert [(await inbox.receive(10)).content["n"] for _ in range(20)] == list(range(20))


async def test_an_inbox_is_opened_once(client: Client) -> None:
    inbox = client.registry.attach("a", {})
    async with inbox:
        with pytest.raises(RuntimeError, match="opened once"):
            await inbox.open()


async def test_a_closed_inbox_ends_its_readers(client: Client) -> None:
    inbox = client.registry.attach("a", {})
    await inbox.open()
    reading = asyncio.create_task(inbox.receive())
    await asyncio.sleep(0)
    await inbox.aclose()
    await inbox.aclose()
    with pytest.raises(EOFError):
        await reading
    assert [message async for message in inbox] == []
    with pytest.raises(RuntimeError, match="not open"):
        await inbox.add("b")


async def test_closing_the_client_leaves_its_inboxes(open_client: OpenClient) -> None:
    async with open_client() as client:
        inbox = client.registry.attach("a", {})
        await inbox.open()
        await client.aclose()
        assert inbox.identities == ()
        with pytest.raises(RuntimeError, match="closed"):
            await client.registry.count()


async def test_cancelling_the_block_unregisters(client: Client) -> None:
    attached = asyncio.Event()

    async def hold() -> None:
        async with client.registry.attach("a", {}) as inbox:
            attached.set()
            async for _ in inbox:
                pass

    task = asyncio.create_task(hold())
    await attached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await client.registry.count() == 0


async def test_cancelling_a_read_loses_no_message(client: Client) -> None:
    async with client.registry.attach("a", {}) as inbox:
        for number in range(30):
            reading = asyncio.create_task(inbox.receive())
            await asyncio.sleep(0)
            sending = asyncio.create_task(client.registry.multicast(None, {"n": number}))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            reading.cancel()
            await sending
            outcome = (await asyncio.gather(reading, return_exceptions=True))[0]
            message = outcome if isinstance(outcome, prism.Message) else await inbox.receive(10)
            assert message.content["n"] == number


async def test_hundreds_attach_and_leave_without_a_trace(client: Client) -> None:
    async def come_and_go(number: int) -> None:
        async with client.registry.attach(f"i{number}", {}):
            pass

    await come_and_go(0)
    before = len(asyncio.all_tasks())
    for start in range(0, 300, 100):
        await asyncio.gather(*(come_and_go(number) for number in range(start, start + 100)))
    assert await client.registry.count() == 0
    await eventually(lambda: len(asyncio.all_tasks()) <= before + 1)


async def test_metadata_for_one_identity_can_not_go_with_many(client: Client) -> None:
    with pytest.raises(prism.InvalidArgument, match="metadata"):
        client.registry.attach({"a": {}}, {"x": 1})
