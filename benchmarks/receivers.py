"""Raw readers of many streams, in a process of their own: the same few lines for the proxy and for the bare server.

They count bytes instead of decoding, so that what is compared is the servers. All frames of a run are alike.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc

from benchmarks.workers import Answer, Handler, serve_commands

STREAMS_PER_CHANNEL = 1_250
ATTACHING_AT_ONCE = 250
END: Any = vars(grpc.aio)["EOF"]


class Receivers:
    """Streams that were opened and what came in on them."""

    def __init__(self) -> None:
        self.channels: list[Any] = []
        self.calls: list[Any] = []
        self.readers: list[asyncio.Task[None]] = []
        self.received = 0
        self.wanted = 0
        self.complete = asyncio.Event()

    async def open(self, address: str, method: str, first_frames: list[str]) -> Answer:
        """Opens a stream for each first frame (hexadecimal) and waits for the answer to each; the seconds it took."""
        start = time.monotonic()
        for begin in range(0, len(first_frames), STREAMS_PER_CHANNEL):
            options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 8 << 20)]
            channel: Any = grpc.aio.insecure_channel(address, options=options)
            self.channels.append(channel)
            batch = first_frames[begin : begin + STREAMS_PER_CHANNEL]
            for at in range(0, len(batch), ATTACHING_AT_ONCE):
                frames = batch[at : at + ATTACHING_AT_ONCE]
                self.calls += await asyncio.gather(*(self.attach(channel, method, frame) for frame in frames))
        self.readers = [asyncio.create_task(self.read(call)) for call in self.calls]
        return {"seconds": time.monotonic() - start, "streams": len(self.calls)}

    async def attach(self, channel: Any, method: str, frame: str) -> Any:
        """Opens one stream and returns it with its first answer read."""
        call = channel.stream_stream(method)()
        await call.write(bytes.fromhex(frame))
        if await call.read() is END:
            raise RuntimeError(f"the server ended the stream: {await call.code()}: {await call.details()}")
        return call

    async def read(self, call: Any) -> None:
        """Reads one stream until it ends."""
        while (frame := await call.read()) is not END:
            self.received += len(frame)
            if self.received >= self.wanted:
                self.complete.set()

    async def expect(self, total: int) -> Answer:
        """Says how many bytes are to come from now on, over all streams."""
        self.received = 0
        self.wanted = total
        self.complete.clear()
        return {}

    async def wait(self, seconds: float) -> Answer:
        """Waits until they have come; the moment and the number of bytes."""
        try:
            async with asyncio.timeout(seconds):
                await self.complete.wait()
        except TimeoutError:
            raise RuntimeError(f"{self.received:,} bytes of {self.wanted:,} came within {seconds} s") from None
        return {"end": time.monotonic(), "bytes": self.received}

    async def close(self) -> Answer:
        """Ends all streams."""
        for call in self.calls:
            call.cancel()
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)
        for channel in self.channels:
            await channel.close()
        self.__init__()  # type: ignore[misc]
        return {}


async def main() -> None:
    """Serves until the input ends."""
    receivers = Receivers()
    commands: dict[str, Handler] = {
        "open": receivers.open,
        "expect": receivers.expect,
        "wait": receivers.wait,
        "close": receivers.close,
    }
    await serve_commands(commands)
    await receivers.close()


if __name__ == "__main__":
    asyncio.run(main())
