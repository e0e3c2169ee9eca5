"""Messaging obligations: what arrives, where, in which order, and what ends it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from prism.plugins.spec import Capability, SlotKind
from prism.slots.messaging import Publication, Published, Topic, TopicKind

from prism_conformance.awkward import NAMES
from prism_conformance.checks import check
from prism_conformance.comparing import differences
from prism_conformance.harness import PATIENCE, Opener
from prism_conformance.messaging.words import exhaust, identity, inbox, read, read_to_end, read_with_gaps, texts
from prism_conformance.slot import AnySlotContract


class DeliveryContract(AnySlotContract):
    """Obligations of `publish`, `subscribe` and a Subscription."""

    kind = SlotKind.MESSAGING

    @check("MSG-010", source="RFC-017 Slot 2: Messaging Backend; design 5, Subscription")
    async def test_publication_arrives_with_payload_headers_and_topic(self, opener: Opener) -> None:
        """A publication arrives with payload, headers and topic."""
        slot = await opener.messaging()
        publication = Publication(b"\x00\xff payload", {"content-type": "text/plain", "x-id": "7 ~!"})
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice")])
            await slot.publish(publication, [identity("alice")])
            [event] = await read(subscription, bool)
        assert event.topic == identity("alice")
        assert event.publication.payload == publication.payload
        assert dict(event.publication.headers) == dict(publication.headers)

    @check("MSG-011", source="RFC-017 Slot 2: Messaging Backend; design 5, Subscription")
    async def test_only_subscribed_topics_arrive(self, opener: Opener) -> None:
        """Only subscribed topics arrive."""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice"), identity("bob")])
            for name in ("alice", "carol", "bob", "dave"):
                await slot.publish(Publication(name.encode()), [identity(name)])
            assert sorted(texts(await read_to_end(slot, subscription))) == [b"alice", b"bob"]

    @check("MSG-012", source="RFC-017 Slot 2: Messaging Backend; design 5, Subscription")
    async def test_inbox_and_identity_of_one_name_are_two_topics(self, opener: Opener) -> None:
        """The inbox and the identity of one name are two topics."""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([inbox("alice")])
            await slot.publish(Publication(b"to the identity"), [identity("alice")])
            await slot.publish(Publication(b"to the inbox"), [inbox("alice")])
            assert texts(await read_to_end(slot, subscription)) == [b"to the inbox"]

    @check("MSG-013", source="RFC-017 Slot 2: Messaging Backend; design 5, Subscription")
    async def test_nothing_is_missed_once_add_has_returned(self, opener: Opener) -> None:
        """Nothing is missed once `add` has returned."""
        slot, other = await opener.messaging(), await opener.messaging()
        async with await slot.subscribe() as subscription:
            for i in range(20):
                await subscription.add([identity(f"user-{i}")])
                await other.publish(Publication(b"%d" % i), [identity(f"user-{i}")])
            found = await read(subscription, lambda events: len(events) == 20)
        assert sorted(texts(found)) == sorted(b"%d" % i for i in range(20))

    @check("MSG-014", source="RFC-017 Slot 2: Messaging Backend; design 5, Subscription")
    async def test_what_comes_in_before_anybody_reads_is_kept(self, opener: Opener) -> None:
        """What comes in before anybody reads is kept."""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice")])
            for i in range(100):
                await slot.publish(Publication(b"%d" % i), [identity("alice")])
            assert len(await read_to_end(slot, subscription)) == 100

    @check("MSG-015", source="RFC-017 Slot 2: Messaging Backend; design 5, Subscription")
    async def test_removed_topic_no_longer_arrives(self, opener: Opener) -> None:
        """A removed topic no longer arrives."""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice"), identity("bob")])
            await subscription.remove([identity("alice"), identity("never added")])
            await slot.publish(Publication(b"x"), [identity("alice"), identity("bob")])
            assert [event.topic for event in await read_to_end(slot, subscription)] == [identity("bob")]

    @check("MSG-016", source="RFC-017 Slot 2: Messaging Backend; design 5, Subscription")
    async def test_topic_added_twice_arrives_once_and_is_removed_once(self, opener: Opener) -> None:
        """A topic added twice arrives once and is removed once."""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice"), identity("alice")])
            await subscription.add([identity("alice")])
            await slot.publish(Publication(b"1"), [identity("alice")])
            await subscription.remove([identity("alice")])
            await slot.publish(Publication(b"2"), [identity("alice")])
            assert texts(await read_to_end(slot, subscription)) == [b"1"]

    @check("MSG-017", source="RFC-017 Slot 2: Messaging Backend; design 5, Subscription")
    async def test_topics_can_be_added_while_another_task_reads(self, opener: Opener) -> None:
        """Topics can be added while another task reads."""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription, asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read(subscription, lambda events: len(events) == 2))
            await subscription.add([identity("alice")])
            await slot.publish(Publication(b"1"), [identity("alice")])
            await subscription.add([identity("bob")])
            await slot.publish(Publication(b"2"), [identity("bob")])
        assert sorted(texts(reading.result())) == [b"1", b"2"]

    @check("MSG-020", source="RFC-017 Slot 2: Messaging Backend; design 5, publish")
    async def test_publish_answers_topic_by_topic_in_order(self, opener: Opener) -> None:
        """Publish answers topic by topic, in order."""
        slot = await opener.messaging()
        assert await slot.publish(Publication(b"x"), []) == []
        outcomes = await slot.publish(Publication(b"x"), [identity(f"user-{i}") for i in range(2_500)])
        assert len(outcomes) == 2_500
        assert all(isinstance(outcome, Published) for outcome in outcomes)

    @check("MSG-021", source="RFC-017 Slot 2: Messaging Backend; design 4, subscriber_count")
    async def test_receivers_are_counted_where_the_slot_says_so(self, opener: Opener) -> None:
        """Receivers are counted where the slot declares it; where it doesn't, it says nothing that isn't true."""
        slot, other = await opener.messaging(), await opener.messaging()
        async with await slot.subscribe() as one, await other.subscribe() as two:
            await one.add([identity("alice"), identity("bob")])
            await two.add([identity("alice")])
            topics = [identity("nobody"), identity("alice"), identity("bob")]
            outcomes = await slot.publish(Publication(b"x"), topics)
            await two.remove([identity("alice")])
            outcomes += await slot.publish(Publication(b"x"), topics)
        counts = [outcome.receivers for outcome in outcomes if isinstance(outcome, Published)]
        true = [0, 2, 1, 0, 1, 1]
        if Capability.SUBSCRIBER_COUNT in slot.capabilities:
            assert counts == true
        else:
            assert len(counts) == 6
            assert all(said in (None, count) for said, count in zip(counts, true, strict=True)), counts

    @check("MSG-022", source="RFC-017 Slot 2: Messaging Backend; design 4, ordered")
    async def test_publications_to_one_topic_arrive_in_order(self, opener: Opener) -> None:
        """Publications to one topic arrive in order where the slot declares it, and all of them in any case."""
        slot, other = await opener.messaging(), await opener.messaging()
        async with await other.subscribe() as subscription:
            await subscription.add([inbox("proxy-1")])
            for i in range(500):
                await slot.publish(Publication(b"%d" % i), [inbox("proxy-1")])
            found = await read(subscription, lambda events: len(events) == 500)
        expected = [b"%d" % i for i in range(500)]
        ordered = Capability.ORDERED in slot.capabilities
        arrived = texts(found) if ordered else sorted(texts(found), key=int)
        assert differences(arrived, expected) == []

    @check("MSG-023", source="RFC-017 Slot 2: Messaging Backend; design 5, publish")
    async def test_publication_on_one_slot_arrives_on_another(self, opener: Opener) -> None:
        """A publication on one slot arrives on another."""
        sender, receiver = await opener.messaging(), await opener.messaging()
        async with await receiver.subscribe() as subscription:
            await subscription.add([inbox("proxy-2")])
            await sender.publish(Publication(b"x"), [inbox("proxy-2")])
            assert texts(await read(subscription, bool)) == [b"x"]

    @check("MSG-024", source="RFC-017 Slot 2: Messaging Backend; design 5, publish")
    async def test_every_subscriber_of_a_topic_gets_the_publication(self, opener: Opener) -> None:
        """Every subscriber of a topic gets the publication."""
        slot = await opener.messaging()
        async with await slot.subscribe() as one, await slot.subscribe() as two:
            for subscription in (one, two):
                await subscription.add([identity("alice")])
            await slot.publish(Publication(b"x"), [identity("alice")])
            assert texts(await read(one, bool)) == texts(await read(two, bool)) == [b"x"]

    @check("MSG-025", source="RFC-017 Slot 2: Messaging Backend; design 5, publish")
    async def test_one_payload_reaches_many_topics_once_each(self, opener: Opener) -> None:
        """One payload reaches many topics once each."""
        slot = await opener.messaging()
        topics = [identity(f"user-{i}") for i in range(1_000)]
        async with await slot.subscribe() as subscription:
            await subscription.add(topics)
            await slot.publish(Publication(b"x" * 256), topics)
            found = await read(subscription, lambda events: len(events) == 1_000)
        arrived = sorted((event.topic.kind, event.topic.name) for event in found)
        assert differences(arrived, sorted((topic.kind, topic.name) for topic in topics)) == []

    @check("MSG-026", source="RFC-017 Slot 2: Messaging Backend; design 5, publish")
    async def test_payload_of_a_mebibyte_and_an_empty_one_arrive(self, opener: Opener) -> None:
        """A payload of a mebibyte and an empty one arrive whole."""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice")])
            await slot.publish(Publication(bytes(1024 * 1024)), [identity("alice")])
            await slot.publish(Publication(b""), [identity("alice")])
            found = await read(subscription, lambda events: len(events) == 2)
        assert sorted(map(len, texts(found))) == [0, 1024 * 1024]

    @check("MSG-030", source="design 5, any identity survives")
    @pytest.mark.parametrize("kind", TopicKind)
    async def test_awkward_names_reach_themselves_and_no_other(self, opener: Opener, kind: TopicKind) -> None:
        """Awkward names reach themselves and no other."""
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

    @check("MSG-031", source="design 5, any identity survives")
    async def test_listener_of_wildcards_hears_only_their_names(self, opener: Opener) -> None:
        """A listener of wildcards hears only their names."""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity(name) for name in ("*", ">", "user.*", "a.>", "user[a-z]?", "%")])
            await slot.publish(Publication(b"x"), [identity(name) for name in ("alice", "user.1", "a.b", "userx1")])
            assert await read_to_end(slot, subscription) == []

    @check("MSG-032", source="RFC-017 Open Questions 3; design 7, namespaces")
    async def test_namespaces_never_mix(self, opener: Opener) -> None:
        """Namespaces never mix."""
        one = await opener.messaging(namespace=f"{opener.namespace}.a")
        other = await opener.messaging(namespace=f"{opener.namespace}.a.b")
        async with await one.subscribe() as subscription:
            await subscription.add([identity("alice"), identity("b.alice")])
            await other.publish(Publication(b"other"), [identity("alice"), identity("a.b.alice")])
            assert await read_to_end(one, subscription) == []

    @check("MSG-033", source="RFC-017 Open Questions 3; design 5, any identity survives")
    async def test_awkward_namespaces_never_mix(self, opener: Opener) -> None:
        """Namespaces with awkward names never mix."""
        slots = [await opener.messaging(namespace=name) for name in opener.namespaces()]
        async with AsyncExitStack() as stack:
            listening = [await stack.enter_async_context(await slot.subscribe()) for slot in slots]
            for subscription in listening:
                await subscription.add([identity("alice")])
            for i, slot in enumerate(slots):
                await slot.publish(Publication(b"%d" % i), [identity("alice")])
            for i, (slot, subscription) in enumerate(zip(slots, listening, strict=True)):
                assert texts(await read_to_end(slot, subscription)) == [b"%d" % i]

    @check("MSG-040", source="design 5, Subscription")
    async def test_closing_ends_the_iteration(self, opener: Opener) -> None:
        """Closing ends the iteration."""
        slot = await opener.messaging()
        subscription = await slot.subscribe()
        await subscription.add([identity("alice")])
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            tasks.create_task(exhaust(subscription))
            await slot.publish(Publication(b"x"), [identity("alice")])
            await subscription.close()
            await subscription.close()
        async with asyncio.timeout(PATIENCE):
            await exhaust(subscription)

    @check("MSG-041", source="design 5, Subscription")
    async def test_closed_subscription_no_longer_counts(self, opener: Opener) -> None:
        """A closed subscription no longer counts."""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice")])
        [outcome] = await slot.publish(Publication(b"x"), [identity("alice")])
        assert isinstance(outcome, Published)
        assert not outcome.receivers

    @check("MSG-042", source="design 5, Subscription")
    async def test_closing_the_slot_ends_its_subscriptions(self, opener: Opener) -> None:
        """Closing the slot ends its subscriptions."""
        slot = await opener.messaging()
        subscription = await slot.subscribe()
        await subscription.add([identity("alice")])
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            tasks.create_task(exhaust(subscription))
            await slot.close()

    @check("MSG-043", source="design 5, Subscription")
    async def test_reader_that_was_cancelled_has_lost_nothing(self, opener: Opener) -> None:
        """A reader that was cancelled has lost nothing."""
        slot = await opener.messaging()
        async with await slot.subscribe() as subscription:
            await subscription.add([identity("alice")])
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(exhaust(subscription))
                await asyncio.sleep(0)
                waiting.cancel()
            await slot.publish(Publication(b"x"), [identity("alice")])
            assert texts(await read_to_end(slot, subscription)) == [b"x"]

    @check("MSG-044", source="design 5, Subscription")
    async def test_subscription_that_nobody_reads_harms_nobody(self, opener: Opener) -> None:
        """A subscription that nobody reads delays no other, and loses nothing without saying so."""
        slot, other = await opener.messaging(), await opener.messaging()
        sent = 2_000
        async with await slot.subscribe() as unread, await other.subscribe() as read_well:
            for subscription in (unread, read_well):
                await subscription.add([inbox("proxy-1")])
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(read(read_well, lambda events: len(events) == sent))
                for i in range(sent):
                    await slot.publish(Publication(b"%06d" % i * 300), [inbox("proxy-1")])
            assert len(reading.result()) == sent
            await slot.publish(Publication(b"end"), [inbox("proxy-1")])
            found, interrupted = await read_with_gaps(unread, lambda event: event.publication.payload == b"end")
        assert interrupted or len(found) == sent + 1
