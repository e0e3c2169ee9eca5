"""The presence system of RFC-017, phase 1, on Redis and NATS: sets everything up, plays, checks each claim, and ends.

python demo.py                   # unattended
python demo.py --join Ada        # the same town, and you in it, at the keyboard
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from person import present
from presence import HELP, NAMESPACE, converse, leaves
from prism import Client, Filter, PrismError
from prism.client.registry import Registry
from prism_conformance.servers import ServerError
from rich.console import Console
from screen import Screen
from setting import Setting, running
from town import PATIENCE, ClaimFailed, Town

ROOMS = ("design", "engineering", "lobby")
NAMES = (
    "Alice", "Bob", "Carol", "Dan", "Erin", "Frank", "Grace", "Heidi", "Ivan", "Judy", "Kim", "Leo",
    "Mia", "Nina", "Olaf", "Pia", "Quin", "Rosa", "Sven", "Tara", "Uwe", "Vera", "Walt", "Yara",
)  # fmt: skip
REMARKS = ("hello!", "who has the keys?", "shipped it", "back in five", "lunch?", "looks good to me", "one more thing")
BRIEF = 2
"""Seconds after which Zoe is gone, whose program is killed."""
ROUNDS = 40
"""Of coming, going and talking."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Presence on Redis and NATS, with two proxies.")
    parser.add_argument("--join", metavar="NAME", help="take part yourself, until /leave or the end of input")
    parser.add_argument("--room", default="lobby", choices=ROOMS, help="where to join (default: lobby)")
    parser.add_argument("--seed", type=int, default=7, help="of who comes, goes and talks")
    options = parser.parse_args()
    console = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 100)
    try:
        asyncio.run(take_part(options.join, options.room) if options.join else play(console, options.seed))
    except* (ClaimFailed, PrismError, ServerError, TimeoutError) as errors:
        failed = [f"failed: {type(error).__name__}: {error}" for error in leaves(errors)]
    except* KeyboardInterrupt:
        failed = ["interrupted"]
    else:
        return 0
    for line in failed:
        print(line, file=sys.stderr)
    return 1


async def play(console: Console, seed: int) -> None:
    """The whole story. Raises ClaimFailed where something isn't as claimed."""
    chance = random.Random(seed)
    async with running() as setting, clients_of(setting) as clients:
        console.print(f"Redis {setting.redis.url}, {setting.nats.url}, proxies {' and '.join(setting.addresses)}")
        with Screen(console) as screen:
            town = Town(clients, screen)
            await people_come(town, screen)
            await rooms_are_shared(town, screen)
            await people_come_and_go(town, screen, chance)
            await killed_program_is_dropped(town, screen, setting, clients[0].registry)
            await killed_proxy_is_survived(town, screen, setting)
            await people_leave(town, screen)
        medians = ", ".join(f"{name} {statistics.median(took):.1f} ms" for name, took in town.times.items())
        console.print(f"medians: {medians}")
        console.print(f"{town.checked} checks passed", style="bold green")


async def people_come(town: Town, screen: Screen) -> None:
    screen.title(f"{len(NAMES)} people come, by either proxy in turn")
    for i, name in enumerate(NAMES):
        await town.join(name, ROOMS[i % len(ROOMS)])
    for room in ROOMS:
        await town.agrees(room)
    screen.claim("both proxies find the same people in each room")


async def rooms_are_shared(town: Town, screen: Screen) -> None:
    screen.title("they talk")
    for name in ("Alice", "Bob"):
        await town.move(name, "engineering")
    town.holds("Alice and Bob are on different proxies", town.proxy_of["Alice"] != town.proxy_of["Bob"], True)
    await town.say("Alice", "Hello team!")
    await town.say("Bob", "hi Alice")
    await town.turn("Bob", "away")
    await town.agrees("engineering")
    screen.claim("users on different proxies share a room")


async def people_come_and_go(town: Town, screen: Screen, chance: random.Random) -> None:
    screen.title("people come and go")
    gone: list[str] = []
    for _ in range(ROUNDS):
        name = chance.choice(sorted(town.people))
        match chance.choice(("say", "say", "say", "move", "leave", "return", "status")):
            case "say":
                await town.say(name, chance.choice(REMARKS))
            case "move":
                await town.move(name, chance.choice(ROOMS))
            case "leave" if len(town.people) > len(NAMES) // 2:
                await town.leave(name)
                gone.append(name)
            case "return" if gone:
                await town.join(gone.pop(), chance.choice(ROOMS))
            case _:
                await town.turn(name, chance.choice(("online", "away", "busy")))
    for room in ROOMS:
        await town.agrees(room)
    screen.claim(f"after {ROUNDS} rounds, both proxies still find exactly those who are there")


