"""Others on the same server: subscribers and publishers without Prism, and what they see."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prism.model.errors import InvalidArgument
from prism.slots.messaging import Interrupted, Publication, Received, Topic, TopicKind
from prism_redis.envelope import Opener, seal
from prism_redis.messaging import RedisMessaging
from redis.asyncio import Redis

from .conftest import Open

ALICE = Topic(TopicKind.IDENTITY, "alice")


async def test_plain_subscriber_hears_an_identity_under_a_name_it_can_spell(
    single: dict[str, Any], opened: Open, bare: Redis
) -> None:
    slot = await opened(RedisMessaging, single, namespace="chat rooms")
    async with bare.pubsub() as plain:
        await plain.subscribe(f"{{{single['key_prefix']}:chat%20rooms/0}}:id:alice")
        assert (await plain.get_message(timeout=5))["type"] == "subscribe"
        await slot.publish(Publication(b"hello\r\n\r\nworld", {"content-type": "text/plain"}), [ALICE])
        heard = await plain.get_message(timeout=5)
    head, _, payload = heard["data"].partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [b"PRISM/1", b"content-type: text/plain"]
    assert payload == b"hello\r\n\r\nworld"


async def test_what_somebody_publishes_by_hand_arrives_without_headers(
    single: dict[str, Any], opened: Open, bare: Redis
) -> None:
    slot = await opened(RedisMessaging, single)
    async with await slot.subscribe() as subscription:
        await subscription.add([ALICE])
        await bare.publish(f"{{{single['key_prefix']}:test/0}}:id:alice", b"by hand")
        async with asyncio.timeout(5):
            [event] = await anext(aiter(subscription))
    assert event == Received(ALICE, Publication(b"by hand"))


HEADERS = st.dictionaries(
    st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1), st.text(st.characters(min_codepoint=32, max_codepoint=126))
)


@given(st.binary(), HEADERS)
def test_envelope_is_opened_as_it_was_sealed(payload: bytes, headers: dict[str, str]) -> None:
    publication = Publication(payload, headers)
    assert Opener().open(seal(publication)) == publication


@pytest.mark.parametrize("headers", [{"a": "b\r\nc: d"}, {"a:b": "c"}, {"": "x"}, {"a": "\u00e9"}])
def test_header_that_would_break_the_envelope_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument, match="headers"):
        seal(Publication(b"", headers))


async def test_subscription_that_nobody_reads_says_what_it_dropped_and_holds_nobody_up(
    single: dict[str, Any], opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prism.slots.buffer.MAX_EVENTS", 100)
    slot = await opened(RedisMessaging, single)
    async with await slot.subscribe() as slow, await slot.subscribe() as quick:
        await slow.add([ALICE])
        await quick.add([ALICE])
        heard: list[Any] = []
        for i in range(300):
            await slot.publish(Publication(b"%d" % i), [ALICE])
            heard += await anext(aiter(quick))
        assert [event.publication.payload for event in heard] == [b"%d" % i for i in range(300)]
        await slot.publish(Publication(b"last"), [ALICE])
        await anext(aiter(quick))
        async with asyncio.timeout(5):
            first = list(await anext(aiter(slow)))
    assert isinstance(first[100], Interrupted)
    assert len(first) == 101
