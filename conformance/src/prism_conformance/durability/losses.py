"""Durability obligations: dead letters, bounds, times to live, and that no loss is silent."""

from __future__ import annotations

from prism.plugins.spec import SlotKind
from prism.slots.context import QueuePolicy
from prism.slots.durability import Gap, Lease, Settled

from prism_conformance.capabilities import keeps_dead_letters
from prism_conformance.checks import check
from prism_conformance.durability.words import BRIEF, LONG, PAST, Advance, drain, fill, lease, message, shown
from prism_conformance.harness import Opener
from prism_conformance.slot import AnySlotContract


def dropped(leases: list[Lease]) -> int:
    """How many messages the gaps among the leases stand for."""
    return sum(item.content.dropped for item in leases if isinstance(item.content, Gap))


class LossContract(AnySlotContract):
    """Obligations of dead letters, `replay`, gap markers and message TTL."""

    kind = SlotKind.DURABILITY

    @check("DUR-200", source="design 5, dead letters")
    async def test_message_whose_attempts_are_used_up_becomes_a_dead_letter(self, opener: Opener) -> None:
        """A message whose attempts are used up becomes a dead letter; where there are none, a gap."""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=3))
        await fill(slot, "alice", ["m1", "m2"])
        for attempt in (1, 2, 3):
            leases = await lease(slot, "alice", 1)
            assert [(item.attempt, shown([item])) for item in leases] == [(attempt, ["m1"])]
            await slot.nack(leases)
        if not await keeps_dead_letters(slot):
            assert shown(await lease(slot, "alice")) == [1, "m2"], "a message given up without a trace"
            return
        assert shown(await lease(slot, "alice")) == ["m2"]
        [letter] = await slot.dead_letters("alice", 10)
        assert (letter.queue, letter.message, letter.attempts) == ("alice", message("m1"), 3)
        assert letter.reason

    @check("DUR-201", source="design 5, dead letters")
    async def test_message_nobody_acked_in_time_becomes_a_dead_letter(self, opener: Opener, advance: Advance) -> None:
        """A message nobody acked in time becomes a dead letter."""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        if not await keeps_dead_letters(slot):
            return
        await fill(slot, "alice", ["m1"])
        await lease(slot, "alice", visibility=BRIEF)
        await advance(PAST)
        assert await lease(slot, "alice") == []
        assert [letter.message.id for letter in await slot.dead_letters("alice", 10)] == ["m1"]

    @check("DUR-202", source="design 5, dead letters")
    async def test_dead_letter_is_not_in_the_depth(self, opener: Opener) -> None:
        """A dead letter is not in the depth."""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        if not await keeps_dead_letters(slot):
            return
        await fill(slot, "alice", ["m1", "m2"])
        await slot.nack(await lease(slot, "alice", 1))
        await lease(slot, "alice")
        assert await slot.depth(["alice"]) == [1]

    @check("DUR-203", source="design 5, dead letters")
    async def test_last_attempt_can_still_be_acked(self, opener: Opener) -> None:
        """The last attempt can still be acked."""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        await fill(slot, "alice", ["m1"])
        assert await slot.ack(await lease(slot, "alice")) == [Settled()]
        assert await lease(slot, "alice") == []
        assert not await keeps_dead_letters(slot) or await slot.dead_letters("alice", 10) == []

    @check("DUR-204", source="design 5, dead letters")
    async def test_release_never_uses_attempts_up(self, opener: Opener) -> None:
        """Release never uses attempts up."""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        await fill(slot, "alice", ["m1"])
        for _ in range(3):
            await slot.release(await lease(slot, "alice"))
        assert await drain(slot, "alice") == ["m1"]

    @check("DUR-205", source="design 5, dead letters")
    async def test_dead_letters_are_read_oldest_first_up_to_the_limit(self, opener: Opener) -> None:
        """Dead letters are read oldest first up to the limit."""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        if not await keeps_dead_letters(slot):
            return
        await fill(slot, "alice", ["m1", "m2", "m3"])
        await slot.nack(await lease(slot, "alice"))
        await lease(slot, "alice")
        assert [letter.message.id for letter in await slot.dead_letters("alice", 2)] == ["m1", "m2"]
        assert await slot.dead_letters("nobody", 10) == []

    @check("DUR-206", source="design 5, dead letters")
    async def test_oldest_dead_letter_makes_room(self, opener: Opener) -> None:
        """The oldest dead letter makes room."""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1, max_dead_letters=2))
        if not await keeps_dead_letters(slot):
            return
        await fill(slot, "alice", ["m1", "m2", "m3"])
        await slot.nack(await lease(slot, "alice"))
        await lease(slot, "alice")
        assert [letter.message.id for letter in await slot.dead_letters("alice", 10)] == ["m2", "m3"]

    @check("DUR-207", source="design 5, dead letters")
    async def test_replayed_dead_letter_is_as_new_at_the_end(self, opener: Opener) -> None:
        """A replayed dead letter is as new at the end."""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        if not await keeps_dead_letters(slot):
            return
        await fill(slot, "alice", ["m1", "m2"])
        await slot.nack(await lease(slot, "alice", 1))
        await lease(slot, "alice", 0)
        assert await slot.replay("alice", ["m1", "m1", "unknown"]) == 1
        assert await slot.depth(["alice"]) == [2]
        leases = await lease(slot, "alice")
        assert [(item.attempt, shown([item])) for item in leases] == [(1, ["m2"]), (1, ["m1"])]
        assert await slot.dead_letters("alice", 10) == []
        assert await slot.replay("alice", ["m1"]) == 0
        assert await slot.replay("nobody", ["m1"]) == 0

    @check("DUR-210", source="design 5, bounded queues with gap markers")
    async def test_full_queue_drops_the_oldest_and_says_so_in_their_place(self, opener: Opener) -> None:
        """A full queue drops the oldest and says so in their place."""
        slot = await opener.durability(policy=QueuePolicy(max_messages=3))
        await fill(slot, "alice", [f"m{i}" for i in range(8)])
        assert await slot.depth(["alice"]) == [3]
        assert shown(await lease(slot, "alice")) == [5, "m5", "m6", "m7"]

    @check("DUR-211", source="design 5, bounded queues with gap markers")
    async def test_gap_is_handed_out_until_it_is_acked(self, opener: Opener) -> None:
        """A gap is handed out until it is acked."""
        slot = await opener.durability(policy=QueuePolicy(max_messages=1, max_attempts=2))
        await fill(slot, "alice", ["m1", "m2"])
        for _ in range(4):
            leases = await lease(slot, "alice", 1)
            assert shown(leases) == [1]
            await slot.nack(leases)
        assert await drain(slot, "alice") == [1, "m2"]
        assert await drain(slot, "alice") == []

    @check("DUR-212", source="design 5, bounded queues with gap markers")
    async def test_gap_is_not_in_the_depth(self, opener: Opener) -> None:
        """A gap is not in the depth."""
        slot = await opener.durability(policy=QueuePolicy(max_messages=2))
        await fill(slot, "alice", ["m1", "m2", "m3"])
        leases = await lease(slot, "alice", 1)
        assert shown(leases) == [1]
        assert await slot.depth(["alice"]) == [2]

    @check("DUR-213", source="design 5, bounded queues with gap markers")
    async def test_full_queue_of_leased_messages_loses_none_in_silence(self, opener: Opener) -> None:
        """A full queue of leased messages loses none in silence."""
        slot = await opener.durability(policy=QueuePolicy(max_messages=2))
        await fill(slot, "alice", ["m1", "m2"])
        leases = await lease(slot, "alice")
        await fill(slot, "alice", ["m3"])
        assert await slot.depth(["alice"]) == [2]
        settled = (await slot.ack(leases)).count(Settled())
        rest = await lease(slot, "alice")
        delivered = settled + sum(not isinstance(item.content, Gap) for item in rest)
        assert delivered + dropped(rest) == 3

    @check("DUR-220", source="design 5, message TTL")
    async def test_message_that_times_out_leaves_a_gap(self, opener: Opener, advance: Advance) -> None:
        """A message that times out leaves a gap."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1", "m2"], ttl=BRIEF)
        await fill(slot, "alice", ["m3"])
        await advance(PAST)
        leases = await lease(slot, "alice")
        assert dropped(leases) == 2
        assert shown(leases)[-1] == "m3"

    @check("DUR-221", source="design 5, message TTL")
    async def test_timed_out_message_is_not_in_the_depth(self, opener: Opener, advance: Advance) -> None:
        """A timed out message is not in the depth."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        await fill(slot, "alice", ["m2"], ttl=BRIEF)
        await fill(slot, "alice", ["m3"])
        await advance(PAST)
        assert await slot.depth(["alice"]) == [2]

    @check("DUR-222", source="design 5, message TTL")
    async def test_policy_says_how_long_a_message_waits(self, opener: Opener, advance: Advance) -> None:
        """The policy says how long a message waits."""
        slot = await opener.durability(policy=QueuePolicy(message_ttl=BRIEF))
        await fill(slot, "alice", ["m1"])
        await fill(slot, "alice", ["m2"], ttl=LONG)
        await advance(PAST)
        assert shown(await lease(slot, "alice")) == [1, "m2"]

    @check("DUR-223", source="design 5, message TTL")
    async def test_message_without_a_ttl_waits(self, opener: Opener, advance: Advance) -> None:
        """A message without a TTL waits."""
        slot = await opener.durability(policy=QueuePolicy(message_ttl=None))
        await fill(slot, "alice", ["m1"])
        await advance(PAST)
        assert await drain(slot, "alice") == ["m1"]

    @check("DUR-224", source="design 5, message TTL")
    async def test_message_that_times_out_while_leased_can_still_be_acked(
        self, opener: Opener, advance: Advance
    ) -> None:
        """A message that times out while leased can still be acked."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"], ttl=BRIEF)
        leases = await lease(slot, "alice")
        await advance(PAST)
        assert await slot.ack(leases) == [Settled()]
        assert await lease(slot, "alice") == []

    @check("DUR-225", source="design 5, message TTL")
    async def test_message_that_times_out_and_comes_back_is_a_gap(self, opener: Opener, advance: Advance) -> None:
        """A message that times out and comes back is a gap."""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"], ttl=BRIEF)
        leases = await lease(slot, "alice")
        await advance(PAST)
        await slot.nack(leases)
        assert shown(await lease(slot, "alice")) == [1]
        assert await slot.depth(["alice"]) == [0]

    @check("DUR-226", source="design 5, message TTL")
    async def test_gaps_stand_where_the_messages_were(self, opener: Opener, advance: Advance) -> None:
        """Gaps stand where the messages were."""
        slot = await opener.durability()
        for name, ttl in (("m1", LONG), ("m2", BRIEF), ("m3", BRIEF), ("m4", LONG), ("m5", BRIEF)):
            await fill(slot, "alice", [name], ttl=ttl)
        await advance(PAST)
        leases = await lease(slot, "alice")
        assert dropped(leases) == 3
        found = shown(leases)
        assert [name for name in found if isinstance(name, str)] == ["m1", "m4"]
        assert found[0] == "m1"
        assert isinstance(found[-1], int)
