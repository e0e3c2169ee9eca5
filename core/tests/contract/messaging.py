"""The messaging contract: derive from it and override the fixture `subject`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from prism.plugins.spec import Capability, SlotKind
from prism.slots.messaging import (
    Interrupted,
    MessagingBackend,
    Publication,
    Published,
    Received,
    Subscription,
    Topic,
    TopicKind,
)

from .awkward import NAMES
from .harness import PATIENCE, Opener
from .slot import AnySlotContract

END = Topic(TopicKind.INBOX, "end of the test")


def inbox(name: str) -> Topic:
    return Topic(TopicKind.INBOX, name)


def identity(name: str) -> Topic:
    return Topic(TopicKind.IDENTITY, name)


async def read(subscription: Subscription, enough: Callable[[list[Received]], bool]) -> list[Received]:
    """Reads until there is enough; an interruption fails the test."""
    found: list[Received] = []
    async with asyncio.timeout(PATIENCE):
        async for batch in subscription:
            assert batch
            assert not [event for event in batch if isinstance(event, Interrupted)]
            found += [event for event in batch if isinstance(event, Received)]
            if enough(found):
                return found
    raise AssertionError(f"the subscription ended after {found}")


async def read_to_end(slot: MessagingBackend, subscription: Subscription) -> list[Received]:
    """All that came in until now: a last publication shows where now is."""
    await subscription.add([END])
    await slot.publish(Publication(b"end"), [END])
    found = await read(subscription, lambda events: any(event.topic == END for event in events))
    return [event for event in found if event.topic != END]


def texts(events: Sequence[Received]) -> list[bytes]:
    return [event.publication.payload for event in events]


class MessagingContract(AnySlotContract):
    """All that a MessagingBackend owes the core."""

    kind = SlotKind.MESSAGING

    async def test_publication_arrives_with_payload_headers_and_topic(self, opener: Opener) -> None:
        """MSG-010"""
        slot = await opener.messaging()
        publication = Publication(b"\x00\xff payload", {"content-type": "text/plain", "x-id": "7 ~!"})
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice")])
            await slot.publish(publication, [identity("alice")])
            [event] = await read(subscription, bool)
        assert event.topic == identity("alice")
        assert event.publication.payload == publication.payload
        assert dict(event.publication.headers) == dict(publication.headers)

    async def test_only_subscribed_topics_arrive(self, opener: Opener) -> None:
        """MSG-011"""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice"), identity("bob")])
            for name in ("alice", "carol", "bob", "dave"):
                await slot.publish(Publication(name.encode()), [identity(name)])
            assert sorted(texts(await read_to_end(slot, subscription))) == [b"alice", b"bob"]

    async def test_inbox_and_identity_of_one_name_are_two_topics(self, opener: Opener) -> None:
        """MSG-012"""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([inbox("alice")])
            await slot.publish(Publication(b"to the identity"), [identity("alice")])
            await slot.publish(Publication(b"to the inbox"), [inbox("alice")])
            assert texts(await read_to_end(slot, subscription)) == [b"to the inbox"]

    async def test_nothing_is_missed_once_add_has_returned(self, opener: Opener) -> None:
        """MSG-013"""
        slot, other = await opener.messaging(), await opener.messaging()
        async with await slot.subscribe() as subscription:
            for i in range(20):
                await subscription.add([identity(f"user-{i}")])
                await other.publish(Publication(b"%d" % i), [identity(f"user-{i}")])
            found = await read(subscription, lambda events: len(events) == 20)
        assert sorted(texts(found)) == sorted(b"%d" % i for i in range(20))

    async def test_what_comes_in_before_anybody_reads_is_kept(self, opener: Opener) -> None:
        """MSG-014"""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice")])
            for i in range(100):
                await slot.publish(Publication(b"%d" % i), [identity("alice")])
            assert len(await read_to_end(slot, subscription)) == 100

    async def test_removed_topic_no_longer_arrives(self, opener: Opener) -> None:
        """MSG-015"""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice"), identity("bob")])
            await subscription.remove([identity("alice"), identity("never added")])
            await slot.publish(Publication(b"x"), [identity("alice"), identity("bob")])
            assert [event.topic for event in await read_to_end(slot, subscription)] == [identity("bob")]

    async def test_topic_added_twice_arrives_once_and_is_removed_once(self, opener: Opener) -> None:
        """MSG-016"""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice"), identity("alice")])
            await subscription.add([identity("alice")])
            await slot.publish(Publication(b"1"), [identity("alice")])
            await subscription.remove([identity("alice")])
            await slot.publish(Publication(b"2"), [identity("alice")])
            assert texts(await read_to_end(slot, subscription)) == [b"1"]

    async def test_topics_can_be_added_while_another_task_reads(self, opener: Opener) -> None:
        """MSG-017"""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription, asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read(subscription, lambda events: len(events) == 2))
            await subscription.add([identity("alice")])
            await slot.publish(Publication(b"1"), [identity("alice")])
            await subscription.add([identity("bob")])
            await slot.publish(Publication(b"2"), [identity("bob")])
        assert sorted(texts(reading.result())) == [b"1", b"2"]

    async def test_publish_answers_topic_by_topic_in_order(self, opener: Opener) -> None:
        """MSG-020"""
        slot = await opener.messaging()
        assert await slot.publish(Publication(b"x"), []) == []
        outcomes = await slot.publish(Publication(b"x"), [identity(f"user-{i}") for i in range(2_500)])
        assert len(outcomes) == 2_500
        assert all(isinstance(outcome, Published) for outcome in outcomes)

    async def test_receivers_are_counted_where_the_slot_says_so(self, opener: Opener) -> None:
        """MSG-021"""
        slot, other = await opener.messaging(), await opener.messaging()
        async with await slot.subscribe() as one, await other.subscribe() as two:
            await one.add([identity("alice"), identity("bob")])
            await two.add([identity("alice")])
            topics = [identity("nobody"), identity("alice"), identity("bob")]
            outcomes = await slot.publish(Publication(b"x"), topics)
            await two.remove([identity("alice")])
            outcomes += await slot.publish(Publication(b"x"), topics)
        counts = [outcome.receivers for outcome in outcomes if isinstance(outcome, Published)]
        declared = Capability.SUBSCRIBER_COUNT in slot.capabilities
        assert counts == ([0, 2, 1, 0, 1, 1] if declared else [None] * 6)

    async def test_publications_to_one_topic_arrive_in_order(self, opener: Opener) -> None:
        """MSG-022"""
        slot, other = await opener.messaging(), await opener.messaging()
        async with await other.subscribe() as subscription:
            await subscription.add([inbox("proxy-1")])
            for i in range(500):
                await slot.publish(Publication(b"%d" % i), [inbox("proxy-1")])
            found = await read(subscription, lambda events: len(events) == 500)
        expected = [b"%d" % i for i in range(500)]
        ordered = Capability.ORDERED in slot.capabilities
        assert (texts(found) if ordered else sorted(texts(found), key=int)) == expected

    async def test_publication_on_one_slot_arrives_on_another(self, opener: Opener) -> None:
        """MSG-023"""
        sender, receiver = await opener.messaging(), await opener.messaging()
        async with await receiver.subscribe() as subscription:
            await subscription.add([inbox("proxy-2")])
            await sender.publish(Publication(b"x"), [inbox("proxy-2")])
            assert texts(await read(subscription, bool)) == [b"x"]

    async def test_every_subscriber_of_a_topic_gets_the_publication(self, opener: Opener) -> None:
        """MSG-024"""
        slot = await opener.messaging()
        async with await slot.subscribe() as one, await slot.subscribe() as two:
            for subscription in (one, two):
                await subscription.add([identity("alice")])
            await slot.publish(Publication(b"x"), [identity("alice")])
            assert texts(await read(one, bool)) == texts(await read(two, bool)) == [b"x"]

    async def test_one_payload_reaches_many_topics_once_each(self, opener: Opener) -> None:
        """MSG-025"""
        slot = await opener.messaging()
        topics = [identity(f"user-{i}") for i in range(1_000)]
        async with await slot.subscribe() as subscription:
            await subscription.add(topics)
            await slot.publish(Publication(b"x" * 256), topics)
            found = await read(subscription, lambda events: len(events) == 1_000)
        assert Counter(event.topic for event in found) == dict.fromkeys(topics, 1)

    async def test_payload_of_a_mebibyte_and_an_empty_one_arrive(self, opener: Opener) -> None:
        """MSG-026"""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice")])
            await slot.publish(Publication(bytes(1024 * 1024)), [identity("alice")])
            await slot.publish(Publication(b""), [identity("alice")])
            found = await read(subscription, lambda events: len(events) == 2)
        assert sorted(map(len, texts(found))) == [0, 1024 * 1024]

    @pytest.mark.parametrize("kind", TopicKind)
    async def test_awkward_names_reach_themselves_and_no_other(self, opener: Opener, kind: TopicKind) -> None:
        """MSG-030"""
        slot = await opener.messaging()
        topics = [Topic(kind, name) for name in NAMES.values()]
        async with await slot.subscribe() as subscription:
            await subscription.add(topics)
            for i, topic in enumerate(topics):
                await slot.publish(Publication(b"%d" % i), [topic])
            found = await read_to_end(slot, subscription)
        assert {(event.topic, event.publication.payload) for event in found} == {
            (topic, b"%d" % i) for i, topic in enumerate(topics)
        }
        assert len(found) == len(topics)

    async def test_listener_of_wildcards_hears_only_their_names(self, opener: Opener) -> None:
        """MSG-031"""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity(name) for name in ("*", ">", "user.*", "a.>", "user[a-z]?", "%")])
            await slot.publish(Publication(b"x"), [identity(name) for name in ("alice", "user.1", "a.b", "userx1")])
            assert await read_to_end(slot, subscription) == []

    async def test_namespaces_never_mix(self, opener: Opener) -> None:
        """MSG-032"""
        one = await opener.messaging(namespace=f"{opener.namespace}.a")
        other = await opener.messaging(namespace=f"{opener.namespace}.a.b")
        async with await one.subscribe() as subscription:
            await subscription.add([identity("alice"), identity("b.alice")])
            await other.publish(Publication(b"other"), [identity("alice"), identity("a.b.alice")])
            assert await read_to_end(one, subscription) == []

    async def test_closing_ends_the_iteration(self, opener: Opener) -> None:
        """MSG-040"""
        slot = await opener.messaging()
        subscription = await slot.subscribe()
        await subscription.add([identity("alice")])
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            tasks.create_task(_exhaust(subscription))
            await slot.publish(Publication(b"x"), [identity("alice")])
            await subscription.close()
            await subscription.close()
        async with asyncio.timeout(PATIENCE):
            await _exhaust(subscription)

    async def test_closed_subscription_no_longer_counts(self, opener: Opener) -> None:
        """MSG-041"""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice")])
        [outcome] = await slot.publish(Publication(b"x"), [identity("alice")])
        assert isinstance(outcome, Published)
        assert not outcome.receivers

    async def test_closing_the_slot_ends_its_subscriptions(self, opener: Opener) -> None:
        """MSG-042"""
        slot = await opener.messaging()
        subscription = await slot.subscribe()
        await subscription.add([identity("alice")])
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            tasks.create_task(_exhaust(subscription))
            await slot.close()

    async def test_reader_that_was_cancelled_has_lost_nothing(self, opener: Opener) -> None:
        """MSG-043"""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice")])
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(_exhaust(subscription))
                await asyncio.sleep(0)
                waiting.cancel()
            await slot.publish(Publication(b"x"), [identity("alice")])
            assert texts(await read_to_end(slot, subscription)) == [b"x"]


async def _exhaust(subscription: Subscription) -> None:
    async for _ in subscription:
        pass
