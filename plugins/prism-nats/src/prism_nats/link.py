"""One connection, shared by the slots of a process, with thousands of questions in flight.

Answers come in on one subscription. The last two tokens of an answer's subject are the index of the question in its
exchange and the exchange's number. So an answer costs two look-ups, and an exchange one future.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Final

from nats import errors as driver

from prism_nats import protocol
from prism_nats.config import NatsConfig
from prism_nats.connecting import connect
from prism_nats.errors import ConnectionLost, Denied, ReplyTimeout
from prism_nats.exchanges import Exchange, OneEach, Reply, SeveralEach, Unheard
from prism_nats.wire import Sink, Wire

WINDOW: Final = 1_024
"""Questions of one call in flight. JetStream refuses what a stream has waiting beyond 10,000."""
PIECE: Final = 128
"""Questions written at a time."""
PIECE_BYTES: Final = 1024 * 1024
"""Bytes written at a time."""
_KNOWN_INDEXES: Final = 32_768
"""Indexes whose text is kept."""
_DENIED: Final = re.compile(r'Permissions Violation for (Subscription|Publish) to "([^"]*)"').match
_CLOSING: Final = 2.0
"""Seconds that closing may take."""


class Link:
    """A connection with its exchanges. Slots take one by `shared.py`."""

    def __init__(self, config: NatsConfig) -> None:
        self.config = config
        self.on_back: set[Callable[[], None]] = set()
        """Called when the connection is back after it was lost, and all subscriptions with it."""
        self.on_lost: set[Callable[[], None]] = set()
        """Called when the connection is lost."""
        self._wire: Wire | None = None
        self._inbox = f"_INBOX.{secrets.token_hex(11)}".encode()
        self._exchanges: dict[bytes, Exchange] = {}
        self._numbers = count()
        self._known_indexes: list[bytes] = []
        self._denied_subscriptions: dict[str, Denied] = {}

    async def open(self) -> None:
        """Connects; see `connecting.connect` for what it raises."""
        self._wire = await connect(self.config, self._lost, self._back)
        self._wire.on_denial = self._denied
        answers = f"{self._inbox.decode()}.>"
        await self.listen(answers, self._answer)
        try:
            await self.barrier()
        except ReplyTimeout:
            self.check_listening([answers])  # then the answers can't come
            raise

    async def close(self) -> None:
        """Ends the connection. Harmless when repeated."""
        wire, self._wire = self._wire, None
        self._give_up(ConnectionLost("the connection to NATS was closed"))
        if wire is not None:
            with suppress(OSError, TimeoutError, driver.Error):  # a connection that is broken anyway
                async with asyncio.timeout(_CLOSING):
                    await wire.close()

    @property
    def wire(self) -> Wire:
        """The connection.

        Raises:
            ConnectionLost: it was closed.
        """
        if self._wire is None:
            raise ConnectionLost("the connection to NATS is closed")
        return self._wire

    @property
    def is_over(self) -> bool:
        """Whether there will never be a connection again: closed, or given up after the attempts that are allowed."""
        return self._wire is None or self._wire.is_closed

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self._wire is not None and self._wire.is_connected

    @property
    def max_payload(self) -> int:
        """Bytes that headers and payload of one message may have, as the server says."""
        return self.wire.max_payload

    async def ask(
        self,
        subjects: Sequence[bytes],
        headers: Sequence[bytes],
        bodies: Sequence[bytes],
        window: int = WINDOW,
        patience: float | None = None,
    ) -> list[Reply | None]:
        """Sends questions and takes one answer to each; None where none came in time.

        Args:
            subjects: where the questions go.
            headers: a block for each; an empty one is none.
            bodies: one for each.
            window: how many questions are open at a time.
            patience: seconds without any answer until the rest is given up; None is the configuration's `timeout`.

        Raises:
            ConnectionLost: some questions may have been taken.
        """
        total = len(subjects)
        seconds = self.config.timeout if patience is None else patience
        exchange = OneEach(subjects)
        with self._exchange(exchange) as name:
            start = 0
            while start < total:
                pieces: list[bytes] = []
                size = 0
                while start < total and len(pieces) < PIECE and size < PIECE_BYTES:
                    header, body, to = headers[start], bodies[start], self._reply(start, name)
                    if header:
                        pieces.append(protocol.hpub(subjects[start], to, header, body))
                    else:
                        pieces.append(protocol.pub(subjects[start], to, body))
                    size += len(body)
                    start += 1
                await self._send(pieces)
                exchange.asked = start
                if not await exchange.wait(max(0, window - PIECE) if start < total else 0, seconds):
                    break
        return exchange.replies

    async def collect(
        self, subjects: Sequence[bytes], bodies: Sequence[bytes], patience: float, window: int = PIECE
    ) -> list[list[Reply]]:
        """Sends questions and takes several answers to each, the last of which is a status.

        `patience` is how many seconds may pass without any answer.

        Raises:
            ConnectionLost, ReplyTimeout: not all have been answered.
        """
        total = len(subjects)
        exchange = SeveralEach(subjects)
        piece = max(1, window // 2)
        with self._exchange(exchange) as name:
            for start in range(0, total, piece):
                end = min(start + piece, total)
                await self._send(
                    [protocol.pub(subjects[i], self._reply(i, name), bodies[i]) for i in range(start, end)]
                )
                exchange.asked = end
                if not await exchange.wait(piece if end < total else 0, patience):
                    raise self._timeout(patience)
        return exchange.replies

    async def request(self, subject: str, body: bytes, headers: bytes = b"", patience: float | None = None) -> Reply:
        """Asks one question.

        Raises:
            ConnectionLost, ReplyTimeout: there is no answer.
        """
        (reply,) = await self.ask([subject.encode()], [headers], [body], patience=patience)
        if reply is None:
            raise self._timeout(patience or self.config.timeout)
        return reply

    async def deliver(self, prefix: bytes, subjects: Sequence[bytes], headers: bytes, payload: bytes) -> Unheard:
        """Publishes one payload to many subjects that begin alike; says which nobody hears, or aren't permitted.

        The server answers a message without a listener before it takes the next line of this connection. So a
        message to ourselves after the last one comes back when all such answers have.

        Raises:
            ConnectionLost, ReplyTimeout: the server may have some of the messages and not others.
        """
        exchange = Unheard(prefix, subjects)
        step = max(1, min(4_096, PIECE_BYTES // (len(headers) + len(payload) + 1)))
        with self._exchange(exchange) as name:
            same = protocol.SameToMany(prefix, name, headers, payload)
            for start in range(0, len(subjects), step):
                end = min(start + step, len(subjects))
                await self._send([same.lines(subjects[start:end], self._indexes(start, end))])
            exchange.end = b"%b.%b.%b" % (self._inbox, Unheard.END, name)
            await self._send([protocol.pub(exchange.end, b"", b"")])
            if not await exchange.wait(0, self.config.timeout):
                raise self._timeout(self.config.timeout)
        return exchange

    async def barrier(self) -> None:
        """Returns when the server has taken everything sent so far, subscriptions included."""
        await self.wire.written()
        await self.deliver(b"", [], b"", b"")

    async def listen(self, subject: str, sink: Sink) -> int:
        """Subscribes, and returns the subscription's id; await `barrier` before relying on it."""
        self._denied_subscriptions.pop(subject, None)
        return await self.wire.listen(subject, sink)

    def check_listening(self, subjects: Iterable[str]) -> None:
        """To be called after `barrier`.

        Raises:
            Denied: one of the subjects may not be listened to.
        """
        for subject in subjects:
            denied = self._denied_subscriptions.pop(subject, None)
            if denied is not None:
                raise denied

    async def leave(self, sid: int) -> None:
        """Ends a subscription."""
        if self._wire is not None:
            await self._wire.leave(sid)

    @contextmanager
    def _exchange(self, exchange: Exchange) -> Iterator[bytes]:
        """Registers an exchange; yields its number, with which the subjects of its answers end."""
        name = b"%d" % next(self._numbers)
        self._exchanges[name] = exchange
        try:
            yield name
        finally:
            del self._exchanges[name]

    def _reply(self, index: int, name: bytes) -> bytes:
        """Where the answer to a question comes in."""
        return b"%b.%d.%b" % (self._inbox, index, name)

    def _indexes(self, start: int, end: int) -> Sequence[bytes]:
        """What stands between a subject and an exchange's number, of some indexes; made once."""
        known = self._known_indexes
        if end > _KNOWN_INDEXES:
            return [b" %b.%d" % (self._inbox, i) for i in range(start, end)]
        if end > len(known):
            known += [b" %b.%d" % (self._inbox, i) for i in range(len(known), end)]
        return known[start:end]

    async def _send(self, pieces: Sequence[bytes]) -> None:
        wire = self.wire
        wire.send(pieces)
        await wire.drained()

    def _answer(self, subject: bytes, data: bytes, headers: bytes | None) -> None:
        index, _, name = subject[len(self._inbox) + 1 :].partition(b".")
        exchange = self._exchanges.get(name)
        if exchange is None:
            return
        with suppress(ValueError, IndexError):  # somebody else wrote to our inbox
            exchange.take(index, data, headers)

    def _give_up(self, error: Exception) -> None:
        for exchange in self._exchanges.values():
            exchange.fail(error)

    def _denied(self, text: str) -> None:
        """Tells whoever wanted what isn't permitted; all that is under way, where the server doesn't say what."""
        needs = (
            f"publish and subscribe on {self.config.subject_prefix}.> and _INBOX.>, for durability publish on $JS.API.>"
        )
        error = Denied(f"{text}; the user needs {needs}")
        found = _DENIED(text)
        if found is None:
            self._give_up(error)
        elif found[1] == "Subscription":
            if len(self._denied_subscriptions) < _KNOWN_INDEXES:
                self._denied_subscriptions[found[2]] = error
        else:
            for exchange in self._exchanges.values():
                exchange.deny(found[2].encode(), error)

    async def _lost(self) -> None:
        self._give_up(ConnectionLost("the connection to NATS was lost"))
        for callback in tuple(self.on_lost):
            callback()

    async def _back(self) -> None:
        for callback in tuple(self.on_back):
            callback()

    def _timeout(self, seconds: float) -> ReplyTimeout:
        return ReplyTimeout(f"no answer from NATS for {seconds:g} s")
