"""The answer to `enumerate`: a list, a stream of identities, or pages, whichever it is used as."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prism.client import arguments
from prism.client.identity import Identity, IdentityPage, views

if TYPE_CHECKING:
    from prism.client.transport import Transport
    from prism.model.operations import EnumerateQuery


class Enumeration(Coroutine[Any, Any, list[Identity]]):
    """The identities that match a query; nothing is asked before it is used, and each use asks anew.

        identities = await registry.enumerate(...)
        async for identity in registry.enumerate(...): ...
        async for page in registry.enumerate(...).pages(500): ...

    It is a coroutine as those of the other operations, so `asyncio.run`, `create_task` and `gather` take it.
    """

    __slots__ = ("_connect", "_query", "_running")

    def __init__(self, connect: Callable[[], Awaitable[Transport]], query: EnumerateQuery) -> None:
        self._connect = connect
        self._query = query
        self._running: Coroutine[Any, Any, list[Identity]] | None = None

    def __await__(self) -> Generator[Any, None, list[Identity]]:
        return self._all().__await__()

    def __aiter__(self) -> AsyncIterator[Identity]:
        return self._each()

    def send(self, value: Any) -> Any:
        """Part of being a coroutine: one task at a time may run it."""
        if self._running is None:
            self._running = self._all()
        return self._step(self._running.send, value)

    def throw(self, *error: Any) -> Any:
        """Part of being a coroutine."""
        if self._running is None:
            self._running = self._all()
        return self._step(self._running.throw, *error)

    def close(self) -> None:
        """Part of being a coroutine."""
        running, self._running = self._running, None
        if running is not None:
            running.close()

    def _step(self, resume: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return resume(*arguments)
        except BaseException:
            self._running = None  # it has ended, with StopIteration where it went well
            raise

    async def pages(self, size: int = 1_000) -> AsyncGenerator[IdentityPage]:
        """Page by page; each has a `next_cursor` that `enumerate(cursor=...)` takes, now or later.

        Args:
            size: identities per page, 1 to 5,000 unless the namespace says otherwise; a page is shorter where
                its metadata is large.
        """
        arguments.count(size, "size", 1, arguments.LARGEST_COUNT)
        transport = await self._connect()
        left = self._query.limit
        query = self._query
        while left is None or left > 0:
            wanted = size if left is None else min(size, left)
            identities: list[Identity] = []
            cursor = None
            async with aclosing(transport.pages(replace(query, limit=wanted, page_size=wanted))) as pages:
                async for page in pages:
                    identities += views(page.columns)
                    cursor = page.next_cursor
            if left is not None:
                left -= len(identities)
            if identities or query.cursor is None:
                yield IdentityPage(identities, cursor)
            if cursor is None:
                return
            query = replace(query, cursor=cursor, offset=0)

    async def _all(self) -> list[Identity]:
        transport = await self._connect()
        identities: list[Identity] = []
        async with aclosing(transport.pages(self._query)) as pages:
            async for page in pages:
                identities += views(page.columns)
        return identities

    async def _each(self) -> AsyncIterator[Identity]:
        transport = await self._connect()
        async with aclosing(transport.pages(self._query)) as pages:
            async for page in pages:
                for identity in views(page.columns):
                    yield identity
