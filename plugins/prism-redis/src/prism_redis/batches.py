"""Batches of items through a script: chunked so that no call holds the server up, sent ahead, failing by chunk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from prism.slots.context import Failure

from prism_redis.errors import ReplyError, classify, failure
from prism_redis.keys import Partition
from prism_redis.scripts import Script, run
from prism_redis.servers import Servers
from prism_redis.wire import Arg, Reply

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

CHUNKS_AHEAD: Final = 8
"""Chunks that go out together; the next are prepared while the server works on them."""


class Batch:
    """One batch on its way: what came back of each chunk, an exception where it failed."""

    def __init__(self, servers: Servers, code: Script, action: str, *, harmless: bool) -> None:
        self._servers = servers
        self._code = code
        self._action = action
        self._harmless = harmless
        self._failed: list[Exception] = []
        self._chunks = 0

    async def send(self, where: Partition, calls: Sequence[Sequence[Arg]]) -> list[Reply | Exception]:
        """Runs the script for each chunk; the replies, or what went wrong instead."""
        self._chunks += len(calls)
        try:
            replies: list[Reply | Exception] = await run(
                self._servers, where, self._code, calls, harmless=self._harmless
            )
        except Exception as error:
            if classify(error) is None:
                raise
            replies = [error] * len(calls)
        self._failed += [reply for reply in replies if isinstance(reply, Exception)]
        return replies

    def outcome(self, error: Exception) -> Failure:
        """The outcome of the items of a chunk that failed."""
        return failure(error, self._action)

    def finish(self) -> None:
        """Raises the first error where every chunk failed: then the call as a whole did."""
        if self._failed and len(self._failed) == self._chunks:
            raise self._failed[0]


def chunked(items: Sequence[int], size: int) -> list[Sequence[int]]:
    """Positions in pieces of at most `size`."""
    return [items[i : i + size] for i in range(0, len(items), size)]


async def through(
    batch: Batch,
    where: Partition,
    chunks: Sequence[Sequence[int]],
    arguments: Callable[[Sequence[int]], Sequence[Arg]],
    *,
    in_order: bool,
) -> list[tuple[Sequence[int], Reply | Exception]]:
    """Sends chunks of positions, several at a time unless they must act one after another.

    Args:
        batch: what they belong to.
        where: the partition that all items are in.
        chunks: positions of the items of each call.
        arguments: makes the script's arguments for a chunk.
        in_order: true where an item names the same thing as one of an earlier chunk.
    """
    step = 1 if in_order else CHUNKS_AHEAD
    waves = [chunks[i : i + step] for i in range(0, len(chunks), step)]
    if in_order or len(waves) == 1:
        answered = [await batch.send(where, [arguments(chunk) for chunk in wave]) for wave in waves]
    else:
        async with asyncio.TaskGroup() as tasks:
            sent = []
            for wave in waves:
                calls = [arguments(chunk) for chunk in wave]
                sent.append(tasks.create_task(batch.send(where, calls)))
                await asyncio.sleep(0)  # lets it go out before the next is prepared
        answered = [task.result() for task in sent]
    flat = [reply for replies in answered for reply in replies]
    return list(zip(chunks, flat, strict=True))


def repeats(names: Sequence[str]) -> bool:
    """Whether any name is there twice."""
    return len(set(names)) < len(names)


def is_error(reply: object, code: str) -> bool:
    """Whether a reply is the server's error of that code."""
    return isinstance(reply, ReplyError) and reply.code == code
