"""Slots that don't go together are refused, when a configuration is read and when slots are opened."""

from __future__ import annotations

from typing import Any

import pytest
from prism.config import NamespaceConfig, check_mix, load_config
from prism.model.errors import InvalidConfig
from prism.plugins.loader import PluginLoader
from prism.plugins.spec import Capability, SlotKind

MEMORY = {"type": "memory"}
REDIS = {"type": "redis"}
NATS = {"type": "nats", "servers": ["s"]}


def load(loader: PluginLoader, **slots: Any) -> NamespaceConfig:
    return load_config({"namespaces": [{"name": "n", "backend_slots": slots}]}, loader=loader).namespaces["n"]


@pytest.mark.parametrize(
    "slots",
    [
        {"registry": REDIS, "messaging": REDIS},
        {"registry": REDIS, "messaging": NATS, "durability": REDIS},
        {"registry": MEMORY, "messaging": MEMORY, "durability": MEMORY},
        {"registry": MEMORY, "messaging": NATS, "durability": MEMORY},
    ],
)
def test_slots_that_are_shared_alike_go_together(loader: PluginLoader, slots: dict[str, Any]) -> None:
    assert load(loader, **slots).name == "n"


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        (
            {"registry": REDIS, "messaging": MEMORY},
            'namespaces[0].backend_slots.messaging.type: "memory" stays within one process, but proxies share the '
            'registry "redis": an identity attached to another proxy would be found and never reached (shared); '
            "use kafka or nats or redis or sns",
        ),
        ({"registry": REDIS}, 'namespaces[0].backend_slots.messaging.type: "memory" stays within one process'),
        (
            {"registry": REDIS, "messaging": NATS, "durability": MEMORY},
            'namespaces[0].backend_slots.durability.type: "memory" stays within one process, but proxies share the '
            'registry "redis": a message would wait where an identity that comes back to another proxy doesn\'t find '
            "it (shared); use kafka or redis",
        ),
        (
            {"registry": MEMORY, "messaging": NATS, "durability": REDIS},
            'namespaces[0].backend_slots.durability.type: proxies share "redis", but the registry "memory" stays '
            "within one: identities of one name on two proxies would get each other's messages (shared); "
            "use dynamodb or postgres or redis there, or use memory here",
        ),
    ],
)
def test_slots_that_are_not_are_refused_naming_the_slot_and_what_would_do(
    loader: PluginLoader, slots: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(loader, **slots)
    assert expected in str(caught.value)


def test_both_slots_that_do_not_go_with_the_registry_are_told(loader: PluginLoader) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(loader, registry=REDIS, messaging=MEMORY, durability=MEMORY)
    fields = {violation.field for violation in caught.value.violations}
    assert fields == {f"namespaces[0].backend_slots.{slot}.type" for slot in ("messaging", "durability")}


def test_opened_slot_that_turns_out_not_to_be_shared_is_refused(loader: PluginLoader) -> None:
    namespace = load(loader, registry=REDIS, messaging=NATS)
    opened = {kind: slot.spec.capabilities for kind, slot in namespace.slots.items()}
    check_mix(namespace, opened)
    opened[SlotKind.MESSAGING] -= {Capability.SHARED}
    with pytest.raises(InvalidConfig, match=r'namespace "n": backend_slots\.messaging\.type: "nats" stays within'):
        check_mix(namespace, opened)


def test_message_keeper_that_is_proposed_goes_with_the_registry(loader: PluginLoader) -> None:
    with pytest.raises(InvalidConfig, match=r"e\.g\. durability: \{type: kafka\}"):
        load(loader, registry=REDIS, messaging={**NATS, "delivery": "at-least-once"})
