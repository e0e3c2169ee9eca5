"""Every mix of our plugins is refused with a reason, or does all that is promised, on real servers."""

from __future__ import annotations

import secrets

import pytest
from prism.config import load_config
from prism.model.errors import InvalidConfig
from prism_conformance.together.backends import BACKENDS, shared_options
from prism_conformance.together.mixes import EMBEDDED, Mix, configuration, every_mix
from prism_conformance.together.scenario import SWEPT_OFTEN, opened, play

MIXES = every_mix()
SOUND = [mix for mix in MIXES if mix.is_sound]


@pytest.mark.parametrize("mix", SOUND, ids=str)
async def test_mix_keeps_what_is_promised(mix: Mix) -> None:
    options = await shared_options(mix.types)
    options[EMBEDDED] = {"store": secrets.token_hex(8)}
    async with opened(configuration(mix, options, **SWEPT_OFTEN)) as house:
        await play(house)


@pytest.mark.parametrize("mix", [mix for mix in MIXES if not mix.is_sound], ids=str)
async def test_mix_that_loses_messages_is_refused_with_slot_and_remedy(mix: Mix) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load_config(configuration(mix, await shared_options(mix.types)))
    wrong = "messaging" if mix.registry != EMBEDDED and mix.messaging == EMBEDDED else "durability"
    assert f"namespaces[0].backend_slots.{wrong}.type: " in str(caught.value)
    assert "; use " in str(caught.value)


def test_every_installed_type_is_in_the_table() -> None:
    assert {name for mix in MIXES for name in mix.types} == {EMBEDDED, *BACKENDS}
