"""Questions asked together, their answers, and who waits for them."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from prism_nats import protocol

Reply: TypeAlias = tuple[bytes, bytes | None]
"""Payload and header block of an answer."""


class Exchange:
    """What is common: how many questions are open, and one future for whoever waits until few enough are."""

    __slots__ = ("_failed", "_progress", "_waiter", "answered", "asked")

    def __init__(self) -> None:
        self.asked = 0
        self.answered = 0
        self._progress = 0
        self._failed: Exception | None = None
        self._waiter: tuple[int, asyncio.Future[None]] | None = None

    def take(self, index: bytes, data: bytes, headers: bytes | None) -> None:
        """Takes an answer to the question of that index."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """Gives up: whoever waits gets the error."""
        self._failed = error
        if self._waiter is not None and not self._waiter[1].done():
            self._waiter[1].set_result(None)

    async def wait(self, outstanding: int, timeout: float) -> bool:  # noqa: ASYNC109 - counts from the last answer
        """Waits until at most so many questions are open; False when nothing has come in for `timeout` seconds."""
        while self._failed is None and self.asked - self.answered > outstanding:
            before = self._progress
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiter = (self.asked - outstanding, future)
            try:
                async with asyncio.timeout(timeout):
                    await future
            except TimeoutError:
                if self._progress == before:
                    return False
            finally:
                self._waiter = None
        if self._failed is not None:
            raise self._failed
        return True

    def _settled(self) -> None:
        self.answered += 1
        if self._waiter is not None and self.answered >= self._waiter[0] and not self._waiter[1].done():
            self._waiter[1].set_result(None)


class OneEach(Exchange):
    """One answer to each question; None while there is none."""

    __slots__ = ("replies",)

    def __init__(self, questions: int) -> None:
        super().__init__()
        self.replies: list[Reply | None] = [None] * questions

    def take(self, index: bytes, data: bytes, headers: bytes | None) -> None:
        """Takes the answer to a question."""
        self._progress += 1
        at = int(index)
        if self.replies[at] is None:
            self.replies[at] = (data, headers)
            self._settled()


class SeveralEach(Exchange):
    """Several answers to each question, a status being the last."""

    __slots__ = ("replies",)

    def __init__(self, questions: int) -> None:
        super().__init__()
        self.replies: list[list[Reply]] = [[] for _ in range(questions)]

    def take(self, index: bytes, data: bytes, headers: bytes | None) -> None:
        """Takes one of the answers to a question."""
        self._progress += 1
        self.replies[int(index)].append((data, headers))
        if protocol.status(headers):
            self._settled()


class Unheard(Exchange):
    """Messages that are answered only where nobody listens, and an end that comes back to us."""

    __slots__ = ("indexes",)

    END = b"end"

    def __init__(self) -> None:
        super().__init__()
        self.asked = 1
        self.indexes: set[int] = set()

    def take(self, index: bytes, data: bytes, headers: bytes | None) -> None:
        """Takes the server's word on one message, or the end."""
        del data
        self._progress += 1
        if index == self.END:
            self._settled()
        elif protocol.is_no_responders(headers):
            self.indexes.add(int(index))
