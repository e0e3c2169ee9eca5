"""Four proxies sweep one registry; every expiry is announced once, and the work is shared."""

from __future__ import annotations

import secrets

import pytest
from prism.plugins.spec import SlotKind
from prism_conformance.together.backends import BACKENDS, shared_options
from prism_conformance.together.expiries import expire_together
from prism_conformance.together.mixes import EMBEDDED, Mix, configuration
from prism_conformance.together.scenario import SWEPT_OFTEN

MIXES = [
    Mix(EMBEDDED, EMBEDDED, EMBEDDED),
    *(Mix(name, "redis", name) for name, backend in BACKENDS.items() if backend.fills(SlotKind.REGISTRY)),
]


async def announced_once(mix: Mix, count: int) -> None:
    options = {**await shared_options(mix.types), EMBEDDED: {"store": secrets.token_hex(8)}}
    swept = await expire_together(configuration(mix, options, **SWEPT_OFTEN), count)
    assert len(swept.announced) == count + 1
    assert set(swept.announced.values()) == {1}
    assert sum(swept.shares) == count + 1


@pytest.mark.parametrize("mix", MIXES, ids=str)
async def test_each_expiry_is_announced_once(mix: Mix) -> None:
    await announced_once(mix, 5_000)


@pytest.mark.soak
@pytest.mark.parametrize("mix", MIXES, ids=str)
async def test_each_of_fifty_thousand_expiries_is_announced_once(mix: Mix) -> None:
    await announced_once(mix, 50_000)
