"""Chat rooms in the terminal: people join, see each other, talk and leave (RFC-017, use case 3).

python presence.py engineering --name Alice          # against `prism serve`
python presence.py --embedded --script lunch.txt     # several people in this process, without a proxy
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from person import TTL, Person, present
from prism import Client, PrismError

NAMESPACE = "presence"
CONFIG = Path(__file__).with_name("embedded.yaml")
HELP = "/who  /away  /online  /room NAME  /leave; anything else is said to the room"


def main() -> int:
    parser = argparse.ArgumentParser(description="Chat rooms in the terminal, on Prism.")
    parser.add_argument("room", nargs="?", default="lobby", help="the room to join (default: lobby)")
    parser.add_argument("--name", default="Guest", help="what the others see")
    parser.add_argument("--script", type=Path, help="play a script such as lunch.txt instead of reading the keyboard")
    parser.add_argument("--embedded", action="store_true", help="run the registry in this process, without a proxy")
    parser.add_argument("--address", help="the proxy, HOST:PORT (default: PRISM_ADDRESS or 127.0.0.1:7070)")
    parser.add_argument("--ttl", type=int, default=TTL, help="seconds until somebody whose program was killed is gone")
    options = parser.parse_args()
    failed: list[str] = []
    try:
        asyncio.run(run(options))
    except* PrismError as errors:
        failed = [str(error) for error in leaves(errors)]
    except* KeyboardInterrupt:
        failed = ["interrupted"]
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


async def run(options: argparse.Namespace) -> None:
    client = Client.embedded(NAMESPACE, CONFIG) if options.embedded else Client(NAMESPACE, options.address)
    async with client:
        if options.script:
            await play(client, options.script.read_text().splitlines())
        else:
            async with present(client, options.name, options.room, print, options.ttl) as person:
                print(f"you are in {person.room}. {HELP}")
                await converse(person)


async def converse(person: Person) -> None:
    """What is typed, line by line, until /leave or the end of input."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        words = line.split()
        if words[:1] == ["/leave"]:
            return
        if words:
            await obey(person, words, line.strip())


async def obey(person: Person, words: list[str], line: str) -> None:
    match words:
        case ["/who"]:
            await show_room(person)
        case ["/away"] | ["/online"]:
            await person.set_status(words[0][1:])
        case ["/room", room]:
            await person.move(room)
            await show_room(person)
        case [command, *_] if command.startswith("/"):
            print(HELP)
        case _:
            _, count = await person.say(line)
            print(f"[{person.room}] delivered to {count}")


async def show_room(person: Person) -> None:
    people = [f"{found.metadata['display_name']} ({found.metadata['status']})" for found in await person.who()]
    print(f"[{person.room}] {', '.join(people)}")


async def play(client: Client, lines: Iterable[str]) -> None:
    """Plays a script: `Alice joins engineering`, `Alice says hello`, `Alice is away`, `Alice looks`, `Alice leaves`."""
    async with AsyncExitStack() as everyone:
        people: dict[str, tuple[Person, AsyncExitStack]] = {}
        for line in lines:
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            print(f"> {line.strip()}")
            match words:
                case [name, "joins", room]:
                    stay = await everyone.enter_async_context(AsyncExitStack())
                    people[name] = await stay.enter_async_context(present(client, name, room, print)), stay
                case [name, "says", *_]:
                    await speak(people, name, line.split(maxsplit=2)[2].strip())
                case [name, "is", status]:
                    await people[name][0].set_status(status)
                case [name, "moves", "to", room]:
                    await people[name][0].move(room)
                case [name, "looks"]:
                    await show_room(people[name][0])
                case [name, "leaves"]:
                    await people.pop(name)[1].aclose()
                case _:
                    raise SystemExit(f"can't read the line: {line!r}")


async def speak(people: dict[str, tuple[Person, AsyncExitStack]], name: str, text: str) -> None:
    """Says it, and waits until everybody in the room has heard it, so that a script reads in order."""
    speaker = people[name][0]
    message_id, count = await speaker.say(text)
    for person, _ in people.values():
        if person.room == speaker.room:
            await person.until_heard(message_id)
    print(f"[{speaker.room}] delivered to {count}")


def leaves(errors: BaseExceptionGroup[PrismError]) -> Iterable[BaseException]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


if __name__ == "__main__":
    sys.exit(main())
