"""What a namespace demands, held against what its slots can do."""

from __future__ import annotations

from typing import Any

import pytest
from prism.config import NamespaceConfig, check_needs, load_config
from prism.model.errors import InvalidConfig
from prism.plugins.loader import PluginLoader
from prism.plugins.spec import Capability, SlotKind

REDIS = {"registry": {"type": "redis"}, "messaging": {"type": "redis"}}
POSTGRES = {"registry": {"type": "postgres", "connection": "c"}, "messaging": {"type": "kafka", "brokers": ["b"]}}
DURABLE = {**POSTGRES, "durability": {"use_messaging": True}}


def load(loader: PluginLoader, needs: dict[str, Any], slots: dict[str, Any] | None) -> NamespaceConfig:
    block = {"name": "n", "needs": needs, **({"backend_slots": slots} if slots is not None else {})}
    return load_config({"namespaces": [block]}, loader=loader).namespaces["n"]


@pytest.mark.parametrize(
    ("needs", "slots"),
    [
        ({"latency": "<10ms"}, REDIS),
        ({"latency": "< 0.5s"}, REDIS),
        ({"latency": 1}, REDIS),
        ({"consistency": "strong"}, None),
        ({"consistency": "eventual", "durability": "ephemeral"}, None),
        ({"consistency": "strong", "durability": "persistent", "audit": True, "exactly_once": True}, DURABLE),
        ({"scale": "10000+ services"}, REDIS),
        ({"scale": 0}, None),
        ({"region": "single-region", "cloud": "anything"}, None),
    ],
)
def test_a_need_that_the_slots_keep_is_accepted(
    loader: PluginLoader, needs: dict[str, Any], slots: dict[str, Any] | None
) -> None:
    assert load(loader, needs, slots).name == "n"


@pytest.mark.parametrize(
    ("needs", "slots", "expected"),
    [
        (
            {"latency": "<10ms"},
            POSTGRES,
            'needs.latency: <10ms needs a registry slot that usually answers within 10 ms, and type "postgres" does '
            "not (low_latency); use redis",
        ),
        (
            {"consistency": "strong"},
            REDIS,
            "needs.consistency: strong needs a registry slot that shows every acknowledged write to every proxy, and "
            'type "redis" does not (strong_consistency); use postgres',
        ),
        (
            {"durability": "persistent"},
            POSTGRES,
            "needs.durability: persistent needs a durability slot that keeps what it acknowledged across a restart, "
            "and there is none (durable); use kafka",
        ),
        (
            {"durability": "persistent"},
            REDIS,
            "needs.durability: persistent needs a registry slot that keeps what it acknowledged across a restart, and "
            'type "redis" does not (durable); use dynamodb or postgres',
        ),
        ({"audit": True}, REDIS, 'type "redis" does not (audit); use postgres'),
        ({"exactly_once": True}, REDIS, 'type "redis" does not (transactional_outbox); use postgres'),
        ({"scale": 5}, None, "needs.scale: 5 needs a registry slot that can be shared by proxies on several machines"),
        ({"scale": 5}, None, "needs.scale: 5 needs a durability slot"),
        ({"region": "multi-region"}, REDIS, 'type "redis" does not (multi_region); use dynamodb'),
    ],
)
def test_an_impossible_need_names_the_slot_and_what_would_keep_it(
    loader: PluginLoader, needs: dict[str, Any], slots: dict[str, Any] | None, expected: str
) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(loader, needs, slots)
    assert expected in str(caught.value)


def test_every_broken_need_is_told(loader: PluginLoader) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(loader, {"audit": True, "region": "multi-region", "consistency": "strong"}, REDIS)
    fields = {violation.field for violation in caught.value.violations}
    assert fields == {f"namespaces[0].needs.{need}" for need in ("audit", "region", "consistency")}


def test_an_opened_slot_that_can_do_less_than_declared_breaks_the_promise(loader: PluginLoader) -> None:
    namespace = load(loader, {"consistency": "strong"}, None)
    opened: dict[SlotKind, frozenset[Capability]] = {kind: frozenset() for kind in SlotKind}
    with pytest.raises(InvalidConfig) as caught:
        check_needs(namespace, opened, loader.installed())
    assert str(caught.value).startswith('namespace "n": needs.consistency: strong needs a registry slot')


def test_opened_slots_that_can_do_what_was_declared_pass(loader: PluginLoader) -> None:
    namespace = load(loader, {"consistency": "strong"}, None)
    opened = {kind: slot.spec.capabilities for kind, slot in namespace.slots.items()}
    check_needs(namespace, opened)


def test_where_no_installed_type_keeps_a_promise_that_is_said(loader: PluginLoader) -> None:
    namespace = load(loader, {"consistency": "strong"}, None)
    with pytest.raises(InvalidConfig, match="no installed registry type does"):
        check_needs(namespace, {}, [])
