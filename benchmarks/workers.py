"""Processes that are measured or that measure: started, asked by lines of JSON, and ended with their parent."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent

LONGEST_COMMAND = 64 * 1024 * 1024

Answer = dict[str, Any]
Handler = Callable[..., Awaitable[Answer]]


class Worker:
    """A module of this package running in a process of its own.

    `ask` calls one of its commands by name and waits for the answer; the worker ends when its input does, so it
    never outlives the process that asks.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.process.pid

    def send(self, command: str, **arguments: object) -> None:
        """Starts a command; its answer is read by `answer`."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Answer:
        """The answer of the command that was sent first and not answered yet."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended with exit code {self.process.wait()}; its messages are above")
        answer: Answer = json.loads(line)
        return answer

    def ask(self, command: str, **arguments: object) -> Answer:
        """Sends a command and waits for its answer."""
        self.send(command, **arguments)
        return self.answer()

    async def ask_async(self, command: str, **arguments: object) -> Answer:
        """The same without holding up this process's event loop."""
        self.send(command, **arguments)
        return await asyncio.to_thread(self.answer)

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process.stdout.close()


async def serve_commands(commands: Mapping[str, Handler]) -> None:
    """The worker's side: carries out commands from standard input one by one until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_COMMAND)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        arguments: dict[str, Any] = json.loads(line)
        answer = await commands[arguments.pop("command")](**arguments)
        print(json.dumps(answer), flush=True)
