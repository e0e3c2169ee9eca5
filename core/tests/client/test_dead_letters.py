"""Dead letters: seen and replayed by an application, over a proxy and embedded alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import prism
import pytest
from prism import Client, Inbox
from prism.sync import Client as BlockingClient
from support.clients import OpenClient
from support.proxies import NS, AttachItem, Delivery, eventually, opened_proxies

TWO_ATTEMPTS = {
    "namespaces": [{"name": "default", "backend_slots": {"durability": {"type": "memory", "max_attempts": 2}}}]
}


async def give_up(client: Client, inbox: Inbox, *messages: Any) -> list[str]:
    """Sends messages that die: they are nacked each time they come. Their ids, once they are dead letters."""
    ids = []
    for message in messages:
        sent = await client.registry.multicast({"$identity": "a"}, message, delivery="at-least-once", timeout=0)
        ids.append(sent.message_id)
        for attempt in (1, 2):
            received = await inbox.receive(timeout=10)
            assert (received.id, received.attempt) == (sent.message_id, attempt)
            await received.nack()
    await eventually(lambda: _there(client, ids))
    return ids


async def _there(client: Client, ids: list[str]) -> bool:
    return [letter.id for letter in await client.registry.dead_letters("a")] == ids


async def test_a_message_that_was_given_up_is_seen_as_it_was_sent(open_client: OpenClient) -> None:
    began = datetime.now(UTC)
    async with open_client(TWO_ATTEMPTS) as client, client.registry.attach("a", {}) as inbox:
        assert await client.registry.dead_letters("a") == []
        first, second = await give_up(client, inbox, {"poison": 1}, b"\xff\x00")
        letters = await client.registry.dead_letters("a")
        assert [(letter.identity, letter.id, letter.attempts) for letter in letters] == [
            ("a", first, 2),
            ("a", second, 2),
        ]
        assert [letter.content for letter in letters] == [{"poison": 1}, b"\xff\x00"]
        assert letters[0].content_type == "application/json"
        assert all(began <= letter.sent_at <= letter.died_at <= datetime.now(UTC) for letter in letters)
        assert "2 deliveries" in letters[0].reason
        assert [letter.id for letter in await client.registry.dead_letters("a", limit=1)] == [first]


async def test_a_replayed_message_is_delivered_anew_and_is_no_dead_letter_any_more(open_client: OpenClient) -> None:
    async with open_client(TWO_ATTEMPTS) as client, client.registry.attach("a", {}) as inbox:
        first, second = await give_up(client, inbox, "one", "two")
        assert await client.registry.replay("a", [first, first, "unknown"]) == 1
        received = await inbox.receive(timeout=10)
        assert (received.id, received.content, received.attempt) == (first, "one", 1)
        await received.ack()
        assert [letter.id for letter in await client.registry.dead_letters("a")] == [second]
        assert await client.registry.replay("a", []) == 0


async def test_large_dead_letters_all_come(open_client: OpenClient) -> None:
    async with open_client(TWO_ATTEMPTS) as client, client.registry.attach("a", {}) as inbox:
        sent = [bytes([i]) * 1_000_000 for i in range(6)]
        await give_up(client, inbox, *sent)
        assert [letter.payload for letter in await client.registry.dead_letters("a")] == sent


async def test_who_is_not_registered_has_no_dead_letters_and_it_is_said(client: Client) -> None:
    for call in (client.registry.dead_letters("nobody"), client.registry.replay("nobody", ["x"])):
        with pytest.raises(prism.NotFound, match=r"'nobody' is not registered .* dead letters go with it"):
            await call


async def test_without_a_durability_slot_there_are_none(open_client: OpenClient) -> None:
    config = {"namespaces": [{"name": "default", "backend_slots": {"registry": {"type": "memory"}}}]}
    async with open_client(config) as client:
        await client.registry.register("a")
        for call in (client.registry.dead_letters("a"), client.registry.replay("a", ["x"])):
            with pytest.raises(prism.Unsupported, match="no durability slot"):
                await call


@pytest.mark.parametrize(
    ("identity", "limit", "ids", "text"),
    [
        (5, 1, ["x"], "identity: expected a string"),
        ("a", 0, ["x"], "limit: expected a whole number from 1"),
        ("a", 10_001, ["x"], "limit: 10,001 dead letters is over the limit of 10,000"),
        ("a", 1, "x", "message_ids: expected several"),
        ("a", 1, [""], "message_ids[0]: is empty"),
        ("a", 1, [5], "message_ids[0]: expected a string"),
    ],
)
async def test_wrong_arguments_are_refused(client: Client, identity: Any, limit: int, ids: Any, text: str) -> None:
    await client.registry.register("a")
    messages = []
    for call in (client.registry.dead_letters(identity, limit), client.registry.replay(identity, ids)):
        try:
            await call
        except prism.InvalidArgument as error:
            messages.append(str(error))
    assert messages
    assert all(text in message for message in messages)


async def test_a_replay_wakes_the_proxy_that_hosts_the_identity() -> None:
    async with opened_proxies(2, slots={"durability": {"max_attempts": 1}}) as (one, two):
        async with two.stream(AttachItem("a", {})) as stream:
            sent = await one.send(timeout=0, delivery="at-least-once")
            (delivery,) = await stream.until(Delivery)
            stream.session.nack(delivery.tags)

            async def dead() -> bool:
                return len(await one.coordinator.dead_letters(NS, "a", 10)) == 1

            await eventually(dead)
            assert await one.coordinator.replay(NS, "a", [sent.message_id]) == 1
            _, again = await stream.until(Delivery, 2, seconds=4)  # sooner than the proxy would look by itself
            assert (again.message.id, again.attempts) == (sent.message_id, [1])


def test_the_blocking_client_has_them_too() -> None:
    with BlockingClient.embedded("default", TWO_ATTEMPTS) as client, client.registry.attach("a", {}) as inbox:
        sent = client.registry.multicast({}, "x", delivery="at-least-once", timeout=0)
        for _ in range(2):
            inbox.receive(timeout=10).nack()
        while not client.registry.dead_letters("a"):
            pass
        assert client.registry.replay("a", [sent.message_id]) == 1
        assert inbox.receive(timeout=10).attempt == 1
