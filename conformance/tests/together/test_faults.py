"""Proxies and servers die in the middle of at-least-once multicasts; nothing that was acknowledged is lost."""

from __future__ import annotations

import sys

import pytest
from prism_conformance.together.campaign import TOLERANT, Campaign
from prism_conformance.together.mixes import Mix
from prism_conformance.together.stand import standing

MIX = Mix("redis", "nats", "nats")
DURABLE = Mix("postgres", "kafka", "kafka")
ALONE = [Mix("redis", "redis", "redis"), Mix("postgres", "postgres", "postgres")]
LONG = 1_000


def show(line: str) -> None:
    """Progress: on the screen with `pytest -s`, and beside the failure otherwise."""
    sys.stderr.write(line + "\n")


async def held_through(mix: Mix, kills: int, seed: int) -> None:
    async with standing(mix, **TOLERANT) as stand:
        campaign = Campaign(stand, seed, show)
        record = await campaign.run(kills)
    assert record.wrong == []
    assert sorted(record.missing) == []
    assert record.kills.total() == kills
    assert len(record.received) > kills


@pytest.mark.timeout(300)  # it starts proxies again and again, which other tests beside it make slow
@pytest.mark.parametrize(("mix", "kills"), [(MIX, 20), (DURABLE, 20)], ids=str)
async def test_nothing_acknowledged_is_lost_when_proxies_and_servers_are_killed(
    mix: Mix, kills: int, conformance_seed: int
) -> None:
    await held_through(mix, kills, conformance_seed)


async def test_campaign_notices_what_a_server_forgets(conformance_seed: int) -> None:
    async with standing(MIX, durable=False, **TOLERANT) as stand:
        record = await Campaign(stand, conformance_seed, victims={"redis"}).run(1)
    assert record.missing
    assert any("identities were dropped" in line for line in record.wrong)
    assert "a registration was lost" in record.wrong[-1]


@pytest.mark.soak
@pytest.mark.timeout(2 * 3600)
@pytest.mark.parametrize("mix", [MIX, DURABLE, *ALONE], ids=str)
async def test_nothing_acknowledged_is_lost_over_many_kills(mix: Mix, conformance_seed: int) -> None:
    await held_through(mix, LONG, conformance_seed)
