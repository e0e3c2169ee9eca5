"""Puts one message into many queues: one acknowledged publish for each, all in flight together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from prism.model.errors import LimitExceeded
from prism.model.message import Message
from prism.model.time import Micros
from prism.slots.context import Failure
from prism.slots.durability import Enqueued, EnqueueOutcome, NoQueue

from prism_nats import envelope, errors
from prism_nats.answers import Ack, Outcome, is_busy
from prism_nats.attempts import Attempts
from prism_nats.controls import Control, Controls, Write, encode, is_changed
from prism_nats.errors import QUEUE_FULL, Rejected
from prism_nats.ledger import Ledger
from prism_nats.ledgers import Ledgers
from prism_nats.rooms import Rooms
from prism_nats.streams import Streams
from prism_nats.subjects import token

_HEADER: Final = (
    b"NATS/1.0\r\nNats-Msg-Id: %d:%b%b\r\nNats-Expected-Last-Subject-Sequence: %d\r\n"
    b"Nats-Expected-Last-Subject-Sequence-Subject: %b.c\r\n\r\n"
)
ENQUEUED: Final = Enqueued()
_NO_QUEUE: Final = NoQueue()


class Enqueueing:
    """One call of `enqueue`, and what it takes to finish it."""

    def __init__(self, streams: Streams, controls: Controls, ledgers: Ledgers, rooms: Rooms, message: Message) -> None:
        self._streams = streams
        self._controls = controls
        self._ledgers = ledgers
        self._rooms = rooms
        self._message = message
        self._suffixes: dict[str, bytes] = {}
        self._outcomes: dict[str, EnqueueOutcome] = {}
        self._again: list[str] = []

    async def run(self, queues: Sequence[str], ttl: Micros | None) -> dict[str, EnqueueOutcome]:
        """Appends the message to each queue once; an outcome for each."""
        body = envelope.pack(self._message, ttl)
        todo = list(dict.fromkeys(queues))
        async for _ in Attempts(self._streams.timeout):
            sent, outcomes = await self._send(todo, body)
            self._again = []
            repeats: list[tuple[str, Control, int]] = []
            full: list[str] = []
            for (queue, control), outcome in zip(sent, outcomes, strict=True):
                if isinstance(outcome, Ack) and not outcome.duplicate:
                    self._outcomes[queue] = ENQUEUED
                elif isinstance(outcome, Ack):
                    repeats.append((queue, control, outcome.seq))
                else:
                    self._failed(queue, outcome, full)
            if repeats:
                await self._repeated(repeats)
            if full:
                await self._rooms.make(full)
                self._again += full
            todo = self._again
            if not todo:
                break
        return self._outcomes

    async def _send(self, queues: list[str], body: bytes) -> tuple[list[tuple[str, Control]], list[Outcome]]:
        known = self._controls.known
        unknown = [queue for queue in queues if queue not in known]
        if unknown:
            await self._controls.read(unknown)
        sent: list[tuple[str, Control]] = []
        subjects: list[bytes] = []
        headers: list[bytes] = []
        name, limit = self._message.id.encode(), self._streams.link.max_payload
        mark = self._streams.subjects.mark
        for queue in queues:
            control = known.get(queue)
            if control is None:
                self._outcomes[queue] = _NO_QUEUE
                continue
            base = f"{mark}.{token(queue)}".encode()
            header = _HEADER % (control.start, name, self._suffixes.get(queue, b""), control.seq, base)
            if len(header) + len(body) > limit:
                self._outcomes[queue] = self._too_large(len(header) + len(body))
                continue
            sent.append((queue, control))
            subjects.append(base + b".m")
            headers.append(header)
        return sent, await self._streams.publish(subjects, headers, [body] * len(sent))

    def _failed(self, queue: str, outcome: Rejected | errors.ReplyTimeout, full: list[str]) -> None:
        self._outcomes[queue] = errors.failure(outcome, "enqueue a message")
        if is_changed(outcome):
            self._controls.forget([queue])
            self._again.append(queue)
        elif is_busy(outcome):
            self._again.append(queue)
        elif isinstance(outcome, Rejected) and outcome.code == QUEUE_FULL and "per subject" in outcome.text:
            full.append(queue)

    async def _repeated(self, repeats: list[tuple[str, Control, int]]) -> None:
        """Sees to messages that the server has had before.

        Where one still is, the control record is written anew, so that a removal whose mark was set before leaves it
        there. Where such a removal took it, it is stored once more, under an id of its own.
        """
        queues = [queue for queue, _, _ in repeats]
        controls = await self._controls.read(queues)
        ledgers = {queue: Ledger.decode(state.data) for queue, state in (await self._ledgers.read(queues)).items()}
        writes: list[Write] = []
        for queue, used, seq in repeats:
            control = controls.get(queue)
            if control is None or control.gone or control.start != used.start:
                self._again.append(queue)
            elif seq <= control.dropped and seq not in control.again:
                self._suffixes[queue] = self._suffixes.get(queue, b"") + b".%d" % seq
                self._again.append(queue)
            elif ledgers[queue].has(seq):
                again = {other: at for other, at in control.again.items() if ledgers[queue].has(other)}
                body = encode(control.start, control.dropped, {**again, seq: 0})
                writes.append(Write(queue, body, control.seq))
            else:
                self._outcomes[queue] = ENQUEUED
        for write, outcome in zip(writes, await self._controls.write(writes), strict=True):
            if isinstance(outcome, Ack):
                self._outcomes[write.queue] = ENQUEUED
            else:
                self._failed(write.queue, outcome, [])

    def _too_large(self, size: int) -> Failure:
        text = (
            f"payload: the message is stored as {size:,} bytes, over the NATS server's max_payload of "
            f"{self._streams.link.max_payload:,}; send less, or raise max_payload"
        )
        return Failure(LimitExceeded(text))
