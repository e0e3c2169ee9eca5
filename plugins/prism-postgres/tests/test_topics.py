"""Publications beyond the contract: how they travel, who can hear them without Prism, and what is dropped."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prism.model.errors import InvalidArgument, InvalidConfig
from prism.slots.context import SlotContext
from prism.slots.messaging import Event, Interrupted, Publication, Published, Received, Subscription, Topic, TopicKind
from prism_conformance.servers import FaultProxy, shared
from prism_postgres import messaging
from prism_postgres import subscription as subscriptions
from prism_postgres.channels import LONGEST, Reference, channel_of, seal, unseal
from prism_postgres.config import PostgresConfig
from prism_postgres.messaging import PostgresMessaging

from .conftest import Open

ALICE = Topic(TopicKind.IDENTITY, "alice")
BOB = Topic(TopicKind.IDENTITY, "bob")
PATIENCE = 10.0


async def read(subscription: Subscription, enough: int) -> list[Event]:
    """The first so many events, or a few more."""
    found: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        async for batch in subscription:
            found += batch
            if len(found) >= enough:
                break
    return found


def payloads(events: list[Event]) -> list[bytes | str]:
    return [event.publication.payload if isinstance(event, Received) else "interrupted" for event in events]


class Plain:
    """Somebody who listens with asyncpg alone."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    async def listen(self, namespace: str, identity: str) -> None:
        """As the README says."""
        channel = await self._connection.fetchval("SELECT identity_channel($1, $2)", namespace, identity)
        await self._connection.add_listener(channel, lambda *heard: self._heard.put_nowait(heard[3]))

    async def hear(self) -> tuple[str, list[str], str]:
        """First line, headers and body of the next notification."""
        async with asyncio.timeout(PATIENCE):
            head, _, body = (await self._heard.get()).partition("\n\n")
        first, *headers = head.split("\n")
        return first, headers, body


async def test_plain_listener_hears_an_identity(config: dict[str, Any], opened: Open, bare: asyncpg.Connection) -> None:
    slot = await opened(PostgresMessaging, config, namespace="chat rooms")
    plain = Plain(bare)
    await plain.listen("chat rooms", "it's \u00e9")
    topic = Topic(TopicKind.IDENTITY, "it's \u00e9")
    await slot.publish(Publication(b"hello\n\nworld", {"content-type": "text/plain"}), [ALICE, topic])
    assert await plain.hear() == ("PRISM/1 text", ["content-type: text/plain"], "hello\n\nworld")
    await slot.publish(Publication(b"\0\xff"), [topic])
    first, headers, body = await plain.hear()
    assert (first, headers, b64decode(body)) == ("PRISM/1 base64", [], b"\0\xff")


