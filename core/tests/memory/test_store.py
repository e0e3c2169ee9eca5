"""How long a store lives, and who shares it."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from prism.filters.parse import parse
from prism.memory.config import MemoryConfig
from prism.memory.messaging import MemoryMessaging
from prism.memory.plugin import prism_slots
from prism.memory.registry import MemoryRegistry
from prism.memory.store import forward_only
from prism.model.errors import InternalError, InvalidConfig
from prism.model.limits import Limits
from prism.slots.context import IndexedField, SlotContext
from prism.slots.registry import Anything, Query, Write
from pydantic import ValidationError

from .conftest import Clock, Open


def write(identity: str, metadata: bytes = b"{}") -> Write:
    return Write(identity, metadata, "r", None, Anything())


async def test_slots_of_one_store_share_what_it_holds(slot: Open) -> None:
    name = secrets.token_hex(4)
    one, other = await slot(MemoryRegistry, name), await slot(MemoryRegistry, name)
    await one.set([write("alice")])
    assert await other.count(()) == 1


async def test_slots_without_a_store_share_nothing(slot: Open) -> None:
    one, other = await slot(MemoryRegistry), await slot(MemoryRegistry)
    await one.set([write("alice")])
    assert await other.count(()) == 0


async def test_store_is_gone_when_its_last_user_closes(slot: Open) -> None:
    name = secrets.token_hex(4)
    one, other = await slot(MemoryRegistry, name), await slot(MemoryMessaging, name)
    await one.set([write("alice")])
    await one.close()
    again = await slot(MemoryRegistry, name)
    assert await again.count(()) == 1
    for user in (again, other):
        await user.close()
    assert await (await slot(MemoryRegistry, name)).count(()) == 0


async def test_closing_twice_counts_once(slot: Open) -> None:
    name = secrets.token_hex(4)
    one, other = await slot(MemoryRegistry, name), await slot(MemoryRegistry, name)
    await one.set([write("alice")])
    await one.close()
    await one.close()
    third = await slot(MemoryRegistry, name)
    await other.close()
    assert await third.count(()) == 1


async def test_slot_that_is_not_open_refuses_to_work(slot: Open) -> None:
    registry = await slot(MemoryRegistry)
    await registry.close()
    with pytest.raises(InternalError, match="not open"):
        await registry.get(["alice"])
    with pytest.raises(InternalError, match="not open"):
        await registry.check()


async def test_second_slot_brings_its_indexes_to_what_is_there(slot: Open) -> None:
    name = secrets.token_hex(4)
    one = await slot(MemoryRegistry, name)
    await one.set([write(f"user-{i}", b'{"a":%d}' % (i % 2)) for i in range(10)])
    other = await slot(MemoryRegistry, name, indexes=(IndexedField(("a",), "int"),))
    query = Query((parse({"a": 1}, Limits()),))
    found = [name async for page in other.scan(query) for name in page.identities]
    assert found == [f"user-{i}" for i in (1, 3, 5, 7, 9)]


def test_store_in_use_by_another_event_loop_is_refused(clock: Clock) -> None:
    config = MemoryConfig(store=secrets.token_hex(4))

    async def use() -> None:
        await MemoryRegistry(config, SlotContext("test", clock=clock)).open()

    async def hold() -> None:
        registry = MemoryRegistry(config, SlotContext("test", clock=clock))
        await registry.open()
        with pytest.raises(InvalidConfig, match="another event loop"):
            await asyncio.to_thread(asyncio.run, use())
        await registry.close()

    asyncio.run(hold())


def test_store_of_an_event_loop_that_ended_is_not_found_again(clock: Clock) -> None:
    config = MemoryConfig(store=secrets.token_hex(4))

    async def left_open() -> None:
        registry = MemoryRegistry(config, SlotContext("test", clock=clock))
        await registry.open()
        await registry.set([write("alice")])

    async def look() -> int:
        registry = MemoryRegistry(config, SlotContext("test", clock=clock))
        await registry.open()
        found = await registry.count(())
        await registry.close()
        return found

    asyncio.run(left_open())
    assert asyncio.run(look()) == 0


def test_clock_that_jumps_back_stands_still_until_it_has_caught_up(clock: Clock) -> None:
    now = forward_only(clock)
    first = now()
    clock.turn(-3600)
    assert now() == first
    clock.turn(3601)
    assert now() == first + 1_000_000


@pytest.mark.parametrize("options", [{"stor": "x"}, {"store": ""}, {"store": 7}], ids=str)
def test_wrong_option_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="stor"):
        MemoryConfig.model_validate(options)


def test_plugin_fills_each_of_the_three_slots_once() -> None:
    assert sorted(spec.slot for spec in prism_slots()) == ["durability", "messaging", "registry"]
    assert {spec.type for spec in prism_slots()} == {"memory"}
