"""Registry obligations: writing, reading back, deleting, fences, revisions, quotas."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from prism.model.limits import Limits
from prism.plugins.spec import Capability, SlotKind
from prism.slots.registry import (
    Absent,
    Anything,
    AtRevision,
    Deleted,
    Fence,
    Keep,
    Refusal,
    Refused,
    Stored,
)

from prism_conformance.awkward import DOCUMENTS, NAMES
from prism_conformance.checks import check
from prism_conformance.comparing import differences
from prism_conformance.harness import PATIENCE, Opener
from prism_conformance.registry.words import HOUR, names, reason, store, stored, write
from prism_conformance.slot import AnySlotContract


class WriteContract(AnySlotContract):
    """Obligations of `set`, `get` and `delete`."""

    kind = SlotKind.REGISTRY

    @check("REG-010", source="RFC-017 Slot 1: Registry Backend; design 5, RegistryBackend")
    async def test_what_was_written_is_read_back_byte_for_byte(self, opener: Opener) -> None:
        """What was written is read back byte for byte."""
        registry = await opener.registry()
        metadata = b'{"room":"a b","n":9007199254740993,"f":0.1,"deep":{"list":[1,null,true,"\xc3\xa9"]}}'
        await store(registry, "alice", metadata, registration_id="r1", address="inbox-1", owner="ops")
        [found] = await registry.get(["alice"])
        assert found is not None
        assert (found.identity, found.metadata_json, found.registration_id) == ("alice", metadata, "r1")
        assert (found.address, found.owner, found.expires_at) == ("inbox-1", "ops", None)

    @check("REG-011", source="RFC-017 Slot 1: Registry Backend; design 5, RegistryBackend")
    async def test_stored_outcome_is_the_registration_that_is_read(self, opener: Opener) -> None:
        """A stored outcome is the registration that is read."""
        registry = await opener.registry()
        outcome = await store(registry, "alice", ttl=HOUR)
        assert outcome.replaced is None
        assert await registry.get(["alice"]) == [outcome.registration]
        assert outcome.registration.registered_at == outcome.registration.updated_at

    @check("REG-012", source="RFC-017 Slot 1: Registry Backend; design 5, RegistryBackend")
    async def test_get_answers_in_the_order_asked_with_none_for_the_unknown(self, opener: Opener) -> None:
        """`get` answers in the order asked, with None for the unknown."""
        registry = await opener.registry()
        await store(registry, "alice")
        await store(registry, "bob")
        found = await registry.get(["bob", "nobody", "alice", "bob"])
        assert [item and item.identity for item in found] == ["bob", None, "alice", "bob"]

    @check("REG-013", source="RFC-017 Register Operation; design 5, preconditions")
    async def test_write_if_absent_over_a_live_registration_changes_nothing(self, opener: Opener) -> None:
        """A write if absent, over a live registration, changes nothing."""
        registry = await opener.registry()
        first = await store(registry, "alice", b'{"v":1}')
        [outcome] = await registry.set([write("alice", b'{"v":2}', precondition=Absent())])
        assert reason(outcome) is Refusal.ALREADY_EXISTS
        assert await registry.get(["alice"]) == [first.registration]

    @check("REG-014", source="RFC-017 Register Operation; design 5, preconditions")
    async def test_of_fifty_concurrent_writes_if_absent_one_wins(self, opener: Opener) -> None:
        """Of fifty concurrent writes if absent, one wins."""
        registries = [await opener.registry(), await opener.registry()]
        attempts = [
            registries[i % 2].set([write("alice", registration_id=f"r{i}", precondition=Absent())]) for i in range(50)
        ]
        outcomes = [outcome for [outcome] in await asyncio.gather(*attempts)]
        winners = [outcome for outcome in outcomes if isinstance(outcome, Stored)]
        assert len(winners) == 1
        assert Counter(map(reason, outcomes))[Refusal.ALREADY_EXISTS] == 49
        assert await registries[0].get(["alice"]) == [winners[0].registration]

    @check("REG-015", source="RFC-017 Register Operation; design 5, RegistryBackend")
    async def test_replacing_makes_a_new_registration_and_names_the_old_one(self, opener: Opener) -> None:
        """Replacing makes a new registration and names the old one."""
        registry = await opener.registry()
        first = await store(registry, "alice", registration_id="r1", address="inbox-1")
        second = await store(registry, "alice", b'{"v":2}', registration_id="r2", address="inbox-2")
        assert second.replaced is not None
        assert (second.replaced.registration_id, second.replaced.address) == ("r1", "inbox-1")
        assert second.registration.registered_at == second.registration.updated_at
        assert second.registration.registered_at >= first.registration.registered_at
        assert await registry.get(["alice"]) == [second.registration]

    @check("REG-016", source="design 7, Update; design 5, preconditions")
    async def test_change_at_a_revision_keeps_when_it_was_registered(
        self, opener: Opener, advance: Callable[[float], Awaitable[None]]
    ) -> None:
        """A change at a revision keeps when it was registered."""
        registry = await opener.registry()
        first = (await store(registry, "alice", address="inbox-1")).registration
        await advance(0.01)
        changed = await store(registry, "alice", b'{"v":2}', precondition=AtRevision(first.revision), address="inbox-2")
        assert changed.registration.registered_at == first.registered_at
        assert changed.registration.updated_at > first.updated_at
        assert changed.registration.metadata_json == b'{"v":2}'
        assert changed.replaced is not None
        assert changed.replaced.address == "inbox-1"

    @check("REG-017", source="design 7, Update; design 5, preconditions")
    async def test_change_at_another_revision_is_a_conflict_and_changes_nothing(self, opener: Opener) -> None:
        """A change at another revision is a conflict and changes nothing."""
        registry = await opener.registry()
        first = (await store(registry, "alice")).registration
        [outcome] = await registry.set([write("alice", b'{"v":2}', precondition=AtRevision(first.revision + 1))])
        assert reason(outcome) is Refusal.CONFLICT
        assert await registry.get(["alice"]) == [first]

    @check("REG-018", source="design 7, Update; design 5, preconditions")
    async def test_change_of_an_unknown_identity_is_not_found(self, opener: Opener) -> None:
        """A change of an unknown identity is not found."""
        registry = await opener.registry()
        [outcome] = await registry.set([write("nobody", precondition=AtRevision(1))])
        assert reason(outcome) is Refusal.NOT_FOUND
        assert await registry.get(["nobody"]) == [None]

    @check("REG-019", source="design 7, Update; design 5, preconditions")
    async def test_of_fifty_concurrent_changes_at_one_revision_one_wins(self, opener: Opener) -> None:
        """Of fifty concurrent changes at one revision, one wins."""
        registries = [await opener.registry(), await opener.registry()]
        first = (await store(registries[0], "alice")).registration
        attempts = [
            registries[i % 2].set([write("alice", b'{"v":%d}' % i, precondition=AtRevision(first.revision))])
            for i in range(50)
        ]
        outcomes = [outcome for [outcome] in await asyncio.gather(*attempts)]
        [winner] = [outcome for outcome in outcomes if isinstance(outcome, Stored)]
        assert Counter(map(reason, outcomes))[Refusal.CONFLICT] == 49
        assert await registries[1].get(["alice"]) == [winner.registration]

    @check("REG-020", source="design 5, revisions")
    async def test_every_write_raises_the_revision(self, opener: Opener) -> None:
        """Every write raises the revision."""
        registry = await opener.registry()
        revisions = [(await store(registry, "alice")).registration.revision for _ in range(20)]
        assert revisions == sorted(set(revisions))

    @check("REG-021", source="design 5, revisions")
    async def test_revision_is_not_used_again_after_a_deletion(self, opener: Opener) -> None:
        """A revision is not used again after a deletion."""
        registry = await opener.registry()
        revisions: list[int] = []
        for _ in range(10):
            revisions.append((await store(registry, "alice", precondition=Absent())).registration.revision)
            await registry.delete([Fence("alice")])
        assert revisions == sorted(set(revisions))

    @check("REG-022", source="design 5, one outcome per item")
    async def test_bad_item_of_a_batch_fails_alone(self, opener: Opener) -> None:
        """A bad item of a batch fails alone."""
        registry = await opener.registry()
        await store(registry, "bob")
        outcomes = await registry.set([write(name, precondition=Absent()) for name in ("alice", "bob", "carol")])
        assert [type(outcome) for outcome in outcomes] == [Stored, Refused, Stored]
        assert None not in await registry.get(["alice", "bob", "carol"])

    @check("REG-023", source="design 5, one outcome per item")
    async def test_two_items_of_a_batch_for_one_identity_act_in_order(self, opener: Opener) -> None:
        """Two items of a batch for one identity act in order."""
        registry = await opener.registry()
        batch = [
            write("alice", b'{"v":1}', precondition=Absent()),
            write("alice", b'{"v":2}', precondition=Absent()),
            write("alice", b'{"v":3}', precondition=Anything()),
        ]
        first, second, third = await registry.set(batch)
        assert isinstance(first, Stored)
        assert reason(second) is Refusal.ALREADY_EXISTS
        assert isinstance(third, Stored)
        assert third.registration.revision > first.registration.revision
        assert await registry.get(["alice"]) == [third.registration]

    @check("REG-024", source="design 5, one outcome per item")
    async def test_empty_batches_answer_empty_lists(self, opener: Opener) -> None:
        """Empty batches answer empty lists."""
        registry = await opener.registry()
        assert await registry.set([]) == []
        assert await registry.get([]) == []
        assert await registry.delete([]) == []
        assert await registry.expire([]) == []

    @check("REG-025", source="design 5, one outcome per item")
    async def test_large_batch_answers_item_by_item_in_order(self, opener: Opener) -> None:
        """A large batch answers item by item in order."""
        registry = await opener.registry()
        names = [f"user-{i:05d}" for i in range(2_500)]
        outcomes = await registry.set([write(name, b'{"i":%d}' % i) for i, name in enumerate(names)])
        assert differences([stored(outcome).identity for outcome in outcomes], names) == []
        found = [item and item.metadata_json for item in await registry.get(names)]
        assert differences(found, [b'{"i":%d}' % i for i in range(2_500)]) == []

    @check("REG-026", source="RFC-017 Slot 1: Registry Backend; design 4, strong_consistency")
    async def test_write_on_one_slot_is_read_on_another(self, opener: Opener) -> None:
        """A write on one slot is read on another, at once where the slot is strongly consistent."""
        one, other = await opener.registry(), await opener.registry()
        outcome = await store(one, "alice")
        if Capability.STRONG_CONSISTENCY not in other.capabilities:
            async with asyncio.timeout(PATIENCE):
                while await other.get(["alice"]) == [None]:  # noqa: ASYNC110 - nothing says when it has come
                    await asyncio.sleep(0.01)
        assert await other.get(["alice"]) == [outcome.registration]

    @check("REG-030", source="RFC-017 Register Operation; design 5, SlotContext.limits")
    async def test_write_beyond_the_quota_is_refused(self, opener: Opener) -> None:
        """A write beyond the quota is refused."""
        registry = await opener.registry(limits=Limits(registrations=2))
        outcomes = await registry.set([write("alice"), write("bob"), write("carol")])
        assert [type(outcome) for outcome in outcomes] == [Stored, Stored, Refused]
        assert reason(outcomes[2]) is Refusal.QUOTA_EXCEEDED
        assert await registry.get(["carol"]) == [None]

    @check("REG-031", source="RFC-017 Register Operation; design 5, SlotContext.limits")
    async def test_full_namespace_still_takes_changes_and_replacements(self, opener: Opener) -> None:
        """A full namespace still takes changes and replacements."""
        registry = await opener.registry(limits=Limits(registrations=1))
        first = (await store(registry, "alice")).registration
        changed = (await store(registry, "alice", precondition=AtRevision(first.revision))).registration
        replaced = (await store(registry, "alice", registration_id="r9")).registration
        assert first.revision < changed.revision < replaced.revision

    @check("REG-032", source="RFC-017 Register Operation; design 5, SlotContext.limits")
    async def test_deletion_makes_room_in_a_full_namespace(self, opener: Opener) -> None:
        """A deletion makes room in a full namespace."""
        registry = await opener.registry(limits=Limits(registrations=1))
        await store(registry, "alice")
        await registry.delete([Fence("alice")])
        assert (await store(registry, "bob")).registration.identity == "bob"

    @check("REG-033", source="RFC-017 Register Operation; design 5, SlotContext.limits")
    async def test_quota_is_exact_under_concurrent_writes(self, opener: Opener) -> None:
        """The quota is exact under concurrent writes."""
        limits = Limits(registrations=10)
        registries = [await opener.registry(limits=limits), await opener.registry(limits=limits)]
        outcomes = await asyncio.gather(*(registries[i % 2].set([write(f"user-{i}")]) for i in range(50)))
        kinds = Counter(type(outcome) for [outcome] in outcomes)
        assert kinds == {Stored: 10, Refused: 40}

    @check("REG-040", source="RFC-017 Unregister Operation; design 5, fences")
    async def test_deletion_removes_and_names_what_was_there(self, opener: Opener) -> None:
        """A deletion removes and names what was there."""
        registry = await opener.registry()
        await store(registry, "alice", registration_id="r1", address="inbox-1")
        [outcome] = await registry.delete([Fence("alice", "r1")])
        assert isinstance(outcome, Deleted)
        target = outcome.target
        assert (target.identity, target.registration_id, target.address) == ("alice", "r1", "inbox-1")
        assert await registry.get(["alice"]) == [None]

    @check("REG-041", source="RFC-017 Unregister Operation; design 5, fences")
    async def test_deletion_with_an_overtaken_registration_id_is_stale(self, opener: Opener) -> None:
        """A deletion with an overtaken registration id is stale."""
        registry = await opener.registry()
        await store(registry, "alice", registration_id="r1")
        newer = await store(registry, "alice", registration_id="r2")
        [outcome] = await registry.delete([Fence("alice", "r1")])
        assert reason(outcome) is Refusal.STALE
        assert await registry.get(["alice"]) == [newer.registration]

    @check("REG-042", source="RFC-017 Unregister Operation; design 5, fences")
    async def test_deletion_of_an_unknown_identity_is_not_found(self, opener: Opener) -> None:
        """A deletion of an unknown identity is not found."""
        registry = await opener.registry()
        [outcome] = await registry.delete([Fence("nobody")])
        assert reason(outcome) is Refusal.NOT_FOUND

    @check("REG-043", source="RFC-017 Unregister Operation; design 5, fences")
    async def test_batch_of_deletions_answers_item_by_item_in_order(self, opener: Opener) -> None:
        """A batch of deletions answers item by item in order."""
        registry = await opener.registry()
        await store(registry, "alice", registration_id="r1")
        await store(registry, "bob", registration_id="r1")
        fences = [Fence("alice", "r0"), Fence("alice"), Fence("alice"), Fence("nobody"), Fence("bob", "r1")]
        outcomes = await registry.delete(fences)
        assert [reason(outcome) for outcome in outcomes] == [
            Refusal.STALE,
            None,
            Refusal.NOT_FOUND,
            Refusal.NOT_FOUND,
            None,
        ]

    @check("REG-044", source="RFC-017 Unregister Operation; design 5, fences")
    async def test_of_fifty_concurrent_deletions_one_succeeds(self, opener: Opener) -> None:
        """Of fifty concurrent deletions, one succeeds."""
        registries = [await opener.registry(), await opener.registry()]
        await store(registries[0], "alice")
        outcomes = await asyncio.gather(*(registries[i % 2].delete([Fence("alice")]) for i in range(50)))
        assert sum(isinstance(outcome, Deleted) for [outcome] in outcomes) == 1

    @check("REG-045", source="design 7, Update")
    async def test_keeping_the_expiry_is_possible_in_a_change_only(self, opener: Opener) -> None:
        """Keeping the expiry is possible in a change only."""
        registry = await opener.registry()
        first = (await store(registry, "alice", ttl=HOUR)).registration
        kept = await store(registry, "alice", b'{"v":2}', ttl=Keep.EXPIRY, precondition=AtRevision(first.revision))
        assert kept.registration.expires_at == first.expires_at
        assert (await registry.get(["alice"])) == [kept.registration]

    @check("REG-050", source="RFC-017 Core Concepts; design 5, any identity survives")
    @pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
    async def test_awkward_identity_is_itself_and_no_other(self, opener: Opener, name: str) -> None:
        """An awkward identity is itself and no other."""
        registry = await opener.registry()
        await store(registry, "bystander")
        outcome = await store(registry, name)
        assert await registry.get([name]) == [outcome.registration]
        found = await names(registry)
        assert found == sorted([name, "bystander"])
        await registry.delete([Fence(name)])
        assert [item and item.identity for item in await registry.get([name, "bystander"])] == [None, "bystander"]

    @check("REG-051", source="RFC-017 Core Concepts; design 5, any identity survives")
    async def test_awkward_identities_live_side_by_side(self, opener: Opener) -> None:
        """Awkward identities live side by side."""
        registry = await opener.registry()
        await registry.set([write(name, b'{"i":%d}' % i) for i, name in enumerate(NAMES.values())])
        found = await registry.get(list(NAMES.values()))
        assert [item and item.metadata_json for item in found] == [b'{"i":%d}' % i for i in range(len(NAMES))]

    @check("REG-052", source="RFC-017 Core Concepts; design 5, any identity survives")
    @pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
    async def test_awkward_metadata_is_kept_byte_for_byte(self, opener: Opener, document: bytes) -> None:
        """Awkward metadata, up to 64 KiB, is kept byte for byte."""
        registry = await opener.registry(indexes=["a"])
        await store(registry, "alice", document)
        [found] = await registry.get(["alice"])
        assert found is not None
        assert found.metadata_json == document

    @check("REG-060", source="RFC-017 Open Questions 3; design 7, namespaces")
    async def test_namespaces_never_mix(self, opener: Opener) -> None:
        """Namespaces never mix."""
        one = await opener.registry(namespace=f"{opener.namespace}:a")
        other = await opener.registry(namespace=f"{opener.namespace}:a:b")
        kept = await store(one, "alice", b'{"in":"one"}')
        await store(one, "b:alice")
        await store(other, "alice", b'{"in":"other"}')
        await other.delete([Fence("alice")])
        assert await other.count(()) == 0
        assert await one.count(()) == 2
        assert await one.get(["alice"]) == [kept.registration]

    @check("REG-061", source="RFC-017 Open Questions 3; design 5, any identity survives")
    async def test_awkward_namespaces_never_mix(self, opener: Opener) -> None:
        """Namespaces with awkward names never mix."""
        registries = [await opener.registry(namespace=name) for name in opener.namespaces()]
        for i, registry in enumerate(registries):
            await store(registry, "alice", b'{"i":%d}' % i)
        for i, registry in enumerate(registries):
            [found] = await registry.get(["alice"])
            assert found is not None
            assert found.metadata_json == b'{"i":%d}' % i
            assert await names(registry) == ["alice"]
