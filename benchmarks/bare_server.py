"""The bare counterpart of the proxy: a grpc.aio server that does nothing but move the same bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from prism.server.garbage import relax_collector

from benchmarks.documents import pages
from benchmarks.workers import Answer, serve_commands

OPTIONS = [
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.so_reuseport", 0),
    ("grpc.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 40_000),
]


class BareServer:
    """Unary calls that do nothing, a stream of ready-made pages, and streams that get what `send` is told to."""

    def __init__(self) -> None:
        self.streams: dict[int, asyncio.Queue[bytes]] = {}
        self.pages: list[bytes] = []
        self.unwritten = 0
        self.all_written = asyncio.Event()

    async def nothing(self, request: bytes, _context: Any) -> bytes:
        """Answers with the request."""
        return request

    async def read_pages(self, _request: bytes, _context: Any) -> AsyncIterator[bytes]:
        """Streams the prepared pages."""
        for page in self.pages:
            yield page

    async def attach(self, _requests: AsyncIterator[bytes], context: Any) -> None:
        """Holds a stream, answers its first frame, and writes what comes for it."""
        first = await context.read()
        waiting: asyncio.Queue[bytes] = asyncio.Queue()
        number = id(context)
        self.streams[number] = waiting
        try:
            await context.write(first)
            while True:
                await context.write(await waiting.get())
                self.unwritten -= 1
                if not self.unwritten:
                    self.all_written.set()
        finally:
            del self.streams[number]

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Finds the handler of a method."""
        match details.method:
            case "/bare/Nothing":
                return grpc.unary_unary_rpc_method_handler(self.nothing)
            case "/bare/Pages":
                return grpc.unary_stream_rpc_method_handler(self.read_pages)
            case "/bare/Attach":
                return grpc.stream_stream_rpc_method_handler(self.attach)
        return None

    async def send(self, size: int, times: int) -> Answer:
        """Writes a message of `size` bytes to every stream, `times` times, each time waiting until all are written,
        as a multicast waits for its receipts. The monotonic moment it began."""
        start = time.monotonic()
        for _ in range(times):
            frame = bytes(size)
            self.unwritten = len(self.streams)
            self.all_written.clear()
            for waiting in self.streams.values():
                waiting.put_nowait(frame)
            await self.all_written.wait()
        return {"start": start, "streams": len(self.streams)}

    async def prepare(self, count: int, page_size: int) -> Answer:
        """Makes the pages that `Pages` streams."""
        self.pages = [page.SerializeToString() for page in pages(count, page_size)]
        return {"bytes": sum(map(len, self.pages))}


async def main() -> None:
    """Serves on a free port until the input ends."""
    bare = BareServer()
    handler = type("Handler", (grpc.GenericRpcHandler,), {"service": lambda _, details: bare.service(details)})()
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    relax_collector()  # as the proxy does

    async def address() -> Answer:
        return {"address": f"127.0.0.1:{port}"}

    await serve_commands({"address": address, "send": bare.send, "prepare": bare.prepare})
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(main())
