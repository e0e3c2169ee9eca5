"""The log behind the durability slot: calls are written, everything is read and applied, answers are handed out."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

from aiokafka import TopicPartition
from prism.model.errors import InvalidConfig, PrismError, Violation
from prism.slots.context import SlotContext

from prism_kafka import snapshots, topics
from prism_kafka.config import KafkaConfig
from prism_kafka.errors import PASSING, Behind, NoAnswer
from prism_kafka.fetching import BEGINNING, END, Record, offsets
from prism_kafka.machine.commands import Kind, Malformed, encode
from prism_kafka.machine.policy import Policy
from prism_kafka.machine.snapshot import oldest_payload, pieces
from prism_kafka.naming import Part
from prism_kafka.payloads import Payloads
from prism_kafka.plugin import DURABILITY
from prism_kafka.replica import Replica
from prism_kafka.slot import KafkaSlot

logger = logging.getLogger(__name__)

SNAPSHOT_PIECE: Final = 256 * 1024
"""Bytes of a snapshot in one record."""
_RECORD_SHARE: Final = 4
"""Which part of the largest record the names in it may take, so that the payload has room too."""
_YIELD_EVERY: Final = 50
"""Records that are applied between two turns of the event loop."""

T = TypeVar("T")


class Journal(KafkaSlot):
    """One replica of each partition's state, kept up by one tail."""

    spec = DURABILITY
    wait = 0.5
    meanings: ClassVar[Mapping[str, str]] = {
        **KafkaSlot.meanings,
        "log_lag_records": "Records between what this proxy has applied and the end of the log, where that is known.",
        "queues": "Queues.",
        "refused_records": "Records that were passed over because none of ours can have written them.",
        "fetched_payloads": "Messages that were read from the log again.",
    }

    def __init__(self, config: KafkaConfig, context: SlotContext) -> None:
        super().__init__(config, context)
        self._log = self._topic(Part.LOG)
        self._snapshots = self._topic(Part.SNAPSHOTS)
        self._issuer = secrets.token_hex(8)
        self._replicas: list[Replica] = []
        self._store: Payloads | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._refusing = asyncio.Lock()
        self._refused_topic = ""
        self.refused = 0
        """Records that were passed over because none of ours can have written them."""

    @property
    def _count(self) -> int:
        return len(self._replicas)

    @property
    def _payloads(self) -> Payloads:
        if self._store is None:
            self._store = Payloads(self._link, self._log, self._config.cache_bytes)
        return self._store

    async def open(self) -> None:
        """Connects, makes or checks the topics, and catches up: snapshots first, then the log.

        Raises what KafkaSlot.open raises, InvalidConfig also where the number of partitions was changed, and Behind
        where the log's beginning was removed and no snapshot stands for it.
        """
        await super().open()
        self._replicas = [Replica(partition, self._issuer) for partition in range(self._partitions[self._log])]
        await asyncio.gather(*(self._restore(replica) for replica in self._replicas))
        places = {TopicPartition(self._log, replica.partition): replica.state.next_offset for replica in self._replicas}
        self._tail.seek(places)
        ends = await offsets(self._link, self._log, range(self._count), END)
        await self._while_reading(asyncio.gather(*(self._replicas[part].reach(end) for part, end in ends.items())))
        self._check_layout()
        policy = Policy.of(self._context.queues, self._config.retention, self._count).row()
        # Also shows at once whether we may write, and what time it is at the brokers.
        await asyncio.gather(*(self._call(part, Kind.POLICY, policy) for part in range(self._count)))

    async def close(self) -> None:
        """Ends errands and reading, and leaves the link. What is leased stays so until its visibility ends."""
        for errand in self._errands:
            errand.cancel()
        if self._errands:
            await asyncio.wait(self._errands)
        for replica in self._replicas:
            replica.fail(Behind("the slot was closed"))
        await super().close()

    def gauges(self) -> dict[str, float]:
        """How far this proxy is behind the log, which is known while the brokers answer; and what it holds."""
        found = super().gauges() | {"queues": sum(len(replica.state.queues) for replica in self._replicas)}
        if found["brokers_answer"]:
            found["log_lag_records"] = sum(replica.behind for replica in self._replicas)
        return found

    def counters(self) -> dict[str, float]:
        """What it has met since it opened."""
        fetched = 0 if self._store is None else self._store.fetched
        return {"refused_records": self.refused, "fetched_payloads": fetched}

    async def _ensure_topics(self) -> dict[str, int]:
        return await topics.ensure(self._link, self._plans(self._config.partitions), alike=True)

    def _plans(self, partitions: int | None) -> list[topics.Plan]:
        return [topics.log(name, partitions, self._config) for name in (self._log, self._snapshots)]

    def _check_layout(self) -> None:
        """Refuses partitions that were added: queues would be looked for where they aren't."""
        known = {replica.state.policy.partitions for replica in self._replicas} - {0, self._count}
        if known:
            text = (
                f"topic {self._log} has {self._count}, and its queues are spread over {max(known)}; the number can't "
                "be changed: let the proxies that still run deliver what waits, and use another topic_prefix"
            )
            raise InvalidConfig(f"partitions: {text}", violations=(Violation("partitions", text),))

    async def _call(
        self,
        partition: int,
        kind: Kind,
        arguments: Sequence[Any],
        payload: bytes = b"",
        undo: Callable[[Any], None] | None = None,
    ) -> Any:
        """Writes a record and returns its answer, which comes when the record is read back.

        Args:
            partition: where the queues are.
            kind: what to do.
            arguments: of that kind.
            payload: of a message.
            undo: takes the answer that comes when nobody waits for it any more.

        Raises NoAnswer when it doesn't come in time, NotConnected, Behind, or aiokafka's error where the record
        can't be stored.
        """
        assert self._tail
        number, answer = self._replicas[partition].expect()
        try:
            value = encode(kind, self._issuer, number, arguments, payload)
            stored = await self._in_time(self._link.store(self._log, partition, value), "write to the log")
            stored.add_done_callback(lambda done: self._stored(partition, done, answer))
            return await self._in_time(answer, f"{kind} in partition {partition}")
        except BaseException:
            if undo is not None:
                self._replicas[partition].abandon(number, undo)
            raise
        finally:
            self._replicas[partition].forget(number)

    def _stored(self, partition: int, stored: asyncio.Future[Any], answer: asyncio.Future[Any]) -> None:
        """Notes that a record is in the log. One that can't be stored has no answer."""
        if stored.cancelled():
            return
        if (error := stored.exception()) is None:
            self._replicas[partition].wrote(stored.result().offset)
        elif not answer.done():
            answer.set_exception(error)

    async def _in_time(self, work: Awaitable[T], what: str) -> T:
        try:
            async with asyncio.timeout(self._config.request_timeout):
                return await work
        except TimeoutError as error:
            seconds = self._config.request_timeout
            text = f"Kafka gave no answer within {seconds:g} s to {what}; it may still take effect"
            raise NoAnswer(text) from error

    async def _while_reading(self, work: asyncio.Future[Any]) -> None:
        """Waits for something that the tail brings; no longer than the tail reads."""
        assert self._reading is not None
        await asyncio.wait([work, self._reading], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            await asyncio.wait([work])
            assert self._tail  # raises why the reading has ended
        await work

    def _pieces(self, items: list[T], size: int) -> Iterator[list[T]]:
        """Cuts a list so that each piece fits into a record; `size` is what an item takes at most."""
        length = max(1, self._config.max_message_bytes // _RECORD_SHARE // size)
        for start in range(0, len(items), length):
            yield items[start : start + length]

    def _soon(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        """Runs an errand whose failure is nobody's: it is logged, and the state mends itself in time."""

        async def run() -> None:
            try:
                await work
            except (*PASSING, PrismError) as error:
                logger.warning("failed to %s: %r", what, error)

        errand = asyncio.create_task(run())
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def _deliver(self, partition: TopicPartition, records: Sequence[Record], after: int, end: int) -> None:
        replica = self._replicas[partition.partition]
        replica.end = end
        for i, record in enumerate(records):
            if i % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)
            try:
                command, answer = replica.apply(record)
            except Malformed as error:
                self.refused += 1
                logger.warning("record %d of %s/%d is passed over: %s", record.offset, *partition, error)
                self._soon(self._set_aside(partition, record, str(error)), "copy a refused record")
                continue
            if command.kind is Kind.ENQUEUE and any(answer):
                self._payloads.keep(partition.partition, record.offset, command.message())
            elif command.kind is Kind.CLAIM and answer and command.issuer == self._issuer:
                await self._begin_snapshot(replica, record.offset)
        replica.advanced(after, end)
        self._consider_snapshot(replica, end - after)

    async def _lose(self, partition: TopicPartition) -> int:
        """The records we wait for are gone: a newer snapshot stands for them, or somebody deleted the topic.

        A broker may have made it anew by itself, with settings that lose messages; then the slot stops.
        """
        await topics.ensure(self._link, self._plans(self._count))
        replica = self._replicas[partition.partition]
        applied = replica.state.next_offset
        await self._restore(replica)
        logger.warning(
            "%s/%d: its records at %d are gone; going on from %d", *partition, applied, replica.state.next_offset
        )
        replica.advanced(replica.state.next_offset, replica.state.next_offset)
        at: int = replica.state.next_offset
        return at

    async def _restore(self, replica: Replica) -> None:
        """Takes the newest snapshot; again where the log has left it behind while it was read, for a newer one."""
        partition, tried = replica.partition, -1
        while True:
            state = await snapshots.load(self._link, self._snapshots, partition)
            begin, end = [
                (await offsets(self._link, self._log, [partition], moment))[partition] for moment in (BEGINNING, END)
            ]
            if begin <= state.next_offset <= end:
                break
            if state.next_offset <= tried:
                raise Behind(self._gap(partition, state.next_offset, begin, end))
            tried = state.next_offset
        self._payloads.forget(partition)  # in a topic that was made anew, there are others at their offsets
        replica.state = state

    def _gap(self, partition: int, snapshot: int, begin: int, end: int) -> str:
        """Why the log can't be followed from where the newest snapshot is."""
        if snapshot < begin:
            what = (
                f"begins at {begin}, and no snapshot reaches beyond {snapshot}: records were removed by somebody else"
            )
            return f"{self._log}/{partition} {what}; use another topic_prefix"
        what = f"ends at {end}, and its snapshot is of {snapshot}: the log was removed, and its snapshots weren't"
        return f"{self._log}/{partition} {what}; remove topic {self._snapshots} too, or use another topic_prefix"

    def _consider_snapshot(self, replica: Replica, behind: int) -> None:
        """Offers to write a snapshot when replaying has become dear. Of several offers, the first in the log counts."""
        due = replica.state.work >= self._config.snapshot_every and not replica.state.is_claimed()
        if due and not behind and not replica.offering:
            replica.offering = True
            self._soon(self._offer_snapshot(replica), "offer a snapshot")

    async def _offer_snapshot(self, replica: Replica) -> None:
        try:
            await self._call(replica.partition, Kind.CLAIM, [])
        finally:
            replica.offering = False

    async def _begin_snapshot(self, replica: Replica, offset: int) -> None:
        """Writes the state down as of the claim. Nothing is applied meanwhile, and other tasks have their turns."""
        parts = []
        for part in pieces(replica.state, min(SNAPSHOT_PIECE, self._config.max_message_bytes // 2)):
            parts.append(part)
            await asyncio.sleep(0)
        keep = min(oldest_payload(replica.state), offset)
        self._soon(self._end_snapshot(replica.partition, offset, parts, keep), "write a snapshot")

    async def _end_snapshot(self, partition: int, offset: int, parts: Sequence[bytes], keep: int) -> None:
        first = await snapshots.write(self._link, self._snapshots, partition, (offset, self._issuer), parts)
        if await self._call(partition, Kind.DONE, [offset]):
            await snapshots.remove(self._link, self._log, partition, keep)
            await snapshots.remove(self._link, self._snapshots, partition, first)
            logger.info("%s/%d: a snapshot at %d; the log begins at %d", self._log, partition, offset, keep)

    async def _set_aside(self, partition: TopicPartition, record: Record, reason: str) -> None:
        """Copies a record to the topic of refused ones, under a key that makes copies by other proxies the same."""
        async with self._refusing:
            if not self._refused_topic:
                plan = topics.compacted(self._topic(Part.REFUSED), self._config)
                await topics.ensure(self._link, [plan])
                self._refused_topic = plan.name
        key = f"{partition.topic}/{partition.partition}/{record.offset}".encode()
        headers = [("reason", reason.encode()), ("key", record.key or b"")]
        await self._in_time(
            await self._link.store(self._refused_topic, 0, record.value or b"", key, headers), "copy a refused record"
        )

    async def _read(self, tail: Any) -> None:
        try:
            await super()._read(tail)
        except Exception as error:
            for replica in self._replicas:
                replica.fail(Behind(f"this slot has stopped reading Kafka: {error}"))
            raise
