"""Puts one message into many queues: one acknowledged publish for each, all in flight together."""

from __future__ import annotations

import asyncio
import secrets
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
from prism_nats.bodies import RELIABLE, Bodies
from prism_nats.controls import Control, Controls, Write, encode, is_changed
from prism_nats.envelope import Body
from prism_nats.errors import QUEUE_FULL, Rejected
from prism_nats.ledger import Ledger
from prism_nats.ledgers import Ledgers
from prism_nats.rooms import Rooms
from prism_nats.streams import Streams
from prism_nats.subjects import token

_TIED: Final = b"Nats-Expected-Last-Subject-Sequence: %d\r\nNats-Expected-Last-Subject-Sequence-Subject: %b.c\r\n\r\n"
_MESSAGE: Final = b"NATS/1.0\r\nNats-Msg-Id: %d:%b%b\r\n" + _TIED
_REFERENCE: Final = b"NATS/1.0\r\n" + _TIED
ENQUEUED: Final = Enqueued()
_NO_QUEUE: Final = NoQueue()


class Enqueueing:
    """One call of `enqueue`, and what it takes to finish it."""

    def __init__(
        self,
        streams: Streams,
        bodies: Bodies,
        controls: Controls,
        ledgers: Ledgers,
        rooms: Rooms,
        message: Message,
    ) -> None:
        self._streams = streams
        self._bodies = bodies
        self._controls = controls
        self._ledgers = ledgers
        self._rooms = rooms
        self._message = message
        self._suffixes: dict[str, bytes] = {}
        self._outcomes: dict[str, EnqueueOutcome] = {}
        self._again: list[str] = []
        self._repeats: dict[str, int] = {}
        """Sequences of the copies that the server had before."""

    async def run(self, queues: Sequence[str], ttl: Micros | None) -> dict[str, EnqueueOutcome]:
        """Appends the message to each queue once; an outcome for each."""
        todo = list(dict.fromkeys(queues))
        data = envelope.pack(self._message, ttl)
        if not self._bodies.wanted(len(data), len(todo)):
            await self._append(todo, data, None)
            return self._outcomes
        async for _ in Attempts(self._streams.timeout):
            todo = await self._append_apart(todo, ttl)
            if not todo:
                break
        return self._outcomes

    async def _append_apart(self, queues: list[str], ttl: Micros | None) -> list[str]:
        """Stores the payload once, and messages that say where it is.

        Returns the queues that were made anew meanwhile: for them all must be stored again.
        """
        started = asyncio.get_running_loop().time()
        body = Body(secrets.token_hex(8), self._bodies.parts(self._message.payload))
        referring = await self._refer(queues, body.name)
        if not referring:
            return []
        stored = await self._bodies.store(body, self._message.payload)
        if not isinstance(stored, Ack):
            failed = errors.failure(stored, "store a payload")
            self._outcomes |= dict.fromkeys(referring, failed)
            await self._bodies.release([(queue, body.name) for queue in referring])
            return []
        if asyncio.get_running_loop().time() - started > RELIABLE:
            return list(referring)
        again = await self._append(list(referring), envelope.pack_apart(self._message, ttl, body), referring)
        await self._bodies.release([(queue, body.name) for queue in await self._without(referring, body.name)])
        return again

    async def _refer(self, queues: list[str], name: str) -> dict[str, int]:
        """Writes a reference for each queue; the queues that have one, with the start of the queue it belongs to."""
        referring: dict[str, int] = {}
        todo = queues
        async for _ in Attempts(self._streams.timeout):
            controls = await self._known(todo)
            subjects = self._streams.subjects
            bases = [f"{subjects.mark}.{token(queue)}".encode() for queue in controls]
            headers = [_REFERENCE % (control.seq, base) for control, base in zip(controls.values(), bases, strict=True)]
            tails = f".b.{name}".encode()
            outcomes = await self._streams.publish(
                [base + tails for base in bases], headers, [b""] * len(bases), self._streams.patience
            )
            todo = []
            for (queue, control), outcome in zip(controls.items(), outcomes, strict=True):
                if isinstance(outcome, Ack):
                    referring[queue] = control.start
                    continue
                self._outcomes[queue] = errors.failure(outcome, "refer to a payload")
                if is_changed(outcome):
                    self._controls.forget([queue])
                if is_changed(outcome) or is_busy(outcome) or isinstance(outcome, errors.ReplyTimeout):
                    todo.append(queue)
            if not todo:
                break
        return referring

    async def _without(self, referring: dict[str, int], name: str) -> list[str]:
        """The queues that have no message with this body and never will have one.

        Of those whose outcome isn't known for sure, the reference stays.
        """
        repeats = {queue: seq for queue, seq in self._repeats.items() if queue in referring}
        there = await self._streams.read(list(repeats.values())) if repeats else {}
        unneeded = []
        for queue in referring:
            outcome = self._outcomes.get(queue)
            if queue in repeats:
                copy = there.get(repeats[queue])
                if copy is None or envelope.glance(copy.data, copy.at).body != name:
                    unneeded.append(queue)
            elif isinstance(outcome, NoQueue):
                unneeded.append(queue)
            elif isinstance(outcome, Failure):
                cause = outcome.error.__cause__
                if isinstance(cause, Rejected) and not is_busy(cause):
                    unneeded.append(queue)
        return unneeded

    async def _append(self, queues: list[str], data: bytes, starts: dict[str, int] | None) -> list[str]:
        """Appends the stored form to each queue.

        Args:
            queues: their names.
            data: what is stored.
            starts: where not None, the queues must still be those that begin with these sequences.

        Returns: those that aren't.
        """
        todo = queues
        renewed: list[str] = []
        async for _ in Attempts(self._streams.timeout):
            controls = await self._known(todo)
            if starts is not None:
                renewed += [queue for queue, control in controls.items() if control.start != starts[queue]]
                controls = {queue: control for queue, control in controls.items() if control.start == starts[queue]}
            sent, outcomes = await self._send(controls, data)
            self._again = []
            repeats: list[tuple[str, Control, int]] = []
            full: list[str] = []
            for (queue, control), outcome in zip(sent, outcomes, strict=True):
                if isinstance(outcome, Ack) and not outcome.duplicate:
                    self._outcomes[queue] = ENQUEUED
                    self._repeats.pop(queue, None)
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
        return renewed

    async def _known(self, queues: list[str]) -> dict[str, Control]:
        """The control records of those queues that exist; the others have no queue."""
        known = self._controls.known
        unknown = [queue for queue in queues if queue not in known]
        if unknown:
            await self._controls.read(unknown)
        found = {queue: known[queue] for queue in queues if queue in known}
        self._outcomes |= {queue: _NO_QUEUE for queue in queues if queue not in found}
        return found

    async def _send(self, controls: dict[str, Control], data: bytes) -> tuple[list[tuple[str, Control]], list[Outcome]]:
        sent: list[tuple[str, Control]] = []
        subjects: list[bytes] = []
        headers: list[bytes] = []
        name, limit = self._message.id.encode(), self._streams.link.max_payload
        mark = self._streams.subjects.mark
        for queue, control in controls.items():
            base = f"{mark}.{token(queue)}".encode()
            header = _MESSAGE % (control.start, name, self._suffixes.get(queue, b""), control.seq, base)
            if len(header) + len(data) > limit:
                self._outcomes[queue] = self._too_large(len(header) + len(data))
                continue
            sent.append((queue, control))
            subjects.append(base + b".m")
            headers.append(header)
        return sent, await self._streams.publish(subjects, headers, [data] * len(sent), self._streams.patience)

    def _failed(self, queue: str, outcome: Rejected | errors.ReplyTimeout, full: list[str]) -> None:
        self._outcomes[queue] = errors.failure(outcome, "enqueue a message")
        if is_changed(outcome):
            self._controls.forget([queue])
            self._again.append(queue)
        elif is_busy(outcome) or isinstance(outcome, errors.ReplyTimeout):
            self._again.append(queue)
        elif outcome.code == QUEUE_FULL and "per subject" in outcome.text:
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
                self._repeats[queue] = seq
            else:
                self._outcomes[queue] = ENQUEUED
                self._repeats[queue] = seq
        for write, outcome in zip(writes, await self._controls.write(writes), strict=True):
            if isinstance(outcome, Ack):
                self._outcomes[write.queue] = ENQUEUED
            else:
                self._failed(write.queue, outcome, [])

    def _too_large(self, size: int) -> Failure:
        text = (
            f"payload: what is stored of the message beside its payload has {size:,} bytes, over the NATS server's "
            f"max_payload of {self._streams.link.max_payload:,}; raise max_payload"
        )
        return Failure(LimitExceeded(text))
