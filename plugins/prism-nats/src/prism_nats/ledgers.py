"""Ledgers as they are stored: read together, changed under the condition that nobody else did meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from prism_nats.answers import Ack, Outcome, is_busy
from prism_nats.attempts import Attempts
from prism_nats.bodies import Bodies
from prism_nats.controls import is_changed
from prism_nats.ledger import Ledger
from prism_nats.streams import Streams

_KNOWN: Final = 50_000
T = TypeVar("T")


class State(NamedTuple):
    """A ledger's bytes, and the sequence they were written with; 0 where there is none."""

    seq: int
    data: bytes


_NONE: Final = State(0, b"")
_EMPTY: Final = Ledger().encode()


class Ledgers:
    """The ledgers of a namespace."""

    def __init__(self, streams: Streams, bodies: Bodies) -> None:
        self._streams = streams
        self._bodies = bodies
        self._known: dict[str, State] = {}

    async def read(self, queues: Sequence[str]) -> dict[str, State]:
        """The ledgers as they are now, of every queue given."""
        subjects = {self._streams.subjects.ledger(queue).encode(): queue for queue in queues}
        stored = await self._streams.latest(self._streams.subjects.ledger_stream, list(subjects))
        found = dict.fromkeys(queues, _NONE)
        for subject, message in stored.items():
            if subject in subjects:
                found[subjects[subject]] = State(message.seq, message.data)
        for queue, state in found.items():
            self._keep(queue, state)
        return found

    async def write(self, ledgers: Mapping[str, tuple[State, Ledger]]) -> dict[str, Outcome]:
        """Writes ledgers that were read as the given states; those whose state is no longer that are refused."""
        bodies = {queue: ledger.encode() for queue, (_, ledger) in ledgers.items()}
        outcomes = await self._streams.publish(
            [self._streams.subjects.ledger(queue).encode() for queue in ledgers],
            [
                b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: %d\r\n\r\n" % state.seq
                for state, _ in ledgers.values()
            ],
            list(bodies.values()),
        )
        for queue, outcome in zip(ledgers, outcomes, strict=True):
            if isinstance(outcome, Ack):
                self._keep(queue, State(outcome.seq, bodies[queue]))
            else:
                self._known.pop(queue, None)
        return dict(zip(ledgers, outcomes, strict=True))

    async def change(
        self, queues: Iterable[str], edit: Callable[[str, Ledger], tuple[T, bool]]
    ) -> dict[str, T | Exception]:
        """Edits ledgers, and again where somebody else changed one meanwhile.

        `edit` changes a ledger and returns a result, and whether that may rest on what we remember of it: if not,
        and we do, the ledger is read and edited anew.
        """
        results: dict[str, T | Exception] = {}
        todo = list(queues)
        async for _ in Attempts(self._streams.timeout):
            unknown = [queue for queue in todo if queue not in self._known]
            states = {queue: self._known[queue] for queue in todo if queue in self._known}
            remembered = set(states)
            if unknown:
                states |= await self.read(unknown)
            edited, unsure = self._edit(states, edit, remembered, results)
            if unsure:
                more, _ = self._edit(await self.read(unsure), edit, set(), results)
                edited |= more
            todo = []
            for queue, outcome in (await self.write(edited)).items():
                if isinstance(outcome, Ack):
                    continue
                if is_changed(outcome) or is_busy(outcome):
                    todo.append(queue)
                results[queue] = outcome
            await self.clear({queue: ledger for queue, (_, ledger) in edited.items() if queue not in todo})
            if not todo:
                break
        return results

    async def clear(self, ledgers: Mapping[str, Ledger]) -> None:
        """Removes the messages that written ledgers no longer need, and what was stored apart of them."""
        stream, subjects = self._streams.subjects.queue_stream, self._streams.subjects
        purges = []
        singles: list[int] = []
        await self._bodies.release([(queue, body) for queue, ledger in ledgers.items() for body in ledger.bodies])
        for queue, ledger in ledgers.items():
            if not ledger.removable:
                continue
            floor = ledger.floor
            above = [seq for seq in ledger.removable if seq >= floor]
            if len(above) < len(ledger.removable):
                purges.append((subjects.messages(queue).encode(), floor))
            singles += above
        if purges:
            await self._streams.purge(stream, [subject for subject, _ in purges], [floor for _, floor in purges])
        if singles:
            await self._streams.remove(singles)

    def forget_all(self) -> None:
        """Drops what is remembered."""
        self._known.clear()

    def forget(self, queues: Iterable[str]) -> None:
        """Drops what is remembered of ledgers."""
        for queue in queues:
            self._known.pop(queue, None)

    def _edit(
        self,
        states: Mapping[str, State],
        edit: Callable[[str, Ledger], tuple[T, bool]],
        remembered: set[str],
        results: dict[str, T | Exception],
    ) -> tuple[dict[str, tuple[State, Ledger]], list[str]]:
        """Edits each; those that changed, and those to be read anew."""
        edited: dict[str, tuple[State, Ledger]] = {}
        unsure: list[str] = []
        for queue, state in states.items():
            ledger = Ledger.decode(state.data)
            result, sure = edit(queue, ledger)
            if not sure and queue in remembered:
                unsure.append(queue)
                continue
            results[queue] = result
            if ledger.encode() != (state.data or _EMPTY):
                edited[queue] = (state, ledger)
        return edited, unsure

    def _keep(self, queue: str, state: State) -> None:
        if len(self._known) >= _KNOWN and queue not in self._known:
            del self._known[next(iter(self._known))]
        self._known[queue] = state
