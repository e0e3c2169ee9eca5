"""Durability obligations: dead letters, bounds, times to live, and that no loss is silent."""

from __future__ import annotations

from prism.plugins.spec import SlotKind
from prism.slots.context import QueuePolicy
from prism.slots.durability import Gap, Lease, Settled

from .durability_words import BRIEF, LONG, PAST, Advance, drain, fill, lease, message, shown
from .harness import Opener
from .slot import AnySlotContract


def dropped(leases: list[Lease]) -> int:
    """How many messages the gaps among the leases stand for."""
    return sum(item.content.dropped for item in leases if isinstance(item.content, Gap))


class LossContract(AnySlotContract):
    """Obligations of dead letters, `replay`, gap markers and message TTL."""

    kind = SlotKind.DURABILITY

    async def test_message_whose_attempts_are_used_up_becomes_a_dead_letter(self, opener: Opener) -> None:
        """DUR-200"""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=3))
        await fill(slot, "alice", ["m1", "m2"])
        for attempt in (1, 2, 3):
            leases = await lease(slot, "alice", 1)
            assert [(item.attempt, shown([item])) for item in leases] == [(attempt, ["m1"])]
            await slot.nack(leases)
        assert shown(await lease(slot, "alice")) == ["m2"]
        [letter] = await slot.dead_letters("alice", 10)
        assert (letter.queue, letter.message, letter.attempts) == ("alice", message("m1"), 3)
        assert letter.reason

    async def test_message_nobody_acked_in_time_becomes_a_dead_letter(self, opener: Opener, advance: Advance) -> None:
        """DUR-201"""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        await fill(slot, "alice", ["m1"])
        await lease(slot, "alice", visibility=BRIEF)
        await advance(PAST)
        assert await lease(slot, "alice") == []
        assert [letter.message.id for letter in await slot.dead_letters("alice", 10)] == ["m1"]

    async def test_dead_letter_is_not_in_the_depth(self, opener: Opener) -> None:
        """DUR-202"""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        await fill(slot, "alice", ["m1", "m2"])
        await slot.nack(await lease(slot, "alice", 1))
        await lease(slot, "alice")
        assert await slot.depth(["alice"]) == [1]

    async def test_last_attempt_can_still_be_acked(self, opener: Opener) -> None:
        """DUR-203"""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        await fill(slot, "alice", ["m1"])
        assert await slot.ack(await lease(slot, "alice")) == [Settled()]
        assert await slot.dead_letters("alice", 10) == []

    async def test_release_never_uses_attempts_up(self, opener: Opener) -> None:
        """DUR-204"""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        await fill(slot, "alice", ["m1"])
        for _ in range(3):
            await slot.release(await lease(slot, "alice"))
        assert await drain(slot, "alice") == ["m1"]

    async def test_dead_letters_are_read_oldest_first_up_to_the_limit(self, opener: Opener) -> None:
        """DUR-205"""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
        await fill(slot, "alice", ["m1", "m2", "m3"])
        await slot.nack(await lease(slot, "alice"))
        await lease(slot, "alice")
        assert [letter.message.id for letter in await slot.dead_letters("alice", 2)] == ["m1", "m2"]
        assert await slot.dead_letters("nobody", 10) == []

    async def test_oldest_dead_letter_makes_room(self, opener: Opener) -> None:
        """DUR-206"""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1, max_dead_letters=2))
        await fill(slot, "alice", ["m1", "m2", "m3"])
        await slot.nack(await lease(slot, "alice"))
        await lease(slot, "alice")
        assert [letter.message.id for letter in await slot.dead_letters("alice", 10)] == ["m2", "m3"]

    async def test_replayed_dead_letter_is_as_new_at_the_end(self, opener: Opener) -> None:
        """DUR-207"""
        slot = await opener.durability(policy=QueuePolicy(max_attempts=1))
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

    async def test_full_queue_drops_the_oldest_and_says_so_in_their_place(self, opener: Opener) -> None:
        """DUR-210"""
        slot = await opener.durability(policy=QueuePolicy(max_messages=3))
        await fill(slot, "alice", [f"m{i}" for i in range(8)])
        assert await slot.depth(["alice"]) == [3]
        assert shown(await lease(slot, "alice")) == [5, "m5", "m6", "m7"]

    async def test_gap_is_handed_out_until_it_is_acked(self, opener: Opener) -> None:
        """DUR-211"""
        slot = await opener.durability(policy=QueuePolicy(max_messages=1, max_attempts=2))
        await fill(slot, "alice", ["m1", "m2"])
        for _ in range(4):
            leases = await lease(slot, "alice", 1)
            assert shown(leases) == [1]
            await slot.nack(leases)
        assert await drain(slot, "alice") == [1, "m2"]
        assert await drain(slot, "alice") == []

    async def test_gap_is_not_in_the_depth(self, opener: Opener) -> None:
        """DUR-212"""
        slot = await opener.durability(policy=QueuePolicy(max_messages=2))
        await fill(slot, "alice", ["m1", "m2", "m3"])
        leases = await lease(slot, "alice", 1)
        assert shown(leases) == [1]
        assert await slot.depth(["alice"]) == [2]

    async def test_full_queue_of_leased_messages_loses_none_in_silence(self, opener: Opener) -> None:
        """DUR-213"""
        slot = await opener.durability(policy=QueuePolicy(max_messages=2))
        await fill(slot, "alice", ["m1", "m2"])
        leases = await lease(slot, "alice")
        await fill(slot, "alice", ["m3"])
        assert await slot.depth(["alice"]) == [2]
        settled = (await slot.ack(leases)).count(Settled())
        rest = await lease(slot, "alice")
        delivered = settled + sum(not isinstance(item.content, Gap) for item in rest)
        assert delivered + dropped(rest) == 3

    async def test_message_that_times_out_leaves_a_gap(self, opener: Opener, advance: Advance) -> None:
        """DUR-220"""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1", "m2"], ttl=BRIEF)
        await fill(slot, "alice", ["m3"])
        await advance(PAST)
        leases = await lease(slot, "alice")
        assert dropped(leases) == 2
        assert shown(leases)[-1] == "m3"

    async def test_timed_out_message_is_not_in_the_depth(self, opener: Opener, advance: Advance) -> None:
        """DUR-221"""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"])
        await fill(slot, "alice", ["m2"], ttl=BRIEF)
        await fill(slot, "alice", ["m3"])
        await advance(PAST)
        assert await slot.depth(["alice"]) == [2]

    async def test_policy_says_how_long_a_message_waits(self, opener: Opener, advance: Advance) -> None:
        """DUR-222"""
        slot = await opener.durability(policy=QueuePolicy(message_ttl=BRIEF))
        await fill(slot, "alice", ["m1"])
        await fill(slot, "alice", ["m2"], ttl=LONG)
        await advance(PAST)
        assert shown(await lease(slot, "alice")) == [1, "m2"]

    async def test_message_without_a_ttl_waits(self, opener: Opener, advance: Advance) -> None:
        """DUR-223"""
        slot = await opener.durability(policy=QueuePolicy(message_ttl=None))
        await fill(slot, "alice", ["m1"])
        await advance(PAST)
        assert await drain(slot, "alice") == ["m1"]

    async def test_message_that_times_out_while_leased_can_still_be_acked(
        self, opener: Opener, advance: Advance
    ) -> None:
        """DUR-224"""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"], ttl=BRIEF)
        leases = await lease(slot, "alice")
        await advance(PAST)
        assert await slot.ack(leases) == [Settled()]
        assert await lease(slot, "alice") == []

    async def test_message_that_times_out_and_comes_back_is_a_gap(self, opener: Opener, advance: Advance) -> None:
        """DUR-225"""
        slot = await opener.durability()
        await fill(slot, "alice", ["m1"], ttl=BRIEF)
        leases = await lease(slot, "alice")
        await advance(PAST)
        await slot.nack(leases)
        assert shown(await lease(slot, "alice")) == [1]
        assert await slot.depth(["alice"]) == [0]

    async def test_gaps_stand_where_the_messages_were(self, opener: Opener, advance: Advance) -> None:
        """DUR-226"""
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
