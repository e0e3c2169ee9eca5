"""The durability slot: queues in tables, each message stored once (design section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from prism.model.errors import InvalidArgument
from prism.model.message import DeliverySemantics, Message
from prism.model.time import SECOND, Micros
from prism.slots.durability import (
    DeadLetter,
    DurabilityBackend,
    Enqueued,
    EnqueueOutcome,
    Gap,
    Lease,
    LeaseLost,
    NoQueue,
    Settled,
    SettleOutcome,
)

from prism_postgres.batches import in_chunks
from prism_postgres.migrations import Module
from prism_postgres.plugin import DURABILITY
from prism_postgres.pool import Row
from prism_postgres.slot import PostgresSlot
from prism_postgres.sweeping import REAPED, QueueSweep, Repeated

WINDOW: Final[Micros] = 125 * SECOND
"""How long a message id is known at least after the message has left its queues."""
QUEUES: Final = 10_000
"""Queues that one statement makes, removes, or puts a message into."""
DEQUEUES: Final = 1_000
"""Queues that one statement takes from."""
SETTLES: Final = 5_000
"""Leases that one statement settles."""
SWEEPS: Final = 5.0
"""Seconds from one sweep to the next, give or take a fifth."""

_CREATE: Final = "SELECT __schema__.create_queues($1, $2, $3)"
_MARK: Final = "SELECT __schema__.queue_mark() AS mark"
_DELETE: Final = "SELECT __schema__.delete_queues($1, $2, $3) AS waste"
_REAP: Final = "SELECT __schema__.reap_queues($1) AS waste"
_ENQUEUE: Final = (
    "SELECT __schema__.enqueue($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS missing"  # one transaction
)
_DEQUEUE: Final = "SELECT * FROM __schema__.dequeue($1, $2, $3, $4, $5, $6)"
_SETTLE: Final = "SELECT __schema__.settle($1, $2, $3, $4, $5) AS settled"
_DEPTHS: Final = "SELECT place, depth FROM __schema__.queue_depths($1, $2, $3)"
_DEAD_LETTERS: Final = "SELECT * FROM __schema__.read_dead_letters($1, $2, $3, $4, $5)"
_REPLAY: Final = "SELECT __schema__.replay_dead_letters($1, $2, $3, $4, $5, $6, $7) AS replayed"

_ENQUEUED: Final = Enqueued()
_NO_QUEUE: Final = NoQueue()
_SETTLED: Final = Settled()
_LOST: Final = LeaseLost()
_MOST: Final = 2**31 - 1


class PostgresDurability(PostgresSlot, DurabilityBackend):
    """Queues in PostgreSQL.

    Every call of up to 10,000 queues is one transaction. What is acknowledged is as durable as the server's commits
    are. A sweep in every proxy lets go of messages that no queue holds any more.
    """

    spec = DURABILITY
    modules = (Module("queues", 1, {"queue_positions": ("USAGE", "SELECT")}),)  # mark() reads the last position

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self._sweeper: Repeated | None = None

    async def open(self) -> None:
        """Connects, checks the tables, and starts sweeping."""
        await super().open()
        if self._sweeper is None:
            sweep = QueueSweep(self._database, self._config.db_schema, WINDOW)
            self._sweeper = Repeated("queues", sweep, SWEEPS)

    async def close(self) -> None:
        """Ends the sweep and gives the database back."""
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            await sweeper.close()
        await super().close()

    async def create(self, queues: Sequence[str]) -> None:
        """Makes queues; those that exist are left as they are."""
        for name in queues:
            _storable("queues", name)
        for i in range(0, len(queues), QUEUES):
            await self._row(_CREATE, queues[i : i + QUEUES], self._context.queues.max_messages, harmless=True)

    async def mark(self) -> str:
        """A point in this slot's life: a position between those given out and those to come."""
        rows = await self._database.fetch(self._sql(_MARK), harmless=True)
        return str(rows[0]["mark"])

    async def delete(self, queues: Sequence[str], before: str | None = None) -> None:
        """Removes queues with all they hold, or what they held before a mark.

        A removed queue is gone at once. What it held is let go in steps; those that are left when the call is
        interrupted are taken by the next one, or by the sweep.
        """
        if before is not None and not (before.isdecimal() and len(before) < 19):
            raise InvalidArgument.at("before", f"{before!r} is not a mark of this slot; pass what mark() returned")
        mark = None if before is None else int(before)
        known = [name for name in queues if "\0" not in name]
        waste = False
        for i in range(0, len(known), QUEUES):
            row = await self._row(_DELETE, known[i : i + QUEUES], mark, harmless=True)
            waste = waste or row["waste"]
        while waste:
            rows = await self._database.fetch(self._sql(_REAP), REAPED, harmless=True)
            waste = rows[0]["waste"]

    async def enqueue(self, message: Message, queues: Sequence[str], ttl: Micros | None = None) -> list[EnqueueOutcome]:
        """Appends one message to many queues, 10,000 in a transaction that its content goes to once."""
        if ttl is not None and ttl <= 0:
            raise InvalidArgument.at("ttl", f"{ttl} microseconds is not more than 0; leave it out for the policy's")
        for field, text in (("id", message.id), ("content_type", message.content_type), ("sender", message.sender)):
            _storable(f"message.{field}", text)
        policy = self._context.queues

        async def put(names: Sequence[str]) -> Sequence[EnqueueOutcome]:
            row = await self._row(
                _ENQUEUE,
                [name for name in dict.fromkeys(names) if "\0" not in name],
                message.id,
                message.payload,
                message.content_type,
                message.sent_at,
                message.delivery.value,
                message.sender,
                policy.message_ttl if ttl is None else ttl,
                WINDOW,
                policy.max_messages,
                policy.max_attempts,
                policy.max_dead_letters,
                harmless=True,
            )
            missing = set(row["missing"] or ())
            return [_NO_QUEUE if name in missing or "\0" in name else _ENQUEUED for name in names]

        return await in_chunks(queues, QUEUES, put, "store the message")

    async def dequeue(self, queues: Sequence[str], limit: int, visibility: Micros) -> list[Lease]:
        """Leases up to `limit` of the oldest visible messages of each queue, 1,000 queues in a transaction."""
        _positive("visibility", visibility)
        policy = self._context.queues
        leases: list[Lease] = []
        names = list(dict.fromkeys(name for name in queues if "\0" not in name))
        for i in range(0, len(names), DEQUEUES) if limit > 0 else ():
            chunk = names[i : i + DEQUEUES]
            sql, many = self._sql(_DEQUEUE), min(limit, _MOST)
            rows = await self._database.fetch(
                sql, self._number, chunk, many, visibility, policy.max_attempts, policy.max_dead_letters
            )
            leases += _leases(chunk, rows)
        return leases

    async def ack(self, leases: Sequence[Lease]) -> list[SettleOutcome]:
        """Removes delivered messages for good."""
        return await self._settle("ack", leases, 0)

    async def nack(self, leases: Sequence[Lease], delay: Micros = 0) -> list[SettleOutcome]:
        """Gives messages back, visible again after `delay`. The attempt counts."""
        if delay < 0:
            raise InvalidArgument.at("delay", f"{delay} microseconds is less than 0; give 0 or a positive time")
        return await self._settle("nack", leases, delay)

    async def release(self, leases: Sequence[Lease]) -> list[SettleOutcome]:
        """Gives messages back at once that nobody saw. The attempt doesn't count."""
        return await self._settle("release", leases, 0)

    async def extend(self, leases: Sequence[Lease], visibility: Micros) -> list[SettleOutcome]:
        """Keeps leases for `visibility` microseconds from now."""
        return await self._settle("extend", leases, _positive("visibility", visibility))

    async def depth(self, queues: Sequence[str]) -> list[int]:
        """How many messages each queue holds; 0 where there is no queue."""
        attempts, sql = self._context.queues.max_attempts, self._sql(_DEPTHS)
        names = ["" if "\0" in name else name for name in queues]
        depths = [0] * len(queues)
        for i in range(0, len(names), QUEUES):
            chunk = names[i : i + QUEUES]
            for row in await self._database.fetch(sql, self._number, chunk, attempts, harmless=True):
                depths[i + row["place"] - 1] = row["depth"]
        return depths

    async def dead_letters(self, queue: str, limit: int) -> list[DeadLetter]:
        """The oldest dead letters of a queue."""
        if "\0" in queue or limit <= 0:
            return []
        policy = self._context.queues
        sql, attempts, dead = self._sql(_DEAD_LETTERS), policy.max_attempts, policy.max_dead_letters
        rows = await self._database.fetch(sql, self._number, queue, min(limit, _MOST), attempts, dead, harmless=True)
        return [
            DeadLetter(
                queue,
                _message(row),
                row["attempts"],
                row["died_at"],
                f"not acked in {row['attempts']} deliveries; the queue allows {attempts}",
            )
            for row in rows
        ]

    async def replay(self, queue: str, message_ids: Sequence[str]) -> int:
        """Puts dead letters back at the end of their queue as new."""
        ids = [message_id for message_id in dict.fromkeys(message_ids) if "\0" not in message_id]
        if "\0" in queue or not ids:
            return 0
        policy = self._context.queues
        limits = (policy.message_ttl, policy.max_messages, policy.max_attempts, policy.max_dead_letters)
        row = await self._row(_REPLAY, queue, ids, *limits)
        replayed: int = row["replayed"]
        return replayed

    async def _settle(self, action: str, leases: Sequence[Lease], duration: Micros) -> list[SettleOutcome]:
        """One outcome for each lease. A token that comes twice takes effect once."""

        async def settle(chunk: Sequence[Lease]) -> Sequence[SettleOutcome]:
            outcomes: list[SettleOutcome] = [_LOST] * len(chunk)
            # In the order of queues and positions, so that two who settle the same can't wait for each other.
            tokens = sorted(_tokens(chunk).items())
            if tokens:
                numbers, positions, counts = zip(*(token for token, _ in tokens), strict=True)
                sql = self._sql(_SETTLE)
                rows = await self._database.fetch(
                    sql, action, numbers, positions, counts, duration, harmless=action == "extend"
                )
                for place in rows[0]["settled"] or ():
                    outcomes[tokens[place - 1][1]] = _SETTLED
            return outcomes

        return await in_chunks(leases, SETTLES, settle, f"{action} the message")

    async def _row(self, sql: str, *arguments: Any, harmless: bool = False) -> Row:
        """The one row of a statement that is given our namespace's number first."""
        [row] = await self._database.fetch(self._sql(sql), self._number, *arguments, harmless=harmless)
        return row


