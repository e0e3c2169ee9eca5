"""Registry obligations: the audit, where the slot declares one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from prism.model.actor import acting_as
from prism.model.audit import AuditEntry, AuditKind, AuditQuery
from prism.plugins.spec import Capability, SlotKind
from prism.slots.optional import Auditable
from prism.slots.registry import Absent, AtRevision, Fence, RegistryBackend, Renewal

from prism_conformance.awkward import INJECTIONS, NAMES
from prism_conformance.checks import check
from prism_conformance.harness import Opener
from prism_conformance.registry.words import HOUR, PAST, store, store_short, write
from prism_conformance.slot import AnySlotContract

EVERYTHING = AuditQuery(limit=10_000)


def auditor(registry: RegistryBackend) -> Auditable | None:
    """The registry as one that keeps an audit, None where it declares none. The class must agree."""
    declared = Capability.AUDIT in registry.capabilities
    assert isinstance(registry, Auditable) == declared
    return registry if isinstance(registry, Auditable) else None


def brief(entry: AuditEntry) -> tuple[str, str, str]:
    """What was done to whom by whom."""
    return entry.kind.value, entry.identity, entry.actor


class AuditContract(AnySlotContract):
    """Obligations of `Auditable`. A registry that declares no audit has only to have none."""

    kind = SlotKind.REGISTRY

    @check("REG-500", source="RFC-017 needs: audit; design 5, optional abilities")
    async def test_declared_audit_and_the_class_agree(self, opener: Opener) -> None:
        """A registry keeps an audit exactly where it declares `audit`."""
        registry = await opener.registry()
        assert isinstance(registry, Auditable) == (Capability.AUDIT in registry.capabilities)

    @check("REG-501", source="RFC-017 needs: audit; design 5, Auditable")
    async def test_each_effect_is_one_entry_with_its_actor(
        self, opener: Opener, advance: Callable[[float], Awaitable[None]]
    ) -> None:
        """Each registration, change, removal and expiry is one entry, with who did it."""
        registry = await opener.registry(audit=True)
        if (audit := auditor(registry)) is None:
            return
        with acting_as("ops"):
            first = (await store(registry, "alice", registration_id="r1")).registration
            await store(registry, "alice", b'{"v":1}', registration_id="r1", precondition=AtRevision(first.revision))
            await registry.delete([Fence("alice", "r1")])
        await store_short(registry, "bob")
        await advance(PAST)
        with acting_as("sweeper"):
            await registry.pop_expired(10)
        entries = await audit.audit(EVERYTHING)
        assert [brief(entry) for entry in reversed(entries)] == [
            ("register", "alice", "ops"),
            ("update", "alice", "ops"),
            ("unregister", "alice", "ops"),
            ("register", "bob", ""),
            ("expire", "bob", "sweeper"),
        ]
        assert {entry.registration_id for entry in entries if entry.identity == "alice"} == {"r1"}
        assert entries[-1].revision == first.revision
        assert all(entry.at > 0 for entry in entries)

    @check("REG-502", source="RFC-017 needs: audit; design 5, Auditable")
    async def test_what_had_no_effect_is_in_no_entry(self, opener: Opener) -> None:
        """What is refused, renewed or read is in no entry."""
        registry = await opener.registry(audit=True)
        if (audit := auditor(registry)) is None:
            return
        await store(registry, "alice", registration_id="r1", ttl=HOUR)
        await registry.set([write("alice", precondition=Absent()), write("bob", precondition=AtRevision(1))])
        await registry.delete([Fence("alice", "other"), Fence("nobody")])
        await registry.expire([Renewal("alice", "r1", HOUR)])
        await registry.get(["alice"])
        assert [brief(entry) for entry in await audit.audit(EVERYTHING)] == [("register", "alice", "")]

    @check("REG-503", source="RFC-017 needs: audit; design 5, Auditable")
    async def test_concurrent_effects_and_entries_are_as_many(self, opener: Opener) -> None:
        """Under concurrent writers, an identity has as many entries as effects."""
        registries = [await opener.registry(audit=True), await opener.registry(audit=True)]
        if (audit := auditor(registries[0])) is None:
            return
        batches = [[write(f"user-{i}", registration_id=f"r{n}") for i in range(20)] for n in range(10)]
        await asyncio.gather(*(registries[n % 2].set(batch) for n, batch in enumerate(batches)))
        removals = await asyncio.gather(
            *(registries[n % 2].delete([Fence(f"user-{i}") for i in range(20)]) for n in range(4))
        )
        assert sum(map(len, removals)) == 80
        counted = Counter((entry.kind, entry.identity) for entry in await audit.audit(EVERYTHING))
        assert counted == {
            **{(AuditKind.REGISTER, f"user-{i}"): 10 for i in range(20)},
            **{(AuditKind.UNREGISTER, f"user-{i}"): 1 for i in range(20)},
        }

    @check("REG-504", source="RFC-017 needs: audit; design 5, SlotContext.audit")
    async def test_namespace_without_audit_records_nothing(self, opener: Opener) -> None:
        """A namespace that needs no audit records nothing."""
        registry = await opener.registry()
        if (audit := auditor(registry)) is None:
            return
        await store(registry, "alice")
        await registry.delete([Fence("alice")])
        assert await audit.audit(EVERYTHING) == []

    @check("REG-505", source="RFC-017 needs: audit; design 5, Auditable")
    async def test_multicast_is_recorded_with_filter_and_counts(self, opener: Opener) -> None:
        """A multicast is recorded with its filter, targets and counts."""
        registry = await opener.registry(audit=True)
        if (audit := auditor(registry)) is None:
            return
        asked = {"$or": [{"room.eq": text} for text in (*INJECTIONS, "x\U0001f600")]}
        intent = AuditEntry(AuditKind.MULTICAST, "ops", message_id="m1", filter=asked)
        result = AuditEntry(
            AuditKind.MULTICAST_RESULT, "ops", message_id="m1", targets=3, outcomes={"delivered": 2, "failed": 1}
        )
        await audit.record([intent])
        await audit.record([result])
        last, first = await audit.audit(AuditQuery(message_id="m1"))
        assert (first.kind, first.actor, first.filter) == (AuditKind.MULTICAST, "ops", asked)
        assert (last.kind, last.targets, last.outcomes) == (
            AuditKind.MULTICAST_RESULT,
            3,
            {"delivered": 2, "failed": 1},
        )
        assert first.sequence < last.sequence
        assert first.at <= last.at

    @check("REG-506", source="RFC-017 needs: audit; design 5, AuditQuery")
    async def test_audit_is_asked_by_kind_actor_identity_and_time(self, opener: Opener) -> None:
        """The audit can be asked by kind, actor, identity and time, and read on in pages."""
        registry = await opener.registry(audit=True)
        if (audit := auditor(registry)) is None:
            return
        for actor in ("ops", "billing"):
            with acting_as(actor):
                await registry.set([write(f"{actor}-{i}") for i in range(5)])
                await registry.delete([Fence(f"{actor}-0")])
        everything = await audit.audit(EVERYTHING)
        assert len(everything) == 12
        assert [entry.sequence for entry in everything] == sorted((e.sequence for e in everything), reverse=True)
        removed = await audit.audit(AuditQuery(kinds=frozenset({AuditKind.UNREGISTER})))
        assert [entry.identity for entry in removed] == ["billing-0", "ops-0"]
        assert len(await audit.audit(AuditQuery(actor="ops"))) == 6
        assert [e.kind for e in await audit.audit(AuditQuery(identity="ops-0"))] == ["unregister", "register"]
        middle = everything[5].at
        since = await audit.audit(AuditQuery(since=middle, limit=100))
        until = await audit.audit(AuditQuery(until=middle, limit=100))
        assert {entry.sequence for entry in [*since, *until]} == {entry.sequence for entry in everything}
        assert all(entry.at >= middle for entry in since)
        first = await audit.audit(AuditQuery(limit=7))
        rest = await audit.audit(AuditQuery(before=first[-1].sequence, limit=7))
        assert [*first, *rest] == everything

    @check("REG-507", source="RFC-017 needs: audit; design 5, any identity survives")
    async def test_awkward_names_are_audited_as_they_are(self, opener: Opener) -> None:
        """Awkward identities and actors are recorded as they are."""
        registry = await opener.registry(audit=True)
        if (audit := auditor(registry)) is None:
            return
        for name in NAMES.values():
            with acting_as(name[:200]):
                await store(registry, name)
            [entry] = await audit.audit(AuditQuery(identity=name))
            assert (entry.identity, entry.actor) == (name, name[:200])

    @check("REG-508", source="RFC-017 needs: audit; design 5, Auditable")
    async def test_audit_of_a_namespace_is_its_own(self, opener: Opener) -> None:
        """The audit of one namespace has nothing of another's."""
        first, *others = opener.namespaces()
        registry = await opener.registry(namespace=first, audit=True)
        if (audit := auditor(registry)) is None:
            return
        await store(registry, "alice")
        for name in others[:5]:
            other = await opener.registry(namespace=name, audit=True)
            assert isinstance(other, Auditable)
            assert await other.audit(EVERYTHING) == []
        assert [entry.identity for entry in await audit.audit(EVERYTHING)] == ["alice"]
