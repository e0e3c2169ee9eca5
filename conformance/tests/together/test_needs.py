"""What a namespace needs, held against the real plugins: kept, or refused naming the slot and what would keep it."""

from __future__ import annotations

from typing import Any

import pytest
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.errors import InvalidConfig
from prism.plugins.loader import default_loader
from prism.plugins.spec import Capability, SlotKind
from prism_conformance.servers import AsyncServer
from prism_conformance.together.backends import BACKENDS, shared_options
from prism_conformance.together.mixes import Mix, configuration

PRESENCE = Mix("redis", "nats", None)
PERSISTENT = {"durability": "persistent"}


def remedy(slot: SlotKind, capability: Capability) -> str:
    """What the installed plugins offer to a namespace whose registry proxies share."""
    needed = {capability, Capability.SHARED}
    types = sorted(s.type for s in default_loader().installed() if s.slot is slot and needed <= s.capabilities)
    return f"use {' or '.join(types)}" if types else f"no installed {slot} type does"


async def refusal(mix: Mix, **needs: Any) -> str:
    with pytest.raises(InvalidConfig) as caught:
        load_config(configuration(mix, await shared_options(mix.types), needs=needs))
    return str(caught.value)


async def test_first_example_of_the_rfc_keeps_its_needs() -> None:
    needs = {"latency": "<10ms", "consistency": "eventual", "durability": "ephemeral"}
    config = configuration(PRESENCE, await shared_options(PRESENCE.types), needs=needs)
    async with Coordinator(load_config(config)) as coordinator:
        await coordinator.check()


async def test_persistent_is_refused_on_publish_and_subscribe_alone() -> None:
    told = await refusal(PRESENCE, **PERSISTENT)
    assert "needs.durability: persistent needs a durability slot that keeps what it acknowledged" in told
    assert f"and there is none (durable); {remedy(SlotKind.DURABILITY, Capability.DURABLE)}" in told
    assert "use kafka or nats or" in told


async def test_strong_consistency_is_refused_on_redis() -> None:
    told = await refusal(PRESENCE, consistency="strong")
    assert "needs.consistency: strong needs a registry slot" in told
    assert 'type "redis" does not (strong_consistency)' in told
    assert told.endswith(remedy(SlotKind.REGISTRY, Capability.STRONG_CONSISTENCY))


@pytest.mark.parametrize(
    ("needs", "capability"),
    [({"audit": True}, Capability.AUDIT), ({"region": "multi-region"}, Capability.MULTI_REGION)],
)
async def test_what_redis_can_not_do_is_refused(needs: dict[str, Any], capability: Capability) -> None:
    told = await refusal(PRESENCE, **needs)
    assert f'type "redis" does not ({capability})' in told
    assert told.endswith(remedy(SlotKind.REGISTRY, capability))


async def test_low_latency_is_refused_on_kafka() -> None:
    told = await refusal(Mix("redis", "kafka", None), latency="<10ms")
    assert "needs.latency: <10ms needs a messaging slot" in told
    assert told.endswith(remedy(SlotKind.MESSAGING, Capability.LOW_LATENCY))


@pytest.mark.parametrize("durability", ["redis", "nats"])
async def test_persistent_is_kept_where_the_servers_keep_what_they_acknowledge(durability: str) -> None:
    mix = Mix("redis", "nats", durability)
    options = await shared_options(mix.types - {"redis"})
    redis = BACKENDS["redis"]
    async with await AsyncServer.start("redis", durable=True, config=redis.faults) as server:
        options["redis"] = redis.at(server.server)
        async with Coordinator(load_config(configuration(mix, options, needs=PERSISTENT))) as coordinator:
            await coordinator.check()


async def test_persistent_is_refused_at_the_start_where_the_server_turns_out_to_keep_nothing() -> None:
    mix = Mix("redis", "nats", "nats")
    config = configuration(mix, await shared_options(mix.types), needs=PERSISTENT)
    demanding = load_config(config)  # redis can be durable; whether this one is, only the server knows
    with pytest.raises(InvalidConfig, match=r'persistent needs a registry slot .* type "redis" does not \(durable\)'):
        async with Coordinator(demanding):
            pass
