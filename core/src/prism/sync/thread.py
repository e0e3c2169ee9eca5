"""The event loop that a blocking client runs in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from prism.client.client import Client

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

FAREWELL = 5.0
"""Seconds that a client which was left open gets to leave its inboxes when the process ends."""


class LoopThread:
    """Starts at the first call. Ends with `close`, with the last reference to it, or with the process."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._end: weakref.finalize[[Client, asyncio.AbstractEventLoop, asyncio.Event, threading.Thread], Any] | None
        self._end = None
        self._closed = False

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine in the thread and waits for what comes of it. An interrupt cancels it."""
        try:
            loop = self._started()
            if threading.current_thread() is self._thread:
                raise RuntimeError(  # noqa: TRY301 - the coroutine has to be closed here, too
                    "a blocking call from the client's own thread would wait for itself; "
                    "let on_event only take note, and act in another thread"
                )
        except BaseException:
            work.close()
            raise
        future: Future[Result] = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def soon(self, function: Callable[[], object]) -> None:
        """Calls a function in the thread without waiting for it. Nothing happens after `close`."""
        with self._lock:
            if self._loop is not None and not self._closed:
                self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """Closes the client and ends the thread. Idempotent."""
        with self._lock:
            if self._closed or self._end is None:
                self._closed = True
                return
        try:
            self.run(self._client.aclose())
        finally:
            with self._lock:
                self._closed = True
            self._end()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise RuntimeError("the client is closed; make another one")
            if self._loop is not None:
                return self._loop
            ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
            self._thread = threading.Thread(target=_live, args=(ready,), name="prism client", daemon=True)
            self._thread.start()
            self._loop, stop = ready.result()
            self._end = weakref.finalize(self, _say_farewell, self._client, self._loop, stop, self._thread)
            return self._loop


def _live(ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    async def until_stopped() -> None:
        stop = asyncio.Event()
        ready.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()

    asyncio.run(until_stopped())


def _say_farewell(
    client: Client, loop: asyncio.AbstractEventLoop, stop: asyncio.Event, thread: threading.Thread
) -> None:
    """Also runs when a client was left open, at the end of the process or when nothing refers to it any more."""
    closing = asyncio.run_coroutine_threadsafe(_close(client, stop), loop)
    if threading.current_thread() is thread:
        return
    try:
        closing.result(FAREWELL)
    except TimeoutError:
        logger.warning("the proxy did not answer: what was attached stays registered until its TTL")
        loop.call_soon_threadsafe(stop.set)
    thread.join(FAREWELL)


async def _close(client: Client, stop: asyncio.Event) -> None:
    try:
        await client.aclose()
    finally:
        stop.set()
