"""Registry obligations: expiry, renewal, and claiming the expired."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from prism.model.limits import Limits
from prism.model.time import SECOND
from prism.plugins.spec import SlotKind
from prism.slots.registry import Absent, AtRevision, Fence, Refusal, RegistryBackend, Renewal, Renewed, Stored

from prism_conformance.checks import check
from prism_conformance.comparing import differences
from prism_conformance.harness import Opener
from prism_conformance.registry.words import HOUR, MINUTE, PAST, SHORT, names, reason, store, store_short, write
from prism_conformance.slot import AnySlotContract

Advance = Callable[[float], Awaitable[None]]


async def _expired(opener: Opener, advance: Advance) -> RegistryBackend:
    """A registry where alice has expired and bob has not. Nobody has popped anything."""
    registry = await opener.registry()
    await store_short(registry, "alice", b'{"v":1}', registration_id="r1")
    await store(registry, "bob")
    await advance(PAST)
    return registry


class TimeContract(AnySlotContract):
    """Obligations of the TTL, `expire` and `pop_expired`."""

    kind = SlotKind.REGISTRY

    @check("REG-100", source="RFC-017 Register Operation; design 5, time")
    async def test_time_to_live_counts_from_the_write(self, opener: Opener) -> None:
        """The time to live counts from the write."""
        registry = await opener.registry()
        found = (await store(registry, "alice", ttl=HOUR)).registration
        assert found.expires_at == found.updated_at + HOUR

    @check("REG-101", source="RFC-017 Register Operation; design 5, time")
    async def test_registration_without_a_ttl_stays(self, opener: Opener, advance: Advance) -> None:
        """A registration without a TTL stays."""
        registry = await opener.registry()
        await store(registry, "alice")
        await advance(PAST)
        assert await names(registry) == ["alice"]
        assert await registry.pop_expired(10) == []

    @check("REG-102", source="RFC-017 Register Operation; design 5, time")
    async def test_registration_lives_until_its_ttl_is_over(self, opener: Opener, advance: Advance) -> None:
        """A registration lives until its TTL is over."""
        registry = await opener.registry()
        outcome = await store_short(registry, "alice")
        await advance(SHORT / 4)
        assert await registry.get(["alice"]) == [outcome.registration]

    @check("REG-110", source="RFC-017 Enumerate Operation; design 5, time")
    async def test_expired_identity_is_not_got(self, opener: Opener, advance: Advance) -> None:
        """An expired identity is not found by `get`."""
        registry = await _expired(opener, advance)
        assert [item and item.identity for item in await registry.get(["alice", "bob"])] == [None, "bob"]

    @check("REG-111", source="RFC-017 Enumerate Operation; design 5, time")
    async def test_expired_identity_is_never_enumerated(self, opener: Opener, advance: Advance) -> None:
        """An expired identity is never enumerated."""
        registry = await _expired(opener, advance)
        assert await names(registry) == ["bob"]

    @check("REG-112", source="RFC-017 Enumerate Operation; design 5, time")
    async def test_expired_identity_is_not_counted(self, opener: Opener, advance: Advance) -> None:
        """An expired identity is not counted."""
        registry = await _expired(opener, advance)
        assert await registry.count(()) == 1

    @check("REG-113", source="RFC-017 Enumerate Operation; design 5, time")
    async def test_expired_identity_can_not_be_deleted(self, opener: Opener, advance: Advance) -> None:
        """An expired identity can't be deleted."""
        registry = await _expired(opener, advance)
        outcomes = await registry.delete([Fence("alice", "r1"), Fence("alice")])
        assert [reason(outcome) for outcome in outcomes] == [Refusal.NOT_FOUND, Refusal.NOT_FOUND]

    @check("REG-114", source="RFC-017 Enumerate Operation; design 5, time")
    async def test_expired_identity_can_not_be_renewed(self, opener: Opener, advance: Advance) -> None:
        """An expired identity can't be renewed."""
        registry = await _expired(opener, advance)
        outcomes = await registry.expire([Renewal("alice", "r1", HOUR), Renewal("alice", None, None)])
        assert [reason(outcome) for outcome in outcomes] == [Refusal.NOT_FOUND, Refusal.NOT_FOUND]
        assert await registry.get(["alice"]) == [None]

    @check("REG-115", source="RFC-017 Enumerate Operation; design 5, time")
    async def test_expired_identity_is_absent_to_a_write(self, opener: Opener, advance: Advance) -> None:
        """An expired identity is absent to a write."""
        registry = await _expired(opener, advance)
        outcome = await store(registry, "alice", b'{"v":2}', precondition=Absent())
        assert outcome.replaced is None
        assert outcome.registration.registered_at == outcome.registration.updated_at
        assert await registry.get(["alice"]) == [outcome.registration]

    @check("REG-116", source="RFC-017 Enumerate Operation; design 5, time")
    async def test_expired_identity_can_not_be_changed(self, opener: Opener, advance: Advance) -> None:
        """An expired identity can't be changed."""
        registry = await opener.registry()
        first = (await store_short(registry, "alice")).registration
        await advance(PAST)
        [outcome] = await registry.set([write("alice", precondition=AtRevision(first.revision))])
        assert reason(outcome) is Refusal.NOT_FOUND

    @check("REG-117", source="RFC-017 Enumerate Operation; design 5, time")
    async def test_expired_identity_is_no_longer_replaced(self, opener: Opener, advance: Advance) -> None:
        """An expired identity is no longer replaced."""
        registry = await _expired(opener, advance)
        assert (await store(registry, "alice")).replaced is None

    @check("REG-118", source="RFC-017 Enumerate Operation; design 5, time")
    async def test_revision_is_not_used_again_after_an_expiry(self, opener: Opener, advance: Advance) -> None:
        """A revision is not used again after an expiry."""
        registry = await opener.registry()
        first = (await store_short(registry, "alice")).registration
        await advance(PAST)
        await registry.pop_expired(10)
        assert (await store(registry, "alice")).registration.revision > first.revision

    @check("REG-119", source="RFC-017 Enumerate Operation; design 5, time")
    async def test_expired_identities_leave_room_in_a_full_namespace(self, opener: Opener, advance: Advance) -> None:
        """Expired identities leave room in a full namespace."""
        registry = await opener.registry(limits=Limits(registrations=3))
        for name in ("alice", "bob"):
            await store_short(registry, name)
        await store(registry, "carol")
        await advance(PAST)
        outcomes = await registry.set([write("dave"), write("erin"), write("frank")])
        assert [reason(outcome) for outcome in outcomes] == [None, None, Refusal.QUOTA_EXCEEDED]

    @check("REG-120", source="RFC-017 Slot 1: Registry Backend; design 7, Heartbeat")
    async def test_renewal_moves_the_expiry_and_nothing_else(self, opener: Opener) -> None:
        """A renewal moves the expiry and nothing else."""
        registry = await opener.registry()
        first = (await store_short(registry, "alice", registration_id="r1")).registration
        [outcome] = await registry.expire([Renewal("alice", "r1", HOUR)])
        [found] = await registry.get(["alice"])
        assert isinstance(outcome, Renewed)
        assert found is not None
        assert first.expires_at is not None
        assert outcome.expires_at is not None
        assert found.expires_at == outcome.expires_at > first.expires_at
        assert (found.revision, found.updated_at) == (first.revision, first.updated_at)

    @check("REG-121", source="RFC-017 Slot 1: Registry Backend; design 7, Heartbeat")
    async def test_renewed_identity_outlives_its_first_ttl(self, opener: Opener, advance: Advance) -> None:
        """A renewed identity outlives its first TTL."""
        registry = await opener.registry()
        await store_short(registry, "alice")
        await registry.expire([Renewal("alice", None, HOUR)])
        await advance(PAST)
        assert await names(registry) == ["alice"]
        assert await registry.pop_expired(10) == []

    @check("REG-122", source="RFC-017 Slot 1: Registry Backend; design 7, Heartbeat")
    async def test_renewal_can_take_the_expiry_away(self, opener: Opener, advance: Advance) -> None:
        """A renewal can take the expiry away."""
        registry = await opener.registry()
        await store_short(registry, "alice")
        assert await registry.expire([Renewal("alice", None, None)]) == [Renewed(None)]
        await advance(PAST)
        [found] = await registry.get(["alice"])
        assert found is not None
        assert found.expires_at is None

    @check("REG-123", source="RFC-017 Slot 1: Registry Backend; design 7, Heartbeat")
    async def test_renewal_can_shorten_the_life(self, opener: Opener, advance: Advance) -> None:
        """A renewal can shorten the life."""
        registry = await opener.registry()
        await store(registry, "alice", ttl=HOUR)
        await registry.expire([Renewal("alice", None, round(SHORT * SECOND))])
        await advance(PAST)
        assert await names(registry) == []
        assert [item.identity for item in await registry.pop_expired(10)] == ["alice"]

    @check("REG-124", source="RFC-017 Slot 1: Registry Backend; design 7, Heartbeat")
    async def test_renewal_with_an_overtaken_registration_id_is_stale(self, opener: Opener, advance: Advance) -> None:
        """A renewal with an overtaken registration id is stale."""
        registry = await opener.registry()
        await store_short(registry, "alice", registration_id="r2")
        [outcome] = await registry.expire([Renewal("alice", "r1", HOUR)])
        assert reason(outcome) is Refusal.STALE
        await advance(PAST)
        assert await names(registry) == []

    @check("REG-125", source="RFC-017 Slot 1: Registry Backend; design 7, Heartbeat")
    async def test_batch_of_renewals_says_which_were_lost(self, opener: Opener) -> None:
        """A batch of renewals says which were lost."""
        registry = await opener.registry()
        await store(registry, "alice", registration_id="r1", ttl=HOUR)
        await store(registry, "bob", registration_id="r1", ttl=HOUR)
        outcomes = await registry.expire(
            [Renewal("nobody", None, HOUR), Renewal("bob", "r0", HOUR), Renewal("alice", "r1", HOUR)]
        )
        assert [reason(outcome) for outcome in outcomes] == [Refusal.NOT_FOUND, Refusal.STALE, None]

    @check("REG-127", source="RFC-017 Slot 1: Registry Backend; design 7, Heartbeat")
    async def test_large_batch_of_renewals_moves_every_expiry(self, opener: Opener) -> None:
        """A heartbeat for thousands renews every one of them."""
        registry = await opener.registry()
        names_ = [f"user-{i:05d}" for i in range(2_500)]
        await registry.set([write(name, ttl=MINUTE) for name in names_])
        outcomes = await registry.expire([Renewal(name, "r0", HOUR) for name in names_])
        assert {type(outcome) for outcome in outcomes} == {Renewed}
        found = [item and item.expires_at for item in await registry.get(names_)]
        promised = [outcome.expires_at for outcome in outcomes if isinstance(outcome, Renewed)]
        assert differences(found, promised) == []

    @check("REG-126", source="RFC-017 Slot 1: Registry Backend; design 7, Heartbeat")
    async def test_change_that_keeps_the_expiry_still_expires(self, opener: Opener, advance: Advance) -> None:
        """A change that keeps the expiry still expires."""
        registry = await opener.registry()
        first = (await store_short(registry, "alice")).registration
        await store(registry, "alice", ttl=HOUR, precondition=AtRevision(first.revision))
        await advance(PAST)
        assert await names(registry) == ["alice"]

    @check("REG-130", source="design 5, pop_expired")
    async def test_expired_registration_is_popped_as_it_was(self, opener: Opener, advance: Advance) -> None:
        """An expired registration is popped as it was."""
        registry = await opener.registry()
        outcome = await store_short(registry, "alice", b'{"v":1}', address="inbox-1")
        await advance(PAST)
        assert await registry.pop_expired(10) == [outcome.registration]
        assert await registry.pop_expired(10) == []

    @check("REG-131", source="design 5, pop_expired")
    async def test_live_registrations_are_never_popped(self, opener: Opener, advance: Advance) -> None:
        """Live registrations are never popped."""
        registry = await _expired(opener, advance)
        await store(registry, "carol", ttl=HOUR)
        assert [item.identity for item in await registry.pop_expired(10)] == ["alice"]
        assert await names(registry) == ["bob", "carol"]

    @check("REG-132", source="design 5, pop_expired")
    async def test_popping_stops_at_the_limit(self, opener: Opener, advance: Advance) -> None:
        """Popping stops at the limit."""
        registry = await opener.registry()
        await registry.set([write(f"user-{i}", ttl=round(SHORT * SECOND)) for i in range(25)])
        await advance(PAST)
        sizes = [len(await registry.pop_expired(10)) for _ in range(4)]
        assert sizes == [10, 10, 5, 0]

    @check("REG-133", source="design 5, pop_expired")
    async def test_identity_registered_again_is_not_popped(self, opener: Opener, advance: Advance) -> None:
        """An identity registered again is not popped."""
        registry = await _expired(opener, advance)
        again = await store(registry, "alice", ttl=HOUR)
        assert await registry.pop_expired(10) == []
        assert await registry.get(["alice"]) == [again.registration]

    @check("REG-134", source="design 5, pop_expired")
    async def test_of_racing_sweepers_one_gets_each_expired_registration(
        self, opener: Opener, advance: Advance
    ) -> None:
        """Of racing sweepers, one gets each expired registration."""
        registries = [await opener.registry(), await opener.registry()]
        await registries[0].set([write(f"user-{i:03d}", ttl=round(SHORT * SECOND)) for i in range(300)])
        await advance(PAST)
        claims = await asyncio.gather(*(registries[i % 2].pop_expired(40) for i in range(20)))
        claimed = Counter(item.identity for claim in claims for item in claim)
        assert claimed == {f"user-{i:03d}": 1 for i in range(300)}

    @check("REG-135", source="design 5, pop_expired")
    async def test_identity_that_expires_during_a_batch_can_be_registered_in_it(
        self, opener: Opener, advance: Advance
    ) -> None:
        """An identity that has expired can be registered in a batch, once."""
        registry = await _expired(opener, advance)
        outcomes = await registry.set([write(name, precondition=Absent()) for name in ("alice", "bob", "alice")])
        assert isinstance(outcomes[0], Stored)
        assert [reason(outcome) for outcome in outcomes[1:]] == [Refusal.ALREADY_EXISTS, Refusal.ALREADY_EXISTS]
