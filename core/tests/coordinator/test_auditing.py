"""What the coordinator records in the audit by itself. Registrations are the registry's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from prism.coordinator.namespace import Namespace
from prism.model.actor import acting_as
from prism.model.audit import AuditEntry, AuditKind
from prism.model.errors import PrismError
from support.proxies import NS, Proxy


class Auditor:
    """Keeps what is recorded, or fails."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.failure: Exception | None = None

    async def record(self, entries: Sequence[AuditEntry]) -> None:
        if self.failure is not None:
            raise self.failure
        self.entries += entries


@pytest.fixture
def auditor(monkeypatch: pytest.MonkeyPatch) -> Auditor:
    auditor = Auditor()
    monkeypatch.setattr(Namespace, "auditor", auditor)
    return auditor


async def replay(proxy: Proxy, *message_ids: str) -> int:
    await proxy.register("a", replace=True)
    with acting_as("ops"):
        return await proxy.coordinator.replay(NS, "a", message_ids)


async def test_putting_dead_letters_back_is_recorded(proxy: Proxy, auditor: Auditor) -> None:
    await replay(proxy, "m1", "m2")
    [entry] = auditor.entries
    assert (entry.kind, entry.actor, entry.identity) == (AuditKind.REPLAY, "ops", "a")
    assert entry.detail == "dead letters m1, m2"


async def test_nothing_is_put_back_that_cannot_be_recorded(
    proxy: Proxy, auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor.failure = ConnectionError("no audit")
    asked: list[Any] = []
    ns = await proxy.coordinator.namespace(NS)
    monkeypatch.setattr(ns.durability, "replay", asked.append)
    with pytest.raises(PrismError, match="failed to record a replay in the audit: no audit"):
        await replay(proxy, "m1")
    assert asked == []
