"""Messages given up: they stay where they were stored, and the ledger says that they are dead."""

from __future__ import annotations

from collections.abc import Collection

from prism.slots.context import QueuePolicy
from prism.slots.durability import DeadLetter

from prism_nats import envelope
from prism_nats.answers import Ack, Stored, is_busy
from prism_nats.attempts import Attempts
from prism_nats.bodies import Bodies
from prism_nats.clock import ServerClock
from prism_nats.controls import Controls, is_changed
from prism_nats.ledger import Dead, Ledger
from prism_nats.ledgers import Ledgers
from prism_nats.streams import Streams


class DeadLetters:
    """Reads dead letters and puts them back."""

    def __init__(
        self,
        streams: Streams,
        bodies: Bodies,
        controls: Controls,
        ledgers: Ledgers,
        policy: QueuePolicy,
        clock: ServerClock,
    ) -> None:
        self._streams = streams
        self._bodies = bodies
        self._controls = controls
        self._ledgers = ledgers
        self._policy = policy
        self._clock = clock

    async def read(self, queue: str, limit: int) -> list[DeadLetter]:
        """The oldest dead letters."""
        letters = []
        found = await self._stored(queue, max(0, limit))
        payloads = await self._bodies.fetch([stored.data for _, stored in found])
        for dead, stored in found:
            if dead.body and dead.body not in payloads:
                continue  # replayed and acked elsewhere while we read
            reason = f"not acked in {dead.attempts} deliveries; the queue allows {self._policy.max_attempts}"
            message = envelope.unpack(stored.data, payloads.get(dead.body))
            letters.append(DeadLetter(queue, message, dead.attempts, dead.died_at, reason))
        return letters

    async def replay(self, queue: str, message_ids: Collection[str]) -> int:
        """Puts dead letters back at the end of their queue, and then takes them off the ledger.

        Raises:
            Rejected, ReplyTimeout: JetStream refuses; repeating the call makes no second copies.
        """
        found = []
        for dead, stored in await self._stored(queue, None):
            name = envelope.message_id(stored.data)
            if name in message_ids:
                found.append((dead.seq, name, envelope.renewed(stored.data, self._policy.message_ttl)))
        if not found:
            return 0
        kept = [seq for seq, name, data in found if await self._append(queue, seq, name, data)]

        def bury(_queue: str, ledger: Ledger) -> tuple[int, bool]:
            before = len(ledger.dead)
            # What is stored apart of them belongs to the copies now.
            ledger.removable += [dead.seq for dead in ledger.dead if dead.seq in kept]
            ledger.dead = [dead for dead in ledger.dead if dead.seq not in kept]
            return before - len(ledger.dead), True

        result = (await self._ledgers.change([queue], bury))[queue]
        if isinstance(result, Exception):
            raise result
        return result

    async def _stored(self, queue: str, limit: int | None) -> list[tuple[Dead, Stored]]:
        """The dead letters as they are now, and noted as such in the ledger, with their messages."""

        def refresh(_queue: str, ledger: Ledger) -> tuple[list[Dead], bool]:
            ledger.refresh(self._clock.now(), self._policy)
            return list(ledger.dead), True

        self._ledgers.forget([queue])
        dead = (await self._ledgers.change([queue], refresh))[queue]
        if isinstance(dead, Exception):
            raise dead
        dead = dead[:limit]
        contents = await self._streams.read([item.seq for item in dead])
        return [(item, contents[item.seq]) for item in dead if item.seq in contents]

    async def _append(self, queue: str, seq: int, message_id: str, body: bytes) -> bool:
        """Stores a copy under an id of its own; False where the queue is gone."""
        subject = self._streams.subjects.messages(queue).encode()
        last: Exception | None = None
        async for _ in Attempts(self._streams.timeout):
            control = (await self._controls.read([queue])).get(queue)
            if control is None or control.gone:
                return False
            header = (
                f"NATS/1.0\r\nNats-Msg-Id: {control.start}:{message_id}:replay:{seq}\r\n"
                f"Nats-Expected-Last-Subject-Sequence: {control.seq}\r\n"
                f"Nats-Expected-Last-Subject-Sequence-Subject: {self._streams.subjects.control(queue)}\r\n\r\n"
            )
            (outcome,) = await self._streams.publish([subject], [header.encode()], [body])
            if isinstance(outcome, Ack):
                return True
            if not (is_busy(outcome) or is_changed(outcome)):
                raise outcome
            last = outcome
        if last is not None:
            raise last
        return False