def _tokens(leases: Sequence[Lease]) -> dict[tuple[int, int, int], int]:
    """What the tokens stand for, and where each comes first."""
    found: dict[tuple[int, int, int], int] = {}
    for place, lease in enumerate(leases):
        parts = lease.token.split(".")
        if len(parts) == 3 and all(part.isdecimal() and len(part) < 19 for part in parts):
            queue, position, count = map(int, parts)
            if count <= _MOST:
                found.setdefault((queue, position, count), place)
    return found


def _leases(names: Sequence[str], rows: Iterable[Row]) -> list[Lease]:
    """The leases of one call, in the order of queues and positions."""
    ordered = sorted(rows, key=lambda row: (row["place"], row["position"]))
    messages = {row["message"]: _message(row) for row in ordered if row["id"] is not None}
    leases = []
    for row in ordered:
        token = f"{row['queue']}.{row['position']}.{row['lease']}"
        number = row["message"]
        # A message whose row was removed by hand is a loss like any other.
        content = Gap(max(1, row["dropped"])) if number is None else messages.get(number, Gap(1))
        leases.append(Lease(names[row["place"] - 1], token, row["attempts"], content))
    return leases


def _message(row: Row) -> Message:
    return Message(
        row["id"],
        row["payload"],
        row["content_type"],
        row["sent_at"],
        DeliverySemantics(row["delivery"]),
        row["sender"],
    )


def _storable(field: str, text: str) -> None:
    if "\0" in text:
        raise InvalidArgument.at(field, "has the character U+0000, which PostgreSQL can't store; remove it")


def _positive(field: str, duration: Micros) -> Micros:
    if duration <= 0:
        raise InvalidArgument.at(field, f"{duration} microseconds is not more than 0; give a positive time")
    return duration