async def killed_program_is_dropped(town: Town, screen: Screen, setting: Setting, asked: Registry) -> None:
    screen.title("Zoe's program is killed")
    before = await setting.expired()
    zoe = await start_program("Zoe", "den", BRIEF, setting.addresses[1])
    town.holds(
        "who is in the den",
        [found.identity for found in await asked.enumerate(Filter(current_room="den"))],
        ["user-zoe"],
    )
    zoe.kill()
    await zoe.wait()
    screen.happened("kill -9")
    async with asyncio.timeout(PATIENCE):
        while await asked.count(Filter(current_room="den")):  # noqa: ASYNC110 - it is the registry's clock that runs
            await asyncio.sleep(0.1)
        while await setting.expired() == before:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    town.holds("expiries that were announced", await setting.expired() - before, 1)
    screen.claim(f"she is gone when her {BRIEF} s are over, and that was announced once by one of two proxies")


async def killed_proxy_is_survived(town: Town, screen: Screen, setting: Setting) -> None:
    screen.title("a proxy is killed")
    there = len(town.people)
    stranded = [person for name, person in town.people.items() if town.proxy_of[name] == 0]
    await setting.proxies.kill(node=0)
    screen.happened(f"kill -9, with {len(stranded)} people on it")
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as returning:
        for person in stranded:
            returning.create_task(person.until_returned())
    for room in ROOMS:
        await town.agrees(room)
    for name in [min(name for name, person in town.people.items() if person.room == room) for room in occupied(town)]:
        await town.say(name, "still here?")
    town.holds("people", len(town.people), there)
    screen.claim("they are attached to the other proxy by themselves, nobody was dropped, and everybody hears")


async def people_leave(town: Town, screen: Screen) -> None:
    screen.title("everybody goes home")
    messages = town.nobody_heard_too_much()
    screen.claim(f"each of {messages} messages was heard by those in its room then, and by nobody else")
    for name in sorted(town.people):
        await town.leave(name)
    for room in ROOMS:
        await town.agrees(room)
    screen.claim("the rooms are empty")


def occupied(town: Town) -> set[str]:
    return {person.room for person in town.people.values()}


async def start_program(name: str, room: str, ttl: int, address: str) -> asyncio.subprocess.Process:
    """presence.py in a process of its own; returns when it is in the room."""
    program = Path(__file__).with_name("presence.py")
    words = (str(program), room, "--name", name, "--ttl", str(ttl), "--address", address)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-u", *words, stdin=pipe, stdout=pipe)
    if process.stdout is None:
        raise AssertionError("its output was asked for")
    async with asyncio.timeout(PATIENCE):
        line = await process.stdout.readline()
    if not line.startswith(b"you are in"):
        raise ClaimFailed(f"{name}'s program said {line!r}")
    return process


async def take_part(name: str, room: str) -> None:
    """The town lives on its own, and somebody at the keyboard is in it."""
    async with running() as setting, clients_of(setting) as clients:
        screen = Screen(Console(quiet=True))
        town = Town(clients, screen)
        for i, other in enumerate(NAMES):
            await town.join(other, ROOMS[i % len(ROOMS)])
        async with present(clients[0], name, room, print) as person, asyncio.TaskGroup() as living:
            bustle = living.create_task(live_on(town))
            print(f"you are in {room} with {len(await person.who()) - 1} others. {HELP}")
            await converse(person)
            bustle.cancel()


async def live_on(town: Town) -> None:
    """People talk and move, for ever."""
    while True:
        await asyncio.sleep(random.uniform(1, 4))
        person = town.people[random.choice(NAMES)]
        if random.random() < 0.3:
            await person.move(random.choice(ROOMS))
        else:
            await person.say(random.choice(REMARKS))


@asynccontextmanager
async def clients_of(setting: Setting) -> AsyncIterator[list[Client]]:
    """A client of each proxy, that knows the other one too."""
    async with AsyncExitStack() as stack:
        orders = (setting.addresses, setting.addresses[::-1])
        yield [await stack.enter_async_context(Client(NAMESPACE, ",".join(order))) for order in orders]


if __name__ == "__main__":
    sys.exit(main())
