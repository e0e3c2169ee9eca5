"""The IoT device registry of RFC-017, phase 2, on PostgreSQL and Kafka: sets everything up, plays, checks, and ends.

python demo.py                      # HQ, and 28,000 airports
python demo.py --stations 2000      # only so many of them
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

try:
    import dashboard
    from device import TTL, UPDATED, Log, connected
    from fleet import BUILDING, FLOORS, HQ, Device, Fleet, building, distance_km, select, stations
    from prism import Client, PrismError, Status
    from prism_conformance.servers import ServerError
    from rich.console import Console
    from setting import NAMESPACE, Setting, clients_of, prism, running
except ModuleNotFoundError as error:
    sys.exit(f"this demo needs {error.name}; examples/iot/README.md has the pip command that installs it")

OLD = "1.0"
LOW = 0.2
AROUND_KM = 100
ONLINE = ("AT", "CH", "IE")
"""Countries whose stations are connected all the time."""
RETURNING = ("IS", "NO", "NZ")
"""Countries whose stations wake up later; all the others sleep on."""
COMMAND = {"command": "update_firmware", "url": "https://firmware.example/1.1.0.bin", "from": OLD, "to": UPDATED}
PATIENCE = 90.0
"""Seconds in which what is claimed has to come true."""
SHOWN = 8
"""Rows of a table at most."""


class ClaimFailed(Exception):
    """Something that the demo claims doesn't hold."""


