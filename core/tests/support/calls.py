"""What became of gRPC calls and streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from prism.model.errors import PrismError
from prism.v1 import attach_pb2 as pb
from prism.wire.rpc import from_rpc_error

PATIENCE = 30.0
"""Seconds; generous, because other tests share the machine."""


async def refused(call: Awaitable[Any]) -> tuple[grpc.StatusCode, PrismError]:
    """The status and the error that a call ended with."""
    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.wait_for(call, PATIENCE)
    return caught.value.code(), from_rpc_error(caught.value)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what another task is about to do; fails after PATIENCE."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event of its own
            await asyncio.sleep(0.005)


class Stream:
    """An Attach stream from the client's side, without the client."""

    def __init__(self, stub: Any) -> None:
        self.call = stub.Attach()
        self._waiting: list[pb.AttachEvent] = []

    async def send(self, **fields: Any) -> None:
        """Sends one frame."""
        await self.call.write(pb.AttachRequest(**fields))

    async def attach(self, identity: str, metadata_json: bytes | None = b"{}", **fields: Any) -> pb.AttachEvent:
        """Attaches one identity; the event that answers."""
        item = pb.AttachIdentity(identity=identity, metadata_json=metadata_json, **fields)
        await self.send(attach=[item])
        return await self.event()

    async def event(self) -> pb.AttachEvent:
        """The next event."""
        while not self._waiting:
            frame = await asyncio.wait_for(self.call.read(), PATIENCE)
            assert frame is not grpc.aio.EOF, "the stream has ended"
            self._waiting.extend(frame.events)
        return self._waiting.pop(0)

    async def ended(self) -> grpc.StatusCode:
        """The status of a stream that ends without a further event."""
        assert await asyncio.wait_for(self.call.read(), PATIENCE) is grpc.aio.EOF
        return await self.call.code()
