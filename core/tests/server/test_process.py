"""A proxy as a process of its own: signals, exit codes, logs."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
from prism.v1 import attach_pb2
from prism.v1 import registry_pb2 as pb
from prism.v1.registry_pb2_grpc import MulticastRegistryServiceStub
from support.calls import PATIENCE, Stream

PROGRAM = """
import asyncio, sys
from prism.config import load_config
from prism.server.app import serve
config = load_config({"server": {"allow_unlisted_namespaces": True, "drain_grace": sys.argv[1], "log_level": "info"}})
show = lambda proxy: print(proxy.address, flush=True)
asyncio.run(serve(config, listen="127.0.0.1:0", http_listen="127.0.0.1:0", ready=show))
"""


@dataclass
class Process:
    """A proxy process and a stub for it."""

    process: asyncio.subprocess.Process
    stub: MulticastRegistryServiceStub

    async def ended(self) -> tuple[int, str]:
        """Its exit code and what it logged."""
        _, logged = await asyncio.wait_for(self.process.communicate(), PATIENCE)
        assert self.process.returncode is not None
        return self.process.returncode, logged.decode()


@asynccontextmanager
async def started(grace: str) -> AsyncIterator[Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, grace, stdout=pipe, stderr=pipe)
    try:
        assert process.stdout is not None
        address = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
        async with grpc.aio.insecure_channel(address) as channel:
            yield Process(process, MulticastRegistryServiceStub(channel))
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_ends_with_success(number):
    async with started("20s") as proxy:
        stream = Stream(proxy.stub)
        await stream.attach("a")
        proxy.process.send_signal(number)
        assert (await stream.event()).draining.grace_ms == 20_000
        await stream.send(detach=[attach_pb2.Detach(identity="a", keep=True)])
        await stream.call.done_writing()
        assert (await stream.event()).WhichOneof("kind") == "detached"
        code, _ = await proxy.ended()
        assert code == 0


async def test_a_second_signal_does_not_wait_for_the_grace_period():
    async with started("60s") as proxy:
        stream = Stream(proxy.stub)
        await stream.attach("a")
        proxy.process.terminate()
        assert (await stream.event()).WhichOneof("kind") == "draining"
        proxy.process.terminate()
        code, logged = await proxy.ended()
        assert code == 0
        assert "second signal" in logged


async def test_logs_are_json_lines_without_payloads_or_metadata():
    async with started("1s") as proxy:
        await proxy.stub.Register(pb.RegisterRequest(identity="a", metadata_json=b'{"secret":"metadata"}'))
        await proxy.stub.Multicast(pb.MulticastRequest(payload=b"secret payload"))
        proxy.process.terminate()
        _, logged = await proxy.ended()
    lines = [json.loads(line) for line in logged.splitlines()]
    assert {"event", "level", "logger", "timestamp"} <= lines[0].keys()
    assert any(re.search(r"serving gRPC on 127\.0\.0\.1:\d+, (no HTTP|HTTP on 127)", line["event"]) for line in lines)
    assert "secret" not in logged
