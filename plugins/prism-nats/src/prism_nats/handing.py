"""Hands messages out, and counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prism.model.time import Micros
from prism.slots.context import QueuePolicy
from prism.slots.durability import Gap, Lease

from prism_nats.answers import Ack, Stored, is_busy
from prism_nats.attempts import Attempts
from prism_nats.bodies import Bodies
from prism_nats.clock import ServerClock
from prism_nats.controls import is_changed
from prism_nats.envelope import unpack
from prism_nats.ledger import Held, Ledger
from prism_nats.ledgers import Ledgers, State
from prism_nats.rooms import Rooms, as_waiting
from prism_nats.streams import Streams


class Handing:
    """Leases messages of the queues of a namespace."""

    def __init__(
        self,
        streams: Streams,
        bodies: Bodies,
        ledgers: Ledgers,
        rooms: Rooms,
        policy: QueuePolicy,
        clock: ServerClock,
    ) -> None:
        self._streams = streams
        self._bodies = bodies
        self._ledgers = ledgers
        self._rooms = rooms
        self._policy = policy
        self._clock = clock

    async def dequeue(self, queues: Sequence[str], limit: int, visibility: Micros) -> list[Lease]:
        """Leases up to `limit` of the oldest visible messages of each queue.

        A lease is handed out only once its ledger is written, so no two proxies have the same.

        Raises:
            Rejected, ReplyTimeout: no queue's ledger could be written. What can't be written of some stays where it is.
        """
        leases: list[Lease] = []
        todo = list(queues)
        failed: Exception | None = None
        async for _ in Attempts(self._streams.timeout):
            offered, changed = await self._offer(todo, limit, visibility)
            outcomes = await self._ledgers.write(changed)
            todo = []
            for queue, outcome in outcomes.items():
                if isinstance(outcome, Ack):
                    leases += offered[queue]
                    continue
                failed = outcome
                if is_changed(outcome) or is_busy(outcome):
                    todo.append(queue)
            written = {q: ledger for q, (_, ledger) in changed.items() if isinstance(outcomes[q], Ack)}
            await self._ledgers.clear(written)
            if not todo:
                break
        if failed is not None and not leases and (todo or not is_changed(failed)):
            raise failed
        return leases

    async def depth(self, queues: Sequence[str]) -> dict[str, int]:
        """How many messages each queue holds."""
        now = self._clock.now()
        ledgers = {}
        for queue, state in (await self._ledgers.read(queues)).items():
            ledgers[queue] = Ledger.decode(state.data)
            ledgers[queue].refresh(now, self._policy)
        depths = {}
        for queue, stored in (await self._rooms.all_waiting(ledgers, now)).items():
            alive = sum(item.dies_at > now for item in as_waiting(stored))
            depths[queue] = min(ledgers[queue].messages + alive, self._policy.max_messages)
        return depths

    async def _offer(
        self, queues: Sequence[str], limit: int, visibility: Micros
    ) -> tuple[dict[str, list[Lease]], dict[str, tuple[State, Ledger]]]:
        """What can be leased of each queue, and the ledgers that must be written before it is."""
        states = await self._ledgers.read(queues)
        now = self._clock.now()
        ledgers = {queue: Ledger.decode(state.data) for queue, state in states.items()}
        back: list[int] = []
        wanted: dict[str, tuple[int, int]] = {}
        for queue, ledger in ledgers.items():
            ledger.refresh(now, self._policy)
            returned = ledger.returned(now, limit)
            back += [held.seq for held in returned if not held.dropped]
            wanted[queue] = (ledger.next, limit - len(returned))
        waiting = await self._rooms.waiting(wanted, now)
        await self._rooms.complete(waiting, ledgers, now)
        contents = await self._streams.read(back)
        gone = set(back) - contents.keys()
        taken: dict[str, list[tuple[Held, Stored | None]]] = {}
        changed: dict[str, tuple[State, Ledger]] = {}
        for queue, ledger in ledgers.items():
            stored = waiting[queue]
            if gone:
                ledger.forget(gone)
            left = ledger.make_room(as_waiting(stored), now, self._policy)
            here = {item.seq: item for item in stored}
            leased = ledger.lease(left, limit, now + visibility, now)
            taken[queue] = [(held, here.get(held.seq) or contents.get(held.seq)) for held in leased]
            if ledger.encode() != (states[queue].data or _EMPTY):
                changed[queue] = (states[queue], ledger)
        payloads = await self._bodies.fetch(
            [stored.data for items in taken.values() for held, stored in items if held.body and stored is not None]
        )
        offered = {queue: [self._lease(queue, *item, payloads) for item in items] for queue, items in taken.items()}
        return offered, changed

    def _lease(self, queue: str, held: Held, stored: Stored | None, payloads: Mapping[str, bytes]) -> Lease:
        token = f"{held.token}.{self._streams.life}"
        if held.dropped or stored is None or (held.body and held.body not in payloads):
            return Lease(queue, token, held.attempts, Gap(max(held.dropped, 1)))
        return Lease(queue, token, held.attempts, unpack(stored.data, payloads.get(held.body)))


_EMPTY = Ledger().encode()
