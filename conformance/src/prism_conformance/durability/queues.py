"""Durability obligations: queues, what is put into them, and what a removal leaves."""

from __future__ import annotations

import asyncio

import pytest
from prism.plugins.spec import SlotKind
from prism.slots.context import QueuePolicy
from prism.slots.durability import Enqueued, NoQueue, Settled

from prism_conformance.awkward import NAMES
from prism_conformance.capabilities import keeps_dead_letters
from prism_conformance.checks import check
from prism_conformance.comparing import differences
from prism_conformance.durability.words import LONG, drain, fill, lease, message, shown
from prism_conformance.harness import Opener
from prism_conformance.slot import AnySlotContract


class QueueContract(AnySlotContract):
    """Obligations of `create`, `delete`, `mark`, `enqueue` and `depth`."""

    kind = SlotKind.DURABILITY

    @check("DUR-010", source="RFC-017 Slot 3: Durability Backend; design 5, enqueue")
    async def test_message_comes_out_as_it_went_in(self, opener: Opener) -> None:
        """A message comes out as it went in."""
        slot = await opener.durability()
        sent = message("m1", bytes(range(256)))
        await slot.create(["alice"])
        assert await slot.enqueue(sent, ["alice"]) == [Enqueued()]
        [found] = await lease(slot, "alice")
        assert (found.queue, found.attempt, found.content) == ("alice", 1, sent)

    @check("DUR-011", source="RFC-017 Slot 3: Durability Backend; design 5, enqueue")
    async def test_queue_that_does_not_exist_takes_nothing(self, opener: Opener) -> None:
        """A queue that does not exist takes nothing."""
        slot = await opener.durability()
        assert await slot.enqueue(message("m1"), ["nobody"]) == [NoQueue()]
        await slot.create(["nobody"])
        assert await drain(slot, "nobody") == []

    @check("DUR-012", source="RFC-017 Slot 3: Durability Backend; design 5, enqueue")
    async def test_enqueue_answers_queue_by_queue_in_order(self, opener: Opener) -> None:
        """Enqueue answers queue by queue in order."""
        slot = await opener.durability()
        await slot.create(["alice", "bob"])
        outcomes = await slot.enqueue(message("m1"), ["alice", "nobody", "bob"])
        assert outcomes == [Enqueued(), NoQueue(), Enqueued()]
        assert await slot.depth(["bob", "nobody", "alice"]) == [1, 0, 1]
        assert await slot.enqueue(message("m2"), []) == []

    @check("DUR-013", source="RFC-017 Slot 3: Durability Backend; design 5, enqueue")
    async def test_messages_come_out_in_the_order_they_went_in(self, opener: Opener) -> None:
        """Messages come out in the order they went in."""
        slot = await opener.durability()
        names = [f"m{i}" for i in range(50)]
        await fill(slot, "alice", names)
        assert await drain(slot, "alice") == names

    @check("DUR-014", source="RFC-017 Slot 3: Durability Backend; design 5, create")
    async def test_creating_a_queue_again_leaves_what_is_in_it(self, opener: Opener) -> None:
        """Creating a queue again leaves what is in it."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        await slot.create(["alice", "bob", "alice"])
        assert await drain(slot, "alice") == ["m1"]

    @check("DUR-015", source="RFC-017 Slot 3: Durability Backend; design 5, enqueue")
    async def test_one_message_is_put_into_many_queues(self, opener: Opener) -> None:
        """One message is put into many queues."""
        slot = await opener.durability()
        queues = [f"user-{i}" for i in range(1_000)]
        await slot.create(queues)
        assert differences(await slot.enqueue(message("m1"), queues), [Enqueued()] * 1_000) == []
        leases = await slot.dequeue(queues, 10, LONG)
        assert differences(sorted(item.queue for item in leases), sorted(queues)) == []
        assert {item.content for item in leases} == {message("m1")}

    @check("DUR-016", source="RFC-017 Slot 3: Durability Backend; design 5, enqueue")
    async def test_enqueue_on_one_slot_is_dequeued_on_another(self, opener: Opener) -> None:
        """Enqueue on one slot is dequeued on another."""
        one, other = await opener.durability(), await opener.durability()
        await fill(one, "alice", ["m1", "m2"])
        assert await drain(other, "alice") == ["m1", "m2"]
        assert await drain(one, "alice") == []

    @check("DUR-020", source="RFC-017 Slot 3: Durability Backend; design 5, enqueue is repeatable")
    async def test_repeated_enqueue_stores_no_second_copy(self, opener: Opener) -> None:
        """A repeated enqueue stores no second copy."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1", "m2", "m1"])
        assert await drain(slot, "alice") == ["m1", "m2"]

    @check("DUR-021", source="RFC-017 Slot 3: Durability Backend; design 5, enqueue is repeatable")
    async def test_repeated_enqueue_of_a_leased_message_stores_no_second_copy(self, opener: Opener) -> None:
        """A repeated enqueue of a leased message stores no second copy."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        leases = await lease(slot, "alice")
        assert await slot.enqueue(message("m1"), ["alice"]) == [Enqueued()]
        assert await drain(slot, "alice") == []
        assert await slot.ack(leases) == [Settled()]

    @check("DUR-022", source="RFC-017 Slot 3: Durability Backend; design 5, enqueue is repeatable")
    async def test_repeated_enqueue_of_an_acked_message_stores_no_second_copy(self, opener: Opener) -> None:
        """A repeated enqueue of an acked message stores no second copy."""
        slot, other = await opener.durability(), await opener.durability()
        await fill(slot, "alice", ["m1"])
        assert await drain(slot, "alice") == ["m1"]
        assert await other.enqueue(message("m1"), ["alice"]) == [Enqueued()]
        assert await drain(slot, "alice") == []
        assert await slot.depth(["alice"]) == [0]

    @check("DUR-023", source="RFC-017 Slot 3: Durability Backend; design 5, enqueue is repeatable")
    async def test_queue_named_twice_in_one_call_gets_one_copy(self, opener: Opener) -> None:
        """A queue named twice in one call gets one copy."""
        slot = await opener.durability()
        await slot.create(["alice"])
        assert await slot.enqueue(message("m1"), ["alice", "alice"]) == [Enqueued(), Enqueued()]
        assert await drain(slot, "alice") == ["m1"]

    @check("DUR-024", source="RFC-017 Slot 3: Durability Backend; design 5, enqueue is repeatable")
    async def test_message_enqueued_page_by_page_reaches_every_page(self, opener: Opener) -> None:
        """A message enqueued page by page reaches every page."""
        slot = await opener.durability()
        queues = [f"user-{i}" for i in range(30)]
        await slot.create(queues)
        for i in range(0, 30, 10):
            await slot.enqueue(message("m1"), queues[max(0, i - 5) : i + 10])
        assert await slot.depth(queues) == [1] * 30

    @check("DUR-025", source="RFC-017 Slot 3: Durability Backend; design 5, enqueue is repeatable")
    async def test_concurrent_enqueues_of_one_message_store_one_copy(self, opener: Opener) -> None:
        """Concurrent enqueues of one message store one copy."""
        slots = [await opener.durability(), await opener.durability()]
        await slots[0].create(["alice"])
        await asyncio.gather(*(slots[i % 2].enqueue(message("m1"), ["alice"]) for i in range(20)))
        assert await slots[0].depth(["alice"]) == [1]

    @check("DUR-030", source="RFC-017 Unregister Operation; design 5, order of effects")
    async def test_deletion_removes_all_that_the_queue_held(self, opener: Opener) -> None:
        """A deletion removes all that the queue held."""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        await fill(slot, "alice", ["dead", "leased", "waiting"])
        await slot.nack(await lease(slot, "alice", 1))
        dead_letters = await keeps_dead_letters(slot)
        assert not dead_letters or [item.message.id for item in await slot.dead_letters("alice", 10)] == ["dead"]
        leases = await lease(slot, "alice", 1)
        await slot.delete(["alice", "nobody"])
        assert await slot.depth(["alice"]) == [0]
        assert await slot.enqueue(message("m9"), ["alice"]) == [NoQueue()]
        await slot.create(["alice"])
        assert await drain(slot, "alice") == []
        assert not dead_letters or await slot.dead_letters("alice", 10) == []
        assert [type(outcome) for outcome in await slot.ack(leases)] != [Settled]

    @check("DUR-031", source="RFC-017 Unregister Operation; design 5, order of effects")
    async def test_queue_made_anew_takes_what_its_namesake_had(self, opener: Opener) -> None:
        """A queue made anew takes what its namesake had."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        await slot.delete(["alice"])
        await fill(slot, "alice", ["m1"])
        assert await drain(slot, "alice") == ["m1"]

    @check("DUR-032", source="RFC-017 Unregister Operation; design 5, order of effects")
    async def test_removal_with_a_mark_removes_a_queue_that_nobody_named_since(self, opener: Opener) -> None:
        """A removal with a mark removes a queue that nobody named since."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        mark = await slot.mark()
        await slot.delete(["alice", "nobody"], before=mark)
        assert await slot.enqueue(message("m2"), ["alice"]) == [NoQueue()]

    @check("DUR-033", source="RFC-017 Unregister Operation; design 5, order of effects")
    async def test_removal_with_a_mark_spares_a_queue_that_was_created_since(self, opener: Opener) -> None:
        """A removal with a mark spares a queue that was created since."""
        slot, other = await opener.durability(), await opener.durability()
        await fill(slot, "alice", ["old", "leased"])
        leases = await lease(slot, "alice", 1)
        mark = await slot.mark()
        await slot.create(["alice"])
        await other.delete(["alice"], before=mark)
        assert await slot.depth(["alice"]) == [0]
        assert [type(outcome) for outcome in await slot.ack(leases)] != [Settled]
        assert await slot.enqueue(message("new"), ["alice"]) == [Enqueued()]
        assert await drain(slot, "alice") == ["new"]

    @check("DUR-034", source="RFC-017 Unregister Operation; design 5, order of effects")
    async def test_removal_with_a_mark_spares_what_was_enqueued_since(self, opener: Opener) -> None:
        """A removal with a mark spares what was enqueued since."""
        slot = await opener.durability()
        await fill(slot, "alice", ["old"])
        mark = await slot.mark()
        await slot.enqueue(message("new"), ["alice"])
        await slot.delete(["alice"], before=mark)
        assert await slot.depth(["alice"]) == [1]
        assert await drain(slot, "alice") == ["new"]

    @check("DUR-035", source="RFC-017 Unregister Operation; design 5, order of effects")
    async def test_removal_with_a_mark_spares_a_message_repeated_since(self, opener: Opener) -> None:
        """A removal with a mark spares a message repeated since."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        mark = await slot.mark()
        await slot.create(["alice"])
        assert await slot.enqueue(message("m1"), ["alice"]) == [Enqueued()]
        await slot.delete(["alice"], before=mark)
        assert await drain(slot, "alice") == ["m1"]

    @check("DUR-036", source="RFC-017 Unregister Operation; design 5, order of effects")
    async def test_message_removed_by_a_mark_can_be_enqueued_again(self, opener: Opener) -> None:
        """A message removed by a mark can be enqueued again."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        mark = await slot.mark()
        await slot.create(["alice"])
        await slot.delete(["alice"], before=mark)
        assert await slot.enqueue(message("m1"), ["alice"]) == [Enqueued()]
        assert await drain(slot, "alice") == ["m1"]

    @check("DUR-037", source="RFC-017 Unregister Operation; design 5, order of effects")
    async def test_removal_with_a_mark_takes_older_dead_letters(self, opener: Opener) -> None:
        """A removal with a mark takes older dead letters."""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        if not await keeps_dead_letters(slot):
            return
        await fill(slot, "alice", ["dead"])
        await slot.nack(await lease(slot, "alice"))
        assert len(await slot.dead_letters("alice", 10)) == 1
        mark = await slot.mark()
        await slot.create(["alice"])
        await slot.delete(["alice"], before=mark)
        assert await slot.dead_letters("alice", 10) == []

    @check("DUR-040", source="RFC-017 Slot 3: Durability Backend; design 5, depth")
    async def test_depth_counts_what_waits_and_what_is_leased(self, opener: Opener) -> None:
        """Depth counts what waits and what is leased."""
        slot = await opener.durability()
        await fill(slot, "alice", [f"m{i}" for i in range(5)])
        leases = await lease(slot, "alice", 2)
        assert await slot.depth(["alice"]) == [5]
        await slot.ack(leases[:1])
        assert await slot.depth(["alice"]) == [4]

    @check("DUR-050", source="design 5, any identity survives")
    @pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
    async def test_awkward_name_is_a_queue_of_its_own(self, opener: Opener, name: str) -> None:
        """An awkward name is a queue of its own."""
        slot = await opener.durability()
        await fill(slot, "bystander", ["m0"])
        await fill(slot, name, ["m1"])
        [found] = await lease(slot, name)
        assert (found.queue, shown([found])) == (name, ["m1"])
        await slot.delete([name])
        assert await slot.depth([name, "bystander"]) == [0, 1]

    @check("DUR-051", source="design 5, any identity survives")
    async def test_awkward_names_live_side_by_side(self, opener: Opener) -> None:
        """Awkward names live side by side."""
        slot = await opener.durability()
        for i, name in enumerate(NAMES.values()):
            await fill(slot, name, [f"m{i}"])
        assert [await drain(slot, name) for name in NAMES.values()] == [[f"m{i}"] for i in range(len(NAMES))]

    @check("DUR-052", source="RFC-017 Open Questions 3; design 7, namespaces")
    async def test_namespaces_never_mix(self, opener: Opener) -> None:
        """Namespaces never mix."""
        one = await opener.durability(namespace=f"{opener.namespace}:a")
        other = await opener.durability(namespace=f"{opener.namespace}:a:b")
        await fill(one, "alice", ["m1"])
        assert await other.enqueue(message("m2"), ["alice"]) == [NoQueue()]
        await other.delete(["alice"])
        assert await drain(one, "alice") == ["m1"]

    @check("DUR-053", source="RFC-017 Open Questions 3; design 5, any identity survives")
    async def test_awkward_namespaces_never_mix(self, opener: Opener) -> None:
        """Namespaces with awkward names never mix."""
        slots = [await opener.durability(namespace=name) for name in opener.namespaces()]
        for i, slot in enumerate(slots):
            await fill(slot, "alice", [f"m{i}"])
        for i, slot in enumerate(slots):
            assert await drain(slot, "alice") == [f"m{i}"]
