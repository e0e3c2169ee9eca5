"""Questions asked together, their answers, and who waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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

    def deny(self, subject: bytes, error: Exception) -> None:
        """Takes the server's word that nothing may be published to a subject; nothing where none of ours is it."""
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

    __slots__ = ("_subjects", "replies")

    def __init__(self, subjects: Sequence[bytes]) -> None:
        super().__init__()
        self._subjects = subjects
        self.replies: list[Reply | None] = [None] * len(subjects)

    def deny(self, subject: bytes, error: Exception) -> None:
        """Gives up where one of the questions went to the subject."""
        if subject in self._subjects:
            self.fail(error)

    def take(self, index: bytes, data: bytes, headers: bytes | None) -> None:
        """Takes the answer to a question."""
        self._progress += 1
        at = int(index)
        if self.replies[at] is None:
            self.replies[at] = (data, headers)
            self._settled()


class SeveralEach(Exchange):
    """Several answers to each question, a status being the last."""

    __slots__ = ("_subjects", "replies")

    def __init__(self, subjects: Sequence[bytes]) -> None:
        super().__init__()
        self._subjects = subjects
        self.replies: list[list[Reply]] = [[] for _ in subjects]

    def deny(self, subject: bytes, error: Exception) -> None:
        """Gives up where one of the questions went to the subject."""
        if subject in self._subjects:
            self.fail(error)

    def take(self, index: bytes, data: bytes, headers: bytes | None) -> None:
        """Takes one of the answers to a question."""
        self._progress += 1
        self.replies[int(index)].append((data, headers))
        if protocol.status(headers):
            self._settled()


class Unheard(Exchange):
    """Messages that are answered only where nobody listens, and an end that comes back to us."""

    __slots__ = ("_indexes", "_prefix", "_subjects", "denied", "end", "indexes")

    END = b"end"

    def __init__(self, prefix: bytes, subjects: Sequence[bytes]) -> None:
        super().__init__()
        self.asked = 1
        self.indexes: set[int] = set()
        self.denied: dict[int, Exception] = {}
        """Those that the server doesn't permit."""
        self.end = b""
        """The subject of the end."""
        self._prefix = prefix
        self._subjects = subjects
        self._indexes: dict[bytes, list[int]] | None = None

    def deny(self, subject: bytes, error: Exception) -> None:
        """Notes which messages aren't permitted; without an end, all is given up."""
        if subject == self.end:
            self.fail(error)
        if not subject.startswith(self._prefix):
            return
        if self._indexes is None:
            self._indexes = {}
            for i, each in enumerate(self._subjects):
                self._indexes.setdefault(each, []).append(i)
        for i in self._indexes.get(subject[len(self._prefix) :], ()):
            self.denied[i] = error

    def take(self, index: bytes, data: bytes, headers: bytes | None) -> None:
        """Takes the server's word on one message, or the end."""
        del data
        self._progress += 1
        if index == self.END:
            self._settled()
        elif protocol.is_no_responders(headers):
            self.indexes.add(int(index))
