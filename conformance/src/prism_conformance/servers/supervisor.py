"""Holds a run's server processes, so that they end with the run however the run ends.

A program of its own, on the standard library alone: `python -I supervisor.py FOLDER`, with the listening unix socket as
descriptor 3 and a pidfd of the run's owner as descriptor 4. It ends, and ends every server, as soon as the owner's
process is gone (the pidfd tells, so `kill -9` counts too). If it is itself killed, the kernel kills the servers
(`PR_SET_PDEATHSIG`).

A connection is a lease: what was started through it ends when it closes, unless `keep` gave it to the whole run.
Requests and answers are JSON, one a line. An answer is an object; `{"error": text}` refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_MAX_LINE = 4 * 1024 * 1024
_LISTENER = 3
_OWNER = 4
_LEAVE_S = 1.0
_WHOLE_GROUP = frozenset({signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT})

Request = dict[str, Any]
Answer = dict[str, Any]


def _descendants(pid: int) -> Iterable[int]:
    """The processes that a process started, and that those did."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, children.read_text().split()):
                yield child
                yield from _descendants(child)


class Child:
    """One server process, its group, and what it started in sessions of their own, as PostgreSQL does."""

    def __init__(self, request: Request, die_with_us: Callable[[], None]) -> None:
        with Path(request["log"]).open("ab") as log:
            self._popen = subprocess.Popen(  # noqa: S603 - what the test run asked for is what we are for
                request["argv"],
                env=request["env"],
                cwd=request["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=request.get("uid"),
                group=request.get("gid"),
                extra_groups=None if request.get("uid") is None else [],
                preexec_fn=die_with_us,  # noqa: PLW1509 - this process has one thread
            )
        self.pid = self._popen.pid
        self.last_signal: int | None = request.get("last_signal")
        self.ended = asyncio.Event()
        self.code: int | None = None
        self._killed: set[int] = set()
        self._pidfd = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        # The leader is a zombie until it is waited for, so its number can't be anyone else's group yet.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.code = self._popen.wait()
        for pidfd in self._killed:
            asyncio.get_running_loop().add_reader(pidfd, self._bury, pidfd)
        self._end_when_all_are_gone()

    def _bury(self, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        self._killed.remove(pidfd)
        self._end_when_all_are_gone()

    def _end_when_all_are_gone(self) -> None:
        if not self._killed:
            self.ended.set()

    def signal(self, number: int) -> None:
        """Sends a signal to the process alone, which knows what its children need; nothing if it has ended."""
        if not self.ended.is_set():
            self._popen.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Sends a signal to the process and all it started; nothing if it has ended."""
        if self.code is not None:
            return
        if number == signal.SIGKILL:
            self._popen.send_signal(signal.SIGSTOP)  # it starts nothing more while we look
        for pid in tuple(_descendants(self.pid)):
            with contextlib.suppress(ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                signal.pidfd_send_signal(pidfd, number)
                if number == signal.SIGKILL:
                    self._killed.add(pidfd)
                else:
                    os.close(pidfd)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class Scope:
    """What ends together: processes, reserved ports and folders."""

    def __init__(self) -> None:
        self.children: dict[str, Child] = {}
        self.ports: list[socket.socket] = []
        self.folders: list[Path] = []

    def take_all_of(self, other: Scope, prefix: str) -> None:
        """Moves everything from `other` here."""
        self.children.update({f"{prefix}/{name}": child for name, child in other.children.items()})
        self.ports += other.ports
        self.folders += other.folders
        other.children, other.ports, other.folders = {}, [], []

    async def close(self) -> None:
        """Kills the processes, waits until they are gone, frees the ports and removes the folders."""
        leaving = [child for child in self.children.values() if child.last_signal]
        for child in leaving:
            child.signal(child.last_signal or signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                for child in leaving:
                    await child.ended.wait()
        for child in self.children.values():
            child.signal_group(signal.SIGKILL)
        for child in self.children.values():
            await child.ended.wait()
        for port in self.ports:
            port.close()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


class Lease:
    """One connection and the requests it may make."""

    def __init__(self, supervisor: Supervisor, number: int) -> None:
        self._supervisor = supervisor
        self._number = number
        self.scope = Scope()
        self._operations: dict[str, Callable[[Request], Awaitable[Answer]]] = {
            "folder": self._folder,
            "ports": self._ports,
            "spawn": self._spawn,
            "signal": self._signal,
            "exits": self._exits,
            "keep": self._keep,
            "release": self._release,
            "shutdown": self._shutdown,
        }

    async def answer(self, request: Request) -> Answer:
        """Carries out one request."""
        operation = self._operations.get(request["op"])
        if operation is None:
            return {"error": f"unknown operation {request['op']!r}; use one of {sorted(self._operations)}"}
        try:
            return await operation(request)
        except (OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
            return {"error": f"{request['op']}: {type(error).__name__}: {error}"}

    async def _folder(self, request: Request) -> Answer:
        folder = self._supervisor.folder / f"{request['name']}-{self._number}"
        folder.mkdir(mode=0o711)
        self.scope.folders.append(folder)
        return {"folder": str(folder)}

    async def _ports(self, request: Request) -> Answer:
        # A port stays bound here, without listening, as long as its server may live: nobody else gets the number, not
        # even while the server is down, and a server that sets SO_REUSEADDR (they all do) can bind it beside us.
        ports = []
        for _ in range(request["count"]):
            held = socket.socket()
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
            self.scope.ports.append(held)
            ports.append(held.getsockname()[1])
        return {"ports": ports}

    async def _spawn(self, request: Request) -> Answer:
        name = request["name"]
        running = self.scope.children.get(name)
        if running and not running.ended.is_set():
            return {"error": f"spawn: {name} is running already, as process {running.pid}"}
        child = Child(request, self._supervisor.die_with_us)
        self.scope.children[name] = child
        return {"pid": child.pid}

    async def _signal(self, request: Request) -> Answer:
        number = request["signal"]
        for name in request["names"]:
            child = self.scope.children[name]
            (child.signal_group if number in _WHOLE_GROUP else child.signal)(number)
        return {}

    async def _exits(self, request: Request) -> Answer:
        """Waits until one (`all`: every one) of the named processes has ended, at most `timeout` seconds."""
        children = {name: self.scope.children[name] for name in request["names"]}
        waits = [asyncio.ensure_future(child.ended.wait()) for child in children.values()]
        until = asyncio.ALL_COMPLETED if request["all"] else asyncio.FIRST_COMPLETED
        _, pending = await asyncio.wait(waits, timeout=request["timeout"], return_when=until)
        for wait in pending:
            wait.cancel()
        return {"codes": {name: child.code for name, child in children.items() if child.ended.is_set()}}

    async def _keep(self, _request: Request) -> Answer:
        self._supervisor.kept.take_all_of(self.scope, str(self._number))
        return {}

    async def _release(self, _request: Request) -> Answer:
        """Ends everything of this lease, as closing the connection does, and answers when it is gone."""
        scope, self.scope = self.scope, Scope()
        await scope.close()
        return {}

    async def _shutdown(self, _request: Request) -> Answer:
        self._supervisor.over.set()
        return {}


class Supervisor:
    """Accepts leases until the owner is gone, then ends everything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept = Scope()
        self.over = asyncio.Event()
        self._leases: set[Lease] = set()
        self._count = 0
        libc = ctypes.CDLL(None, use_errno=True)  # before any fork: loading it in a child could deadlock
        pid = os.getpid()

        def die_with_us() -> None:
            # A process that changes its user loses the setting, so this runs after Popen has changed it.
            if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0 or os.getppid() != pid:
                os._exit(127)

        self.die_with_us = die_with_us

    async def run(self, listener: socket.socket, owner: int) -> None:
        """Serves until the process of the pidfd `owner` has ended, or a shutdown is asked for."""
        loop = asyncio.get_running_loop()
        loop.add_reader(owner, self.over.set)
        loop.add_signal_handler(signal.SIGTERM, self.over.set)
        server = await asyncio.start_unix_server(self._serve, sock=listener, limit=_MAX_LINE)
        await self.over.wait()
        loop.remove_reader(owner)
        server.close()
        scopes: Iterable[Scope] = [self.kept, *(lease.scope for lease in self._leases)]
        for scope in scopes:
            await scope.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        lease = Lease(self, self._count)
        self._leases.add(lease)
        try:
            while line := await reader.readline():
                answer = await lease.answer(json.loads(line))
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as error:
            sys.stderr.write(f"lease {lease}: {error}\n")
        finally:
            if not self.over.is_set():  # else `run` is closing it
                await lease.scope.close()
                self._leases.discard(lease)
            writer.close()


def main(folder: str) -> None:
    """Runs the supervisor of one run; returns when the run is over."""
    if os.fork():
        os._exit(0)  # who started us needs not wait for us
    os.umask(0o022)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal: the owner decides when it is over

    async def supervise() -> None:
        await Supervisor(Path(folder)).run(socket.socket(fileno=_LISTENER), _OWNER)

    asyncio.run(supervise())


if __name__ == "__main__":
    main(*sys.argv[1:])
