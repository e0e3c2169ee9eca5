"""What an operator is told when a slot refuses its configuration."""

from __future__ import annotations

import pytest
from prism.config import load_config
from prism.coordinator import upkeep
from prism.memory.registry import MemoryRegistry
from prism.model.errors import InvalidConfig, Violation
from support.proxies import NS, opened_proxies, shared_memory


async def refuse(self: MemoryRegistry) -> None:
    raise InvalidConfig("schema: is old", violations=(Violation("schema", "is old"),))


async def test_slot_that_refuses_its_configuration_is_named_with_its_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryRegistry, "open", refuse)
    with pytest.raises(InvalidConfig) as caught:
        async with opened_proxies(1):
            pass
    place = f"the registry slot (memory) of namespace '{NS}'"
    assert str(caught.value) == f"{place}: schema: is old"
    assert caught.value.violations == (Violation(f"{place}: schema", "is old"),)
    assert (caught.value.details["slot"], caught.value.details["namespace"]) == ("registry", NS)
    config = load_config(shared_memory("starting", identity_schema={"floor": "int"})).namespaces[NS]
    with pytest.raises(InvalidConfig, match=r"^the registry slot \(memory\) of namespace .*: schema: is old$"):
        await upkeep.fit(config)
