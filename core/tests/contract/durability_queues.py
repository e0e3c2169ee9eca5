"""Durability obligations: queues, what is put into them, and what a removal leaves."""

from __future__ import annotations

import asyncio

import pytest
from prism.plugins.spec import SlotKind
from prism.slots.context import QueuePolicy
from prism.slots.durability import Enqueued, NoQueue, Settled

from .awkward import NAMES
from .durability_words import LONG, drain, fill, lease, message, shown
from .harness import Opener
from .slot import AnySlotContract


class QueueContract(AnySlotContract):
    """Obligations of `create`, `delete`, `mark`, `enqueue` and `depth`."""

    kind = SlotKind.DURABILITY

    async def test_message_comes_out_as_it_went_in(self, opener: Opener) -> None:
        """DUR-010"""
        slot = await opener.durability()
        sent = message("m1", bytes(range(256)))
        await slot.create(["alice"])
        assert await slot.enqueue(sent, ["alice"]) == [Enqueued()]
        [found] = await lease(slot, "alice")
        assert (found.queue, found.attempt, found.content) == ("alice", 1, sent)

    async def test_queue_that_does_not_exist_takes_nothing(self, opener: Opener) -> None:
        """DUR-011"""
        slot = await opener.durability()
        assert await slot.enqueue(message("m1"), ["nobody"]) == [NoQueue()]
        await slot.create(["nobody"])
        assert await drain(slot, "nobody") == []

    async def test_enqueue_answers_queue_by_queue_in_order(self, opener: Opener) -> None:
        """DUR-012"""
        slot = await opener.durability()
        await slot.create(["alice", "bob"])
        outcomes = await slot.enqueue(message("m1"), ["alice", "nobody", "bob"])
        assert outcomes == [Enqueued(), NoQueue(), Enqueued()]
        assert await slot.depth(["bob", "nobody", "alice"]) == [1, 0, 1]
        assert await slot.enqueue(message("m2"), []) == []

    async def test_messages_come_out_in_the_order_they_went_in(self, opener: Opener) -> None:
        """DUR-013"""
        slot = await opener.durability()
        names = [f"m{i}" for i in range(50)]
        await fill(slot, "alice", names)
        assert await drain(slot, "alice") == names

    async def test_creating_a_queue_again_leaves_what_is_in_it(self, opener: Opener) -> None:
        """DUR-014"""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        await slot.create(["alice", "bob", "alice"])
        assert await drain(slot, "alice") == ["m1"]

    async def test_one_message_is_put_into_many_queues(self, opener: Opener) -> None:
        """DUR-015"""
        slot = await opener.durability()
        queues = [f"user-{i}" for i in range(1_000)]
        await slot.create(queues)
        assert await slot.enqueue(message("m1"), queues) == [Enqueued()] * 1_000
        leases = await slot.dequeue(queues, 10, LONG)
        assert sorted(item.queue for item in leases) == sorted(queues)
        assert {item.content for item in leases} == {message("m1")}

    async def test_enqueue_on_one_slot_is_dequeued_on_another(self, opener: Opener) -> None:
        """DUR-016"""
        one, other = await opener.durability(), await opener.durability()
        await fill(one, "alice", ["m1", "m2"])
        assert await drain(other, "alice") == ["m1", "m2"]
        assert await drain(one, "alice") == []

    async def test_repeated_enqueue_stores_no_second_copy(self, opener: Opener) -> None:
        """DUR-020"""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1", "m2", "m1"])
        assert await drain(slot, "alice") == ["m1", "m2"]

    async def test_repeated_enqueue_of_a_leased_message_stores_no_second_copy(self, opener: Opener) -> None:
        """DUR-021"""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        leases = await lease(slot, "alice")
        assert await slot.enqueue(message("m1"), ["alice"]) == [Enqueued()]
        assert await drain(slot, "alice") == []
        assert await slot.ack(leases) == [Settled()]

    async def test_repeated_enqueue_of_an_acked_message_stores_no_second_copy(self, opener: Opener) -> None:
        """DUR-022"""
        slot, other = await opener.durability(), await opener.durability()
        await fill(slot, "alice", ["m1"])
        assert await drain(slot, "alice") == ["m1"]
        assert await other.enqueue(message("m1"), ["alice"]) == [Enqueued()]
        assert await drain(slot, "alice") == []
        assert await slot.depth(["alice"]) == [0]

    async def test_queue_named_twice_in_one_call_gets_one_copy(self, opener: Opener) -> None:
        """DUR-023"""
        slot = await opener.durability()
        await slot.create(["alice"])
        assert await slot.enqueue(message("m1"), ["alice", "alice"]) == [Enqueued(), Enqueued()]
        assert await drain(slot, "alice") == ["m1"]

    async def test_message_enqueued_page_by_page_reaches_every_page(self, opener: Opener) -> None:
        """DUR-024"""
        slot = await opener.durability()
        queues = [f"user-{i}" for i in range(30)]
        await slot.create(queues)
        for i in range(0, 30, 10):
            await slot.enqueue(message("m1"), queues[max(0, i - 5) : i + 10])
        assert await slot.depth(queues) == [1] * 30

    async def test_concurrent_enqueues_of_one_message_store_one_copy(self, opener: Opener) -> None:
        """DUR-025"""
        slots = [await opener.durability(), await opener.durability()]
        await slots[0].create(["alice"])
        await asyncio.gather(*(slots[i % 2].enqueue(message("m1"), ["alice"]) for i in range(20)))
        assert await slots[0].depth(["alice"]) == [1]

    async def test_deletion_removes_all_that_the_queue_held(self, opener: Opener) -> None:
        """DUR-030"""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        await fill(slot, "alice", ["dead", "leased", "waiting"])
        await slot.nack(await lease(slot, "alice", 1))
        assert [item.message.id for item in await slot.dead_letters("alice", 10)] == ["dead"]
        leases = await lease(slot, "alice", 1)
        await slot.delete(["alice", "nobody"])
        assert await slot.depth(["alice"]) == [0]
        assert await slot.enqueue(message("m9"), ["alice"]) == [NoQueue()]
        await slot.create(["alice"])
        assert await drain(slot, "alice") == []
        assert await slot.dead_letters("alice", 10) == []
        assert [type(outcome) for outcome in await slot.ack(leases)] != [Settled]

    async def test_queue_made_anew_takes_what_its_namesake_had(self, opener: Opener) -> None:
        """DUR-031"""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        await slot.delete(["alice"])
        await fill(slot, "alice", ["m1"])
        assert await drain(slot, "alice") == ["m1"]

    async def test_removal_with_a_mark_removes_a_queue_that_nobody_named_since(self, opener: Opener) -> None:
        """DUR-032"""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        mark = await slot.mark()
        await slot.delete(["alice", "nobody"], before=mark)
        assert await slot.enqueue(message("m2"), ["alice"]) == [NoQueue()]

    async def test_removal_with_a_mark_spares_a_queue_that_was_created_since(self, opener: Opener) -> None:
        """DUR-033"""
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

    async def test_removal_with_a_mark_spares_what_was_enqueued_since(self, opener: Opener) -> None:
        """DUR-034"""
        slot = await opener.durability()
        await fill(slot, "alice", ["old"])
        mark = await slot.mark()
        await slot.enqueue(message("new"), ["alice"])
        await slot.delete(["alice"], before=mark)
        assert await slot.depth(["alice"]) == [1]
        assert await drain(slot, "alice") == ["new"]

    async def test_removal_with_a_mark_spares_a_message_repeated_since(self, opener: Opener) -> None:
        """DUR-035"""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        mark = await slot.mark()
        await slot.create(["alice"])
        assert await slot.enqueue(message("m1"), ["alice"]) == [Enqueued()]
        await slot.delete(["alice"], before=mark)
        assert await drain(slot, "alice") == ["m1"]

    async def test_message_removed_by_a_mark_can_be_enqueued_again(self, opener: Opener) -> None:
        """DUR-036"""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        mark = await slot.mark()
        await slot.create(["alice"])
        await slot.delete(["alice"], before=mark)
        assert await slot.enqueue(message("m1"), ["alice"]) == [Enqueued()]
        assert await drain(slot, "alice") == ["m1"]

    async def test_removal_with_a_mark_takes_older_dead_letters(self, opener: Opener) -> None:
        """DUR-037"""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        await fill(slot, "alice", ["dead"])
        await slot.nack(await lease(slot, "alice"))
        assert len(await slot.dead_letters("alice", 10)) == 1
        mark = await slot.mark()
        await slot.create(["alice"])
        await slot.delete(["alice"], before=mark)
        assert await slot.dead_letters("alice", 10) == []

    async def test_depth_counts_what_waits_and_what_is_leased(self, opener: Opener) -> None:
        """DUR-040"""
        slot = await opener.durability()
        await fill(slot, "alice", [f"m{i}" for i in range(5)])
        leases = await lease(slot, "alice", 2)
        assert await slot.depth(["alice"]) == [5]
        await slot.ack(leases[:1])
        assert await slot.depth(["alice"]) == [4]

    @pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
    async def test_awkward_name_is_a_queue_of_its_own(self, opener: Opener, name: str) -> None:
        """DUR-050"""
        slot = await opener.durability()
        await fill(slot, "bystander", ["m0"])
        await fill(slot, name, ["m1"])
        [found] = await lease(slot, name)
        assert (found.queue, shown([found])) == (name, ["m1"])
        await slot.delete([name])
        assert await slot.depth([name, "bystander"]) == [0, 1]

    async def test_awkward_names_live_side_by_side(self, opener: Opener) -> None:
        """DUR-051"""
        slot = await opener.durability()
        for i, name in enumerate(NAMES.values()):
            await fill(slot, name, [f"m{i}"])
        assert [await drain(slot, name) for name in NAMES.values()] == [[f"m{i}"] for i in range(len(NAMES))]

    async def test_namespaces_never_mix(self, opener: Opener) -> None:
        """DUR-052"""
        one = await opener.durability(namespace=f"{opener.namespace}:a")
        other = await opener.durability(namespace=f"{opener.namespace}:a:b")
        await fill(one, "alice", ["m1"])
        assert await other.enqueue(message("m2"), ["alice"]) == [NoQueue()]
        await other.delete(["alice"])
        assert await drain(one, "alice") == ["m1"]
