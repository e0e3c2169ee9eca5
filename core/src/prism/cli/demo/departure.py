"""A session in a process of its own, which is killed: what a multicast then says of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson
from rich.console import Console
from rich.text import Text

from prism.cli.demo.airports import HOME, NAMESPACE
from prism.cli.demo.audience import Heard
from prism.cli.demo.checks import Checks
from prism.cli.demo.sending import PATIENCE
from prism.cli.receipts import STYLES
from prism.cli.screen import table
from prism.cli.where import parse_where
from prism.model.delivery import DeliveryStatus, Status

if TYPE_CHECKING:
    from prism import Client

START = 30.0
"""Seconds for an interpreter to start on a busy machine."""


class OtherProcess:
    """`prism attach` in a process of its own; what it prints goes to `heard`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def attached(self) -> None:
        """Waits until it says that it is attached."""
        assert self._process.stderr is not None
        said: list[str] = []
        while line := await self._process.stderr.readline():
            said.append(line.decode(errors="replace").strip())
            if said[-1].startswith("attached "):
                return
        raise RuntimeError(f"prism attach ended: {' '.join(said)}")

    async def relay(self, heard: Heard) -> None:
        """Records what it receives, until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            message = orjson.loads(line)
            heard.record(message["identity"], message["id"])

    async def kill(self) -> None:
        """Ends it at once, as a crash does (SIGKILL)."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def attached_elsewhere(address: str, heard: Heard, checks: Checks) -> AsyncIterator[OtherProcess]:
    """Runs `prism attach` for Zurich in another process as long as the block runs."""
    command = ("-m", "prism", "attach", HOME, "--keep", "--json", "--namespace", NAMESPACE, "--address", address)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=pipe, stderr=pipe)
    other = OtherProcess(process)
    async with asyncio.TaskGroup() as group:
        try:
            async with checks.within(START, "that a session in another process attaches"):
                await other.attached()
            group.create_task(other.relay(heard))
            yield other
        finally:
            await other.kill()


async def show_departure(client: Client, other: OtherProcess, checks: Checks, console: Console) -> None:
    """Sends to Zurich, kills its process, sends again."""
    before = await _send_home(client)
    checks.equal("the status while its process lives", before.status, Status.DELIVERED)
    await other.kill()
    async with checks.within(PATIENCE, "that the proxy notices a killed session"):
        while (after := await _send_home(client)).status is not Status.FAILED:
            continue
    checks.equal("that it is registered still", (await client.registry.get(HOME)).identity, HOME)

    console.print(f"{HOME} is attached by a process of its own, which is now killed", style="bold")
    listing = table(HOME, "status", "reason")
    for moment, receipt in (("while its process lives", before), ("once it is killed", after)):
        status = Text(receipt.status.name, style=STYLES[receipt.status])
        listing.add_row(moment, status, Text(receipt.error or ""))
    console.print(listing)
    console.print()


async def _send_home(client: Client) -> DeliveryStatus:
    result = await client.registry.multicast(parse_where(f"$identity={HOME}"), "still there?", timeout=PATIENCE)
    return result.statuses[0]
