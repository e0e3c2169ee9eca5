"""The demo from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from prism.cli.demo.airports import GATEWAYS, HOME, LIVE, NAMESPACE, Airport, load, select
from prism.cli.demo.audience import Heard, listening
from prism.cli.demo.checks import Checks
from prism.cli.demo.departure import attached_elsewhere, show_departure
from prism.cli.demo.proxies import two_proxies
from prism.cli.demo.questions import ask, questions
from prism.cli.demo.sending import send_around_home
from prism.cli.demo.sleeper import show_sleeper
from prism.cli.meter import Meter

if TYPE_CHECKING:
    from prism import Client

BATCH = 2_000
"""Airports in one request."""

NEXT = """\
prism serve                                    # in a terminal of its own
prism register lamp-1 room=kitchen power=0.4
prism ls --where room=kitchen
prism attach lamp-2 --set room=kitchen         # in another: prints messages
prism send 'lights off' --where room=kitchen   # lamp-2 gets it, lamp-1 can't
prism explain --where 'power<0.5'
prism export lamps.jsonl --where room=kitchen
prism --help"""
"""What to try after the demo."""


async def run_demo(console: Console, count: int | None) -> None:
    """Runs it all. Raises CheckFailed where a claim doesn't hold."""
    from prism import Client  # noqa: PLC0415 - gRPC is loaded here

    started = time.monotonic()
    checks = Checks()
    airports = load(count)
    async with AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(two_proxies(NAMESPACE))
        console.print(f"two proxies in this process, one registry: {' and '.join(addresses)}\n", style="bold")
        first, second = [await stack.enter_async_context(Client(NAMESPACE, address)) for address in addresses]
        await _register(first, second, airports, checks, console)
        for question in questions(airports):
            await ask(second, question, airports, checks, console)
        heard = Heard()
        other = await stack.enter_async_context(attached_elsewhere(addresses[1], heard, checks))
        streams = _streams(airports, [first, second])
        async with listening(heard, streams):
            _say_attached(streams, console)
            await send_around_home(first, airports, heard, checks, console)
            await show_departure(first, other, checks, console)
        await show_sleeper(first, second, checks, console)
    elapsed = time.monotonic() - started
    console.print(f"{checks.passed} checks passed in {elapsed:.1f} seconds", style="bold green")
    console.print(Panel(Text(NEXT), title="try next", title_align="left", expand=False))


async def _register(
    first: Client, second: Client, airports: dict[str, Airport], checks: Checks, console: Console
) -> None:
    items = list(airports.items())
    with Meter(console, "registering airports", len(items)) as meter:
        for start in range(0, len(items), BATCH):
            batch = items[start : start + BATCH]
            await first.registry.register_many(batch, ttl=3_600, raise_on_error=True)
            meter.advance(len(batch))
    console.print(f"registered {meter.summary()} through gRPC with the first proxy\n")
    checks.equal("how many are registered, asked of the second proxy", await second.registry.count(), len(airports))


def _streams(airports: dict[str, Airport], clients: list[Client]) -> list[tuple[Client, list[str]]]:
    """One stream for each live airport, and one for all of a gateway's; in turn with the first and second proxy."""
    by_country = {country: sorted(select(airports, _in(country))) for country in LIVE}
    alone = sorted(icao for country in LIVE if country not in GATEWAYS for icao in by_country[country])
    groups = [[icao] for icao in alone if icao != HOME] + [by_country[country] for country in GATEWAYS]
    return [(clients[i % 2], identities) for i, identities in enumerate(groups)]


def _in(country: str) -> Callable[[Airport], bool]:
    return lambda airport: bool(airport["country"] == country)


def _say_attached(streams: list[tuple[Client, list[str]]], console: Console) -> None:
    live = sum(len(identities) for _, identities in streams)
    shared = zip(GATEWAYS, streams[-len(GATEWAYS) :], strict=True)
    gateways = " and ".join(f"{len(identities)} of {country}" for country, (_, identities) in shared)
    console.print(
        f"attached {live} airports of {', '.join(LIVE)} by {len(streams)} streams to both proxies "
        f"({gateways} share one stream each), and {HOME} from a process of its own\n",
        style="bold",
    )
