"""nats-py's client with a short way in and out: everything of it that isn't public is in this module.

nats-py connects, logs in, encrypts, finds servers and reconnects. What it does for each message (a queue, a parsed
header, an object) costs more than the message, so ours are written to the transport in one piece, and what comes in
on a subscription of ours goes to a function as the bytes that came.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from nats import errors
from nats.aio.client import Client

from prism_nats.errors import CertificateWanted, ConnectionLost
from prism_nats.parser import FastParser

_FAILURES = 100
"""Failures kept."""
Sink: TypeAlias = Callable[[bytes, bytes, bytes | None], None]
"""Takes a message: its subject, payload, and headers as they came. Must not block or raise."""


class Wire(Client):
    """A client whose subscriptions may have a sink."""

    def __init__(self) -> None:
        super().__init__()
        self.sinks: dict[int, Sink] = {}
        """By subscription id."""
        self.on_denial: Callable[[str], None] = _ignore
        """Told of what we lack the permission for."""
        self.must_encrypt = False
        """Whether a server that doesn't encrypt is refused, before it hears anything of ours."""
        self.asks_for_certificate = False
        """Whether the server that we are connecting to wants to see a certificate of ours."""
        self.failures: list[tuple[str, Exception]] = []
        """Server and failure of attempts to connect that failed."""
        self._ps = FastParser(self)

    async def hand_over(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any) -> None:
        """Gives nats-py a message for a subscription without a sink."""
        await self._process_msg(sid, subject, reply, data, headers)

    async def _connect_to_server(self, s: Any) -> None:
        self.asks_for_certificate = False
        with self._noted(s):
            await super()._connect_to_server(s)

    async def _process_connect_init(self) -> None:
        with self._noted(self._current_server):
            try:
                await super()._process_connect_init()
            finally:
                if not self.is_connected and self._transport is not None:
                    # nats-py would wait for its end, which never comes after half a handshake.
                    self._transport.close()  # type: ignore[no-untyped-call]
                    self._transport = None
            if not self.is_connected:  # nats-py takes an end without a word for a beginning
                raise errors.UnexpectedEOF

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and self.must_encrypt:
            encrypts = info.get("tls_required") or self.options["tls_handshake_first"]
            if not encrypts:
                raise errors.SecureConnWantedError
        self.asks_for_certificate = bool(info.get("tls_verify"))
        await super()._process_info(info, initial_connection)

    @contextmanager
    def _noted(self, server: Any) -> Iterator[None]:
        """Remembers how an attempt failed: nats-py's own report may be of what came after."""
        try:
            yield
        except (OSError, TimeoutError, errors.Error) as error:
            name = f"{server.uri.hostname}:{server.uri.port}"
            failure: Exception = error
            if self.asks_for_certificate and isinstance(error, (ConnectionError, ssl.SSLError, errors.UnexpectedEOF)):
                failure = CertificateWanted()  # a server that doesn't like ours ends the connection without a word
                failure.__cause__ = error
            self.failures.append((name, failure))
            del self.failures[:-_FAILURES]
            raise

    async def _process_err(self, err_msg: str) -> None:
        """Reconnects where nats-py would close for good: a server says so of a slow consumer, for example."""
        text = err_msg.strip("'").lower()
        if self.is_connecting:
            await super()._process_err(err_msg)
        elif text != "":
            await self._process_op_err(errors.Error(f"nats: {text}"))

    def refused(self, text: str) -> None:
        """Passes on that something isn't permitted."""
        self.on_denial(text)

    def send(self, pieces: Iterable[bytes]) -> None:
        """Hands protocol lines to the transport, now.

        Raises:
            ConnectionLost: there is no connection. Nothing is kept for when there is one again.
        """
        if not self.is_connected or self._transport is None:
            raise ConnectionLost("not connected to NATS now")
        self._transport.write(b"".join(pieces))

    async def drained(self) -> None:
        """Waits until the transport has room again."""
        transport = self._transport
        if transport is None or not self.is_connected:
            raise ConnectionLost("the connection to NATS was lost")
        try:
            await transport.drain()  # type: ignore[no-untyped-call]
        except OSError as error:
            raise ConnectionLost(f"the connection to NATS was lost: {error}") from error

    async def listen(self, subject: str, sink: Sink) -> int:
        """Subscribes; the subscription is with the server before anything that `send` writes later.

        Returns:
            The subscription's id, for `leave`. It outlasts reconnects.
        """
        subscription = await self.subscribe(subject)
        self.sinks[subscription._id] = sink
        return subscription._id

    async def written(self) -> None:
        """Waits until what nats-py keeps to write, such as subscriptions, has been handed to the transport."""
        await self._flush_pending(force_flush=True)

    async def leave(self, sid: int) -> None:
        """Ends a subscription."""
        self.sinks.pop(sid, None)
        subscription = self._subs.get(sid)
        if subscription is not None and not self.is_closed:
            await subscription.unsubscribe()


def _ignore(_text: str) -> None:
    """Before anybody listens."""