class Demo:
    """The story, chapter by chapter. It keeps its own books, and holds the registry to them."""

    def __init__(self, console: Console, setting: Setting, clients: list[Client], fleet: Fleet) -> None:
        self.console = console
        self.setting = setting
        self.first, self.second = (client.registry for client in clients)
        self.clients = clients
        self.fleet = fleet
        self.log = Log({name: device["firmware_version"] for name, device in fleet.items()})
        self.checked = 0
        self.message_id = ""
        self.old = select(fleet, lambda device: device["firmware_version"].startswith(OLD))

    async def play(self) -> None:
        """All of it. Raises ClaimFailed where something isn't as claimed."""
        await self.register()
        await self.look_around()
        awake = self.indoors() | self.of(ONLINE)
        async with self.online(awake):
            await self.send_the_update(awake)
            await self.lose_a_proxy(awake)
            await self.see_the_results(awake, awake)
            await self.setting.proxies.restart(node=1)
            back = self.of(RETURNING)
            async with self.online(back):
                await self.sleepers_return(awake | back)
                await self.see_the_results(awake | back, back)
        await self.compare_everything(awake | back)
        await self.read_the_audit()

    async def register(self) -> None:
        start = time.perf_counter()
        await self.first.register_many(self.fleet, ttl=TTL, raise_on_error=True)
        seconds = time.perf_counter() - start
        self.holds("devices, asked of the other proxy", await self.second.count(), len(self.fleet))
        self.claim(
            f"{len(self.fleet):,} devices registered by one proxy in {seconds:.1f} s are seen by the other at once"
        )

    async def look_around(self) -> None:
        """Dashboards by location and battery."""
        here = {"location.building": BUILDING}
        devices = await self.second.enumerate(here)
        tired = await self.second.enumerate({**here, "battery_level.lt": LOW})
        self.same("devices in HQ", devices, self.indoors())
        self.same("of those, low on battery", tired, self.low(self.indoors()))
        dashboard.show(self.console, f"{BUILDING}, {FLOORS} floors", dashboard.floors(devices, tired))
        around = {"location.near": {"lat": HQ["lat"], "lon": HQ["lon"], "radius_km": AROUND_KM}}
        near = select(self.fleet, lambda device: distance_km(device["location"], HQ) <= AROUND_KM)
        stations_near = near - self.indoors()
        outdoors = {**around, "location.country.exists": True}
        self.same(f"stations within {AROUND_KM} km", await self.second.enumerate(outdoors), stations_near)
        emptiest = await self.second.enumerate(outdoors, sort_by="battery_level", limit=SHOWN)
        charge = sorted((self.fleet[name]["battery_level"], name) for name in stations_near)[:SHOWN]
        self.holds("the emptiest first", [found.identity for found in emptiest], [name for _, name in charge])
        title = f"{len(stations_near)} stations within {AROUND_KM} km, the emptiest first"
        dashboard.show(self.console, title, dashboard.batteries(emptiest))
        self.claim("dashboards by building, distance and battery show what plain Python finds in the same data")

    async def send_the_update(self, awake: set[str]) -> None:
        result = await self.first.multicast({"firmware_version.startswith": OLD}, COMMAND, timeout=0)
        self.message_id = result.message_id
        self.holds("devices that the update is for", result.target_count, len(self.old))
        self.holds("stored for", result.pending_count + result.delivered_count, len(self.old))
        online = len(self.old & awake)
        self.claim(
            f"the update is stored for {len(self.old):,} devices with firmware {OLD}*, of which {online} are online"
        )

    async def lose_a_proxy(self, awake: set[str]) -> None:
        await self.setting.proxies.kill(node=1)
        async with asyncio.timeout(PATIENCE):
            await self.log.until_installed(len(self.old & awake))
        self.holds("devices that installed it", set(self.log.installed), self.old & awake)
        again = self.log.received.total() - len(self.log.received)
        self.claim(
            f"a proxy is killed meanwhile: its devices go on by the other one ({self.log.reattached} streams), "
            f"and each one that is online installs it ({again} got the command again, under the same id)"
        )

    async def see_the_results(self, done: set[str], shown: set[str]) -> None:
        """Who has acked is DELIVERED; for whom it waits is PENDING."""
        followed = self.old & done
        async with asyncio.timeout(PATIENCE):
            while (result := await self.first.get_multicast(self.message_id)).delivered_count < len(followed):  # noqa: ASYNC110
                await asyncio.sleep(0.1)  # acks are on their way
        statuses = {status.identity: status for status in result.statuses}
        delivered = {name for name, status in statuses.items() if status.status is Status.DELIVERED}
        pending = {name for name, status in statuses.items() if status.status is Status.PENDING}
        self.holds("DELIVERED", delivered, followed)
        self.holds("PENDING", pending, self.old - followed)
        names = [*sorted(delivered & shown)[: SHOWN // 2], *sorted(pending)[: SHOWN // 2]]
        now = {found.identity: found.metadata["firmware_version"] for found in await self.first.get_many(names)}
        before = {name: self.fleet[name]["firmware_version"] for name in names}
        table = dashboard.results([statuses[name] for name in names], before, now)
        dashboard.show(self.console, f"{len(delivered):,} DELIVERED, {len(pending):,} PENDING, some of them", table)
        left = await self.first.count({"firmware_version.startswith": OLD})
        self.holds("devices still to be updated", left, len(self.old - followed))
        self.claim("the result is seen for each device: DELIVERED to those that did it, PENDING for those that sleep")

    async def sleepers_return(self, awake: set[str]) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.log.until_installed(len(self.old & awake))
        self.holds("devices that installed it", set(self.log.installed), self.old & awake)
        back = len(self.old & self.of(RETURNING))
        self.claim(f"the sleeping stations of {', '.join(RETURNING)} come back by the other proxy; {back} get it then")

    async def compare_everything(self, done: set[str]) -> None:
        """The whole registry against the books: nothing was changed that wasn't meant, nothing was left out."""
        self.holds("what must never happen", self.log.wrong, [])
        followed = self.old & done
        expected = {
            name: UPDATED if name in followed else device["firmware_version"] for name, device in self.fleet.items()
        }
        found = {one.identity: one.metadata["firmware_version"] async for one in self.second.enumerate()}
        self.holds("the firmware of every device", found == expected, True)
        self.claim(
            f"of {len(found):,} devices exactly those {len(followed)} have new firmware, and no other got a command"
        )

    async def read_the_audit(self) -> None:
        """Who sent what to how many is on record, in the registry's own database."""
        asked = ("--namespace", NAMESPACE, "--message-id", self.message_id, "--kind", "multicast_result")
        printed = await prism("audit", "--config", str(self.setting.config), *asked, "--json")
        [entry] = [json.loads(line) for line in printed.splitlines()]
        self.holds("the update's targets, as audited", entry["targets"], len(self.old))
        self.claim("the audit has the update: by which filter, for how many, and what became of it")

    @asynccontextmanager
    async def online(self, names: set[str]) -> AsyncIterator[None]:
        """Devices are connected behind gateways: one stream for each floor or country, by either proxy in turn."""
        groups: dict[object, dict[str, Device | None]] = {}
        for name in sorted(names):
            location = self.fleet[name]["location"]
            groups.setdefault(location.get("country") or location["floor"], {})[name] = None
        async with AsyncExitStack() as stack:
            for i, group in enumerate(groups.values()):
                await stack.enter_async_context(connected(self.clients[(i + 1) % 2], group, self.log))
            yield

    def indoors(self) -> set[str]:
        return select(self.fleet, lambda device: "building" in device["location"])

    def of(self, countries: Iterable[str]) -> set[str]:
        return select(self.fleet, lambda device: device["location"].get("country") in countries)

    def low(self, names: set[str]) -> set[str]:
        return {name for name in names if self.fleet[name]["battery_level"] < LOW}

    def same(self, claim: str, found: Iterable[object], expected: set[str]) -> None:
        self.holds(claim, {one.identity for one in found}, expected)  # type: ignore[attr-defined]

    def holds(self, claim: str, actual: object, expected: object) -> None:
        """The two have to be equal."""
        if actual != expected:
            shown = (
                (len(actual ^ expected), "differ") if isinstance(actual, set) and isinstance(expected, set) else actual
            )
            raise ClaimFailed(f"{claim}: expected {expected if shown is actual else '...'}, got {shown}")
        self.checked += 1

    def claim(self, text: str) -> None:
        self.console.print(f"[bold green]✓[/] {text}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Devices on PostgreSQL and Kafka, with two proxies.")
    parser.add_argument("--stations", type=int, metavar="N", help="only so many airports (default: all)")
    options = parser.parse_args()
    console = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 110)
    try:
        asyncio.run(play(console, options.stations))
    except* (ClaimFailed, PrismError, ServerError, RuntimeError, TimeoutError) as errors:
        failed = [f"failed: {type(error).__name__}: {error}" for error in leaves(errors)]
    except* KeyboardInterrupt:
        failed = ["interrupted"]
    else:
        return 0
    for line in failed:
        print(line, file=sys.stderr)
    return 1


async def play(console: Console, count: int | None) -> None:
    outdoor = stations(count, (*ONLINE, *RETURNING))
    fleet = {**building(), **outdoor}
    async with running() as setting, clients_of(setting) as clients:
        console.print(
            f"PostgreSQL on port {setting.postgres.port}, Kafka on {setting.kafka.port}, "
            f"proxies {' and '.join(setting.addresses)}; {BUILDING} with {len(fleet) - len(outdoor)} devices, "
            f"{len(outdoor):,} stations outdoors\n"
        )
        demo = Demo(console, setting, clients, fleet)
        start = time.perf_counter()
        await demo.play()
        console.print(f"{demo.checked} checks passed in {time.perf_counter() - start:.1f} s", style="bold green")


def leaves(errors: BaseExceptionGroup[Exception]) -> Iterable[BaseException]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


if __name__ == "__main__":
    sys.exit(main())
