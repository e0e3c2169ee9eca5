"""Durability obligations: handing out, settling, giving back."""

from __future__ import annotations

import asyncio
from collections import Counter

from prism.plugins.spec import SlotKind
from prism.slots.durability import LeaseLost, Settled

from prism_conformance.checks import check
from prism_conformance.durability.words import BRIEF, LONG, PAST, SHORT, Advance, drain, fill, lease, shown
from prism_conformance.harness import Opener
from prism_conformance.slot import AnySlotContract


class LeaseContract(AnySlotContract):
    """Obligations of `dequeue`, `ack`, `nack`, `release` and `extend`."""

    kind = SlotKind.DURABILITY

    @check("DUR-100", source="RFC-017 Slot 3: Durability Backend; design 5, leases")
    async def test_nothing_is_handed_out_where_nothing_is(self, opener: Opener) -> None:
        """Nothing is handed out where nothing is."""
        slot = await opener.durability()
        await slot.create(["alice"])
        assert await slot.dequeue(["alice", "nobody"], 10, LONG) == []
        assert await slot.dequeue([], 10, LONG) == []

    @check("DUR-101", source="RFC-017 Slot 3: Durability Backend; design 5, leases")
    async def test_limit_is_for_each_queue(self, opener: Opener) -> None:
        """The limit is for each queue."""
        slot = await opener.durability()
        for queue in ("alice", "bob"):
            await fill(slot, queue, [f"m{i}" for i in range(5)])
        leases = await slot.dequeue(["alice", "bob"], 2, LONG)
        assert shown([item for item in leases if item.queue == "alice"]) == ["m0", "m1"]
        assert shown([item for item in leases if item.queue == "bob"]) == ["m0", "m1"]

    @check("DUR-102", source="RFC-017 Slot 3: Durability Backend; design 5, leases")
    async def test_leased_message_is_hidden_from_others(self, opener: Opener) -> None:
        """A leased message is hidden from others."""
        slot, other = await opener.durability(), await opener.durability()
        await fill(slot, "alice", ["m1"])
        assert shown(await lease(slot, "alice")) == ["m1"]
        assert await lease(other, "alice") == []

    @check("DUR-103", source="RFC-017 Slot 3: Durability Backend; design 5, leases")
    async def test_leased_message_does_not_hold_up_later_ones(self, opener: Opener) -> None:
        """A leased message does not hold up later ones."""
        slot, other = await opener.durability(), await opener.durability()
        await fill(slot, "alice", ["m1", "m2", "m3"])
        assert shown(await lease(slot, "alice", 1)) == ["m1"]
        assert shown(await lease(other, "alice")) == ["m2", "m3"]

    @check("DUR-104", source="RFC-017 Slot 3: Durability Backend; design 5, leases")
    async def test_of_racing_consumers_one_gets_each_message(self, opener: Opener) -> None:
        """Of racing consumers, one gets each message."""
        slots = [await opener.durability(), await opener.durability()]
        names = [f"m{i}" for i in range(100)]
        await fill(slots[0], "alice", names)
        batches = await asyncio.gather(*(lease(slots[i % 2], "alice", 7) for i in range(20)))
        assert Counter(name for batch in batches for name in shown(batch)) == dict.fromkeys(names, 1)
        assert all(shown(batch) == [name for name in names if name in shown(batch)] for batch in batches)

    @check("DUR-105", source="RFC-017 Slot 3: Durability Backend; design 5, leases")
    async def test_message_is_handed_out_again_when_its_visibility_ends(self, opener: Opener, advance: Advance) -> None:
        """A message is handed out again when its visibility ends."""
        slot, other = await opener.durability(), await opener.durability()
        await fill(slot, "alice", ["m1"])
        await lease(slot, "alice", visibility=BRIEF)
        await advance(PAST)
        [again] = await lease(other, "alice")
        assert (shown([again]), again.attempt) == (["m1"], 2)

    @check("DUR-106", source="RFC-017 Slot 3: Durability Backend; design 5, leases")
    async def test_message_that_comes_back_goes_before_those_not_yet_handed_out(
        self, opener: Opener, advance: Advance
    ) -> None:
        """A message that comes back goes before those not yet handed out."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1", "m2", "m3", "m4"])
        await lease(slot, "alice", 2, BRIEF)
        await advance(PAST)
        assert shown(await lease(slot, "alice")) == ["m1", "m2", "m3", "m4"]

    @check("DUR-107", source="RFC-017 Slot 3: Durability Backend; design 5, leases")
    async def test_messages_given_back_in_any_order_come_out_in_theirs(self, opener: Opener) -> None:
        """Messages given back in any order come out in theirs."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1", "m2", "m3", "m4"])
        leases = await lease(slot, "alice", 3)
        for item in (leases[2], leases[0], leases[1]):
            await slot.nack([item])
        assert shown(await lease(slot, "alice")) == ["m1", "m2", "m3", "m4"]

    @check("DUR-110", source="RFC-017 Slot 3: Durability Backend; design 5, ack")
    async def test_acked_message_never_comes_back(self, opener: Opener, advance: Advance) -> None:
        """An acked message never comes back."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        assert await slot.ack(await lease(slot, "alice", visibility=BRIEF)) == [Settled()]
        await advance(PAST)
        assert await lease(slot, "alice") == []
        assert await slot.depth(["alice"]) == [0]

    @check("DUR-111", source="RFC-017 Slot 3: Durability Backend; design 5, ack")
    async def test_ack_on_another_slot_counts(self, opener: Opener) -> None:
        """An ack on another slot counts."""
        slot, other = await opener.durability(), await opener.durability()
        await fill(slot, "alice", ["m1"])
        assert await other.ack(await lease(slot, "alice")) == [Settled()]
        assert await slot.depth(["alice"]) == [0]

    @check("DUR-112", source="RFC-017 Slot 3: Durability Backend; design 5, ack")
    async def test_second_ack_finds_the_lease_lost(self, opener: Opener) -> None:
        """A second ack finds the lease lost."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        leases = await lease(slot, "alice")
        assert await slot.ack([*leases, *leases]) == [Settled(), LeaseLost()]
        assert await slot.ack(leases) == [LeaseLost()]

    @check("DUR-113", source="RFC-017 Slot 3: Durability Backend; design 5, ack")
    async def test_lease_that_somebody_else_has_by_now_is_lost(self, opener: Opener, advance: Advance) -> None:
        """A lease that somebody else has by now is lost."""
        slot, other = await opener.durability(), await opener.durability()
        await fill(slot, "alice", ["m1"])
        old = await lease(slot, "alice", visibility=BRIEF)
        await advance(PAST)
        new = await lease(other, "alice")
        assert await slot.ack(old) == [LeaseLost()]
        assert await slot.nack(old) == [LeaseLost()]
        assert await slot.release(old) == [LeaseLost()]
        assert await slot.extend(old, LONG) == [LeaseLost()]
        assert await slot.depth(["alice"]) == [1]
        assert await other.ack(new) == [Settled()]

    @check("DUR-114", source="RFC-017 Slot 3: Durability Backend; design 5, ack")
    async def test_batch_of_acks_answers_lease_by_lease_in_order(self, opener: Opener) -> None:
        """A batch of acks answers lease by lease in order."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1", "m2", "m3"])
        leases = await lease(slot, "alice")
        await slot.ack([leases[1]])
        assert await slot.ack(leases) == [Settled(), LeaseLost(), Settled()]
        assert await slot.ack([]) == []

    @check("DUR-120", source="design 5, leases")
    async def test_nacked_message_is_handed_out_at_once_as_a_further_attempt(self, opener: Opener) -> None:
        """A nacked message is handed out at once as a further attempt."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        leases = await lease(slot, "alice")
        assert await slot.nack(leases) == [Settled()]
        [again] = await lease(slot, "alice")
        assert again.attempt == 2
        assert await slot.ack(leases) == [LeaseLost()]

    @check("DUR-121", source="design 5, leases")
    async def test_nacked_message_stays_hidden_for_the_delay(self, opener: Opener, advance: Advance) -> None:
        """A nacked message stays hidden for the delay."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        await slot.nack(await lease(slot, "alice"), BRIEF)
        assert await lease(slot, "alice") == []
        assert await slot.depth(["alice"]) == [1]
        await advance(PAST)
        assert shown(await lease(slot, "alice")) == ["m1"]

    @check("DUR-122", source="design 5, leases")
    async def test_released_message_is_handed_out_as_the_same_attempt(self, opener: Opener) -> None:
        """A released message is handed out as the same attempt."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1", "m2"])
        for _ in range(10):
            leases = await lease(slot, "alice")
            assert [item.attempt for item in leases] == [1, 1]
            assert shown(leases) == ["m1", "m2"]
            assert await slot.release(leases) == [Settled(), Settled()]

    @check("DUR-123", source="design 5, leases")
    async def test_extended_lease_outlasts_its_first_visibility(self, opener: Opener, advance: Advance) -> None:
        """Extended lease outlasts its first visibility."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        leases = await lease(slot, "alice", visibility=BRIEF)
        assert await slot.extend(leases, LONG) == [Settled()]
        await advance(PAST)
        assert await lease(slot, "alice") == []
        assert await slot.ack(leases) == [Settled()]

    @check("DUR-124", source="design 5, leases")
    async def test_extended_lease_ends_too(self, opener: Opener, advance: Advance) -> None:
        """Extended lease ends too."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        leases = await lease(slot, "alice")
        await slot.extend(leases, BRIEF)
        await advance(SHORT / 2)
        assert await lease(slot, "alice") == []
        await advance(PAST)
        assert shown(await lease(slot, "alice")) == ["m1"]

    @check("DUR-125", source="design 5, leases")
    async def test_token_is_good_for_its_own_queue_only(self, opener: Opener) -> None:
        """A token is good for its own queue only."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        await fill(slot, "bob", ["m1"])
        [mine] = await lease(slot, "alice")
        await slot.ack([mine])
        assert await drain(slot, "bob") == ["m1"]

    @check("DUR-126", source="RFC-017 Slot 3: Durability Backend; design 5, leases")
    async def test_message_leased_by_a_slot_that_is_gone_comes_back(self, opener: Opener, advance: Advance) -> None:
        """What a slot had leased when it was closed without an ack is handed out to another."""
        other, gone = await opener.durability(), await opener.durability()
        await fill(gone, "alice", ["m1", "m2"])
        assert shown(await lease(gone, "alice", 1, BRIEF)) == ["m1"]
        await gone.close()
        await advance(PAST)
        assert shown(await lease(other, "alice")) == ["m1", "m2"]

    @check("DUR-127", source="RFC-017 Slot 3: Durability Backend; design 5, leases")
    async def test_consumer_that_is_cancelled_loses_nothing(self, opener: Opener, advance: Advance) -> None:
        """A consumer that is cancelled while it takes messages loses none."""
        slot = await opener.durability()
        names = [f"m{i}" for i in range(20)]
        await fill(slot, "alice", names)
        for _ in range(5):
            taking = asyncio.ensure_future(lease(slot, "alice", 5, BRIEF))
            await asyncio.sleep(0)
            taking.cancel()
            await asyncio.wait([taking])
        await advance(PAST)
        assert shown(await lease(slot, "alice")) == names
