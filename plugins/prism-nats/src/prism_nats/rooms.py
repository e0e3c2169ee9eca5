"""What waits in queues: read from the stream, and made less where it is too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from prism.model.time import Micros
from prism.slots.context import QueuePolicy

from prism_nats.answers import Ack, Stored
from prism_nats.attempts import Attempts
from prism_nats.clock import ServerClock
from prism_nats.envelope import glance
from prism_nats.ledger import Ledger, Waiting
from prism_nats.ledgers import Ledgers, State
from prism_nats.streams import Streams

_ALL: Final = 2**31 - 1
_PAGE: Final = 1_000


class Rooms:
    """Reads what waits in the queues of a namespace."""

    def __init__(self, streams: Streams, ledgers: Ledgers, policy: QueuePolicy, clock: ServerClock) -> None:
        self._streams = streams
        self._ledgers = ledgers
        self._policy = policy
        self._clock = clock

    async def waiting(self, wanted: Mapping[str, tuple[int, int]], now: Micros) -> dict[str, list[Stored]]:
        """Messages of each queue from a sequence on, until so many have not timed out.

        `wanted` is by queue the sequence and the number.
        """
        found: dict[str, list[Stored]] = {queue: [] for queue in wanted}
        todo = {queue: (start, number) for queue, (start, number) in wanted.items() if number > 0}
        while todo:
            pages = await self._streams.follow(
                [self._streams.subjects.messages(queue).encode() for queue in todo],
                [start for start, _ in todo.values()],
                [min(number, _PAGE) for _, number in todo.values()],
            )
            more: dict[str, tuple[int, int]] = {}
            for (queue, (_, number)), page in zip(todo.items(), pages, strict=True):
                found[queue] += page
                alive = sum(item.dies_at > now for item in as_waiting(page))
                if page and page[-1].pending and alive < number:
                    more[queue] = (page[-1].seq + 1, number - alive)
            todo = more
        return found

    async def all_waiting(self, ledgers: Mapping[str, Ledger], now: Micros) -> dict[str, list[Stored]]:
        """All that waits in each queue."""
        return await self.waiting({queue: (ledger.next, _ALL) for queue, ledger in ledgers.items()}, now)

    async def waiting_apart(self, queues: Sequence[str]) -> dict[str, dict[int, str]]:
        """By queue, the sequences of what waits with a payload that is stored apart, and the names of those."""
        ledgers = {queue: Ledger.decode(state.data) for queue, state in (await self._ledgers.read(queues)).items()}
        found = await self.all_waiting(ledgers, self._clock.now())
        return {
            queue: {item.seq: item.body for item in as_waiting(stored) if item.body} for queue, stored in found.items()
        }

    async def complete(self, found: dict[str, list[Stored]], ledgers: Mapping[str, Ledger], now: Micros) -> None:
        """Reads on where a queue holds more than it may, so that the ledger can say what is dropped."""
        wanted = {}
        for queue, stored in found.items():
            if stored and ledgers[queue].messages + len(stored) + stored[-1].pending > self._policy.max_messages:
                wanted[queue] = (stored[-1].seq + 1, _ALL)
        for queue, stored in (await self.waiting(wanted, now)).items():
            found[queue] += stored

    async def make(self, queues: Sequence[str]) -> None:
        """Drops the oldest messages of queues that hold too many, and what is left of removed ones."""
        todo = list(queues)
        async for _ in Attempts(self._streams.timeout):
            now = self._clock.now()
            states = await self._ledgers.read(todo)
            ledgers = {queue: Ledger.decode(state.data) for queue, state in states.items()}
            for ledger in ledgers.values():
                ledger.refresh(now, self._policy)
            edited: dict[str, tuple[State, Ledger]] = {}
            for queue, stored in (await self.all_waiting(ledgers, now)).items():
                ledgers[queue].make_room(as_waiting(stored), now, self._policy)
                edited[queue] = (states[queue], ledgers[queue])
            outcomes = await self._ledgers.write(edited)
            written = {queue: ledgers[queue] for queue in todo if isinstance(outcomes[queue], Ack)}
            subjects = [self._streams.subjects.messages(queue).encode() for queue in written]
            floors = [ledger.floor for ledger in written.values()]
            await self._streams.purge(self._streams.subjects.queue_stream, subjects, floors)
            await self._ledgers.clear(written)
            todo = [queue for queue in todo if queue not in written]
            if not todo:
                return


def as_waiting(stored: Sequence[Stored]) -> list[Waiting]:
    """What a ledger needs to know of messages."""
    return [Waiting(item.seq, *glance(item.data, item.at)) for item in stored]