async def test_plain_listener_reads_what_is_stored(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    slot = await opened(PostgresMessaging, config)
    plain = Plain(bare)
    await plain.listen("test", "alice")
    await slot.publish(Publication(b"x" * 50_000, {"a": "b"}), [ALICE])
    first, headers, body = await plain.hear()
    assert (first, headers) == ("PRISM/1 stored", ["a: b"])
    assert await bare.fetchval("SELECT payload FROM publications WHERE number = $1", int(body)) == b"x" * 50_000


async def test_what_somebody_notifies_by_hand_arrives_without_headers(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    slot = await opened(PostgresMessaging, config)
    async with await slot.subscribe() as subscription:
        await subscription.add([ALICE])
        await bare.execute("SELECT pg_notify(identity_channel('test', 'alice'), 'by hand')")
        assert await read(subscription, 1) == [Received(ALICE, Publication(b"by hand"))]


async def test_channels_of_two_database_schemas_are_not_the_same(config: dict[str, Any], opened: Open) -> None:
    one = await opened(PostgresMessaging, config)
    other = await opened(PostgresMessaging, {**config, "schema": config["schema"] + "_2"})
    async with await one.subscribe() as subscription:
        await subscription.add([ALICE])
        await other.publish(Publication(b"other"), [ALICE])
        await one.publish(Publication(b"mine"), [ALICE])
        assert payloads(await read(subscription, 1)) == [b"mine"]


@pytest.mark.parametrize("unit", [b"x", b"\xff", "\u20ac".encode(), b"\0"], ids=["text", "bytes", "euro", "nul"])
async def test_payloads_around_the_limit_of_a_notification_arrive_whole_and_in_order(
    config: dict[str, Any], opened: Open, unit: bytes
) -> None:
    slot = await opened(PostgresMessaging, config)
    sizes = [*range(5_860, 5_960, 7), *range(7_850, 8_010, 3), 3, 8_192, 100_000, 1]
    sent = [(unit * size)[: size // len(unit) * len(unit)] for size in sizes]
    async with await slot.subscribe() as subscription:
        await subscription.add([ALICE])
        for payload in sent:
            assert await slot.publish(Publication(payload, {"x": "y"}), [ALICE]) == [Published()]
        events = await read(subscription, len(sent))
    assert payloads(events) == sent
    assert all(isinstance(event, Received) and event.publication.headers == {"x": "y"} for event in events)


async def test_ten_thousand_topics_are_listened_to_and_reached(config: dict[str, Any], opened: Open) -> None:
    slot = await opened(PostgresMessaging, config)
    topics = [Topic(TopicKind.IDENTITY, f"user-{i}") for i in range(10_000)]
    async with await slot.subscribe() as subscription:
        await subscription.add(topics)
        for payload in (b"small", b"large" * 1_000):
            assert await slot.publish(Publication(payload), topics) == [Published()] * 10_000
            events = await read(subscription, 10_000)
            assert {event.topic for event in events if isinstance(event, Received)} == set(topics)
            assert set(payloads(events)) == {payload}


async def test_large_publication_for_many_is_stored_once(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    slot = await opened(PostgresMessaging, config)
    await slot.publish(Publication(b"x" * 5_000), [Topic(TopicKind.IDENTITY, f"user-{i}") for i in range(2_000)])
    assert await bare.fetchval("SELECT count(*) FROM publications") == 1


async def test_topic_named_twice_gets_two(config: dict[str, Any], opened: Open) -> None:
    slot = await opened(PostgresMessaging, config)
    async with await slot.subscribe() as subscription:
        await subscription.add([ALICE, BOB])
        assert await slot.publish(Publication(b"x"), [ALICE, BOB, ALICE]) == [Published()] * 3
        events = await read(subscription, 3)
    assert sorted(event.topic.name for event in events if isinstance(event, Received)) == ["alice", "alice", "bob"]


async def test_stored_publication_that_is_gone_is_reported_in_its_place(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    slot = await opened(PostgresMessaging, config)
    async with await slot.subscribe() as subscription:
        await subscription.add([ALICE])
        channel = channel_of(config["schema"], "test", ALICE)
        await bare.execute("SELECT pg_notify($1, E'PRISM/1 stored\\n\\n999999999')", channel)
        await slot.publish(Publication(b"after"), [ALICE])
        first, second = await read(subscription, 2)
    assert isinstance(first, Interrupted)
    assert "30 s" in first.reason
    assert second == Received(ALICE, Publication(b"after"))


async def test_stored_publications_are_removed_when_they_are_old(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    slot = await opened(PostgresMessaging, config)
    large = Publication(b"x" * 10_000)
    for _ in range(3):
        await slot.publish(large, [ALICE])
    await bare.execute(f"UPDATE publications SET stored_at = stored_at - interval '{subscriptions.KEPT + 1} s'")
    await slot.publish(large, [ALICE])
    await slot.clean()
    assert await bare.fetchval("SELECT count(*) FROM publications") == 1


async def test_one_connection_listens_for_all_slots_of_a_process(config: dict[str, Any], opened: Open) -> None:
    server = shared("postgres")
    async with FaultProxy(server.host, server.port) as proxy:
        config |= {"connection": proxy.url(server.url), "pool_size": 1}
        for name in ("one", "two", "three"):
            slot = await opened(PostgresMessaging, config, namespace=name)
            await (await slot.subscribe()).add([ALICE])
            await slot.publish(Publication(b"x"), [ALICE])
        assert proxy.connections == 2
        await slot.close()
        await slot.open()
        assert proxy.connections == 2


@pytest.mark.parametrize("option", [{"listen": False}, {"pooler": True}])
async def test_messaging_that_may_not_listen_is_refused(config: dict[str, Any], option: dict[str, bool]) -> None:
    slot = PostgresMessaging(PostgresConfig(**config, **option), SlotContext("test"))
    with pytest.raises(InvalidConfig, match=f"{next(iter(option))}: messaging needs LISTEN"):
        await slot.open()
    await slot.close()


async def test_server_that_lets_no_notification_through_is_refused(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messaging, "PATIENCE", 0.2)
    monkeypatch.setattr(messaging, "NOTIFY", "SELECT $1::text[], $2::text")  # as a pooler would lose it
    slot = PostgresMessaging(PostgresConfig(**config), SlotContext("test"))
    with pytest.raises(InvalidConfig, match="pooler in transaction mode"):
        await slot.open()
    await slot.close()


async def test_subscription_that_nobody_reads_says_what_it_dropped_and_holds_nobody_up(
    config: dict[str, Any], opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prism.slots.buffer.MAX_EVENTS", 100)
    slot = await opened(PostgresMessaging, config)
    async with await slot.subscribe() as slow, await slot.subscribe() as quick:
        await slow.add([ALICE])
        await quick.add([ALICE])
        heard: list[Event] = []
        for i in range(300):
            await slot.publish(Publication(b"%d" % i), [ALICE])
            heard += await anext(aiter(quick))
        assert payloads(heard) == [b"%d" % i for i in range(300)]
        await slot.publish(Publication(b"last"), [ALICE])
        await read(quick, 1)
        first = await read(slow, 1)
    assert payloads(first) == [*(b"%d" % i for i in range(100)), "interrupted"]


async def test_publications_that_wait_for_a_stored_one_are_bounded(
    config: dict[str, Any], opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "UNREAD", 10)
    slot = await opened(PostgresMessaging, config)
    let_go = asyncio.Event()
    fetch = slot.fetch

    async def later(numbers: Any) -> Any:
        await let_go.wait()
        return await fetch(numbers)

    monkeypatch.setattr(slot, "fetch", later)
    async with await slot.subscribe() as subscription, await slot.subscribe() as other:
        await subscription.add([ALICE])
        await other.add([BOB])
        await slot.publish(Publication(b"x" * 10_000), [ALICE])
        for i in range(20):
            await slot.publish(Publication(b"%d" % i), [ALICE])
        await slot.publish(Publication(b"end"), [BOB])
        await read(other, 1)
        let_go.set()
        found = await read(subscription, 11)
    assert payloads(found) == [b"x" * 10_000, *(b"%d" % i for i in range(9)), "interrupted"]


HEADERS = st.dictionaries(
    st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1), st.text(st.characters(min_codepoint=32, max_codepoint=126))
)


@given(st.binary(max_size=12_000) | st.text().map(str.encode), HEADERS)
def test_envelope_is_opened_as_it_was_sealed(payload: bytes, headers: dict[str, str]) -> None:
    publication = Publication(payload, headers)
    sealed = seal(publication)
    assert len(sealed.text.encode()) <= LONGEST
    assert "\0" not in sealed.text
    if sealed.stored is None:
        assert unseal(sealed.text) == publication
    else:
        assert sealed.stored == payload
        assert unseal(f"{sealed.text}17") == Reference(17, headers)


@given(st.text())
def test_any_text_is_a_publication(text: str) -> None:
    assert isinstance(unseal(text), Publication)


@pytest.mark.parametrize("headers", [{"a": "b\nc: d"}, {"a:b": "c"}, {"": "x"}, {"a": "\u00e9"}, {"a": "x" * 5_000}])
def test_header_that_would_break_the_envelope_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument, match="headers"):
        seal(Publication(b"", headers))
