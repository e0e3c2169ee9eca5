"""Makes and removes queues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prism_nats.answers import Ack, is_busy
from prism_nats.attempts import Attempts
from prism_nats.bodies import Bodies
from prism_nats.controls import GONE, NEW, Control, Controls, Write, encode, is_changed
from prism_nats.ledger import Ledger
from prism_nats.ledgers import Ledgers, State
from prism_nats.rooms import Rooms
from prism_nats.streams import ROLLUP, Streams


class Removal:
    """Creates queues, marks points in time, and deletes what is older than one."""

    def __init__(
        self,
        streams: Streams,
        bodies: Bodies,
        controls: Controls,
        ledgers: Ledgers,
        rooms: Rooms,
    ) -> None:
        self._streams = streams
        self._bodies = bodies
        self._rooms = rooms
        self._controls = controls
        self._ledgers = ledgers

    async def create(self, queues: Sequence[str]) -> None:
        """Writes the control record of each queue; what a removal has left unfinished is finished first."""
        unfinished: set[str] = set()
        before = await self._controls.read(queues)
        new = [queue for queue in queues if queue not in before or before[queue].gone]
        leftovers = {queue: state for queue, state in (await self._ledgers.read(new)).items() if state.seq}

        def plan(found: dict[str, Control], todo: Sequence[str]) -> Iterator[Write]:
            for queue in todo:
                control = found.get(queue)
                if control is None:
                    yield Write(queue, NEW, 0)
                elif control.gone:
                    unfinished.add(queue)
                    yield Write(queue, NEW, control.seq)
                else:
                    yield Write(queue, encode(control.start, control.dropped, control.again), control.seq)

        await self._controls.write_all(queues, plan, before)
        if unfinished:
            subjects = [self._streams.subjects.messages(queue).encode() for queue in unfinished]
            subjects += [self._streams.subjects.reference(queue, ">").encode() for queue in unfinished]
            starts = [self._controls.known[queue].start for queue in unfinished]
            await self._streams.purge(self._streams.subjects.queue_stream, subjects, starts * 2)
            self._bodies.removed()
        await self._drop_ledgers(leftovers)

    async def mark(self) -> int:
        """The sequence of a record written now."""
        return await self._streams.publish_one(self._streams.subjects.mark, b"", ROLLUP)

    async def delete(self, queues: Sequence[str]) -> None:
        """Removes queues with all they hold."""
        subjects = self._streams.subjects
        nothing: list[int | None] = [None] * len(queues)
        self._controls.forget(queues)
        await self._streams.purge(subjects.queue_stream, [subjects.all_of(queue).encode() for queue in queues], nothing)
        await self._streams.purge(
            subjects.ledger_stream, [subjects.ledger(queue).encode() for queue in queues], nothing
        )
        self._ledgers.forget(queues)
        self._bodies.removed()

    async def delete_before(self, queues: Sequence[str], mark: int) -> None:
        """Removes queues that nobody has named since the mark, and from the others what they held before.

        Raises:
            Rejected, ReplyTimeout: some could not be removed; the rest may have been.
        """
        todo = list(queues)
        failed: Exception | None = None
        async for _ in Attempts(self._streams.timeout):
            controls = {q: c for q, c in (await self._controls.read(todo)).items() if not c.gone}
            states = await self._ledgers.read(list(controls))
            newest = await self._newest(list(controls))
            writes = [_removal(queue, control, newest[queue], mark) for queue, control in controls.items()]
            outcomes = await self._controls.write(writes)
            done = [(w, o.seq) for w, o in zip(writes, outcomes, strict=True) if isinstance(o, Ack)]
            await self._finish([(w.queue, seq) for w, seq in done if w.body == GONE], states)
            await self._void([w.queue for w, _ in done if w.body != GONE], mark)
            todo = []
            for write, outcome in zip(writes, outcomes, strict=True):
                if isinstance(outcome, Ack):
                    continue
                failed = outcome
                if not (is_changed(outcome) or is_busy(outcome)):
                    raise outcome
                todo.append(write.queue)
            if not todo:
                return
        if failed is not None:
            raise failed

    async def _newest(self, queues: Sequence[str]) -> dict[str, int]:
        """The sequence of the last message of each queue, 0 where there is none."""
        subjects = {queue: self._streams.subjects.messages(queue).encode() for queue in queues}
        latest = await self._streams.latest(self._streams.subjects.queue_stream, list(subjects.values()))
        return {queue: latest[subject].seq if subject in latest else 0 for queue, subject in subjects.items()}

    async def _finish(self, gone: Sequence[tuple[str, int]], states: dict[str, State]) -> None:
        """Removes what queues held whose control record says that they are gone, and that record."""
        subjects = self._streams.subjects
        await self._streams.purge(
            subjects.queue_stream,
            [subjects.all_of(queue).encode() for queue, _ in gone],
            [seq + 1 for _, seq in gone],
        )
        await self._drop_ledgers({queue: states[queue] for queue, _ in gone if states[queue].seq})
        if gone:
            self._bodies.removed()

    async def _void(self, queues: Sequence[str], mark: int) -> None:
        """Removes what queues held before the mark, as their control records say."""
        if not queues:
            return
        known = await self._controls.read(queues)
        apart = await self._rooms.waiting_apart(queues) if await self._bodies.exist() else {}

        def edit(queue: str, ledger: Ledger) -> tuple[None, bool]:
            ledger.void(mark, known[queue].again.keys() if queue in known else (), apart.get(queue, {}))
            return None, True

        for result in (await self._ledgers.change(queues, edit)).values():
            if isinstance(result, Exception):
                raise result
        whole = [queue for queue in queues if queue in known and not known[queue].again]
        subjects = [self._streams.subjects.messages(queue).encode() for queue in whole]
        await self._streams.purge(self._streams.subjects.queue_stream, subjects, [mark + 1] * len(whole))

    async def _drop_ledgers(self, states: dict[str, State]) -> None:
        """Removes ledgers that were read, unless they have been written since."""
        subjects = [self._streams.subjects.ledger(queue).encode() for queue in states]
        before = [state.seq + 1 for state in states.values()]
        await self._streams.purge(self._streams.subjects.ledger_stream, subjects, before)
        self._ledgers.forget(states)


def _removal(queue: str, control: Control, newest: int, mark: int) -> Write:
    """What a removal makes of a control record, given the sequence of the queue's newest message.

    The whole queue goes only if neither record nor messages are newer than the mark when the server writes this.
    """
    if control.seq <= mark and newest <= mark:
        return Write(queue, GONE, max(control.seq, newest), whole=True)
    again = {seq: at for seq, at in control.again.items() if at > mark}
    return Write(queue, encode(control.start, max(control.dropped, mark), again), control.seq)
