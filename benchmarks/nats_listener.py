"""A native listener in a process of its own: subscribes, and throws away what comes."""

from __future__ import annotations

import asyncio

from benchmarks.workers import Answer, serve_commands

_LOGIN = b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB %b 1\r\nPING\r\n'


async def main() -> None:
    """Listens until the input ends."""
    reading: list[asyncio.Task[None]] = []

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 20):
            pass
        writer.close()

    async def listen(port: int, subject: str) -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        writer.write(_LOGIN % subject.encode())
        await reader.readuntil(b"PONG\r\n")
        reading.append(asyncio.create_task(read(reader, writer)))
        return {}

    await serve_commands({"listen": listen})
    for task in reading:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
