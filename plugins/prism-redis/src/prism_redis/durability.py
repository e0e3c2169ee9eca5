"""The durability slot: a queue per identity over one stream of messages per partition (design section 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from prism.model.errors import InvalidArgument
from prism.model.message import DeliverySemantics, Message
from prism.model.time import Micros
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

from prism_redis.batches import Batch, chunked, through
from prism_redis.concurrency import together
from prism_redis.errors import raise_errors
from prism_redis.keys import Partition, grouped, number_of
from prism_redis.plugin import DURABILITY
from prism_redis.scripts import Script, run, script
from prism_redis.slot import RedisSlot
from prism_redis.wire import Arg, Reply


def _script(name: str) -> Script:
    return script(name, "partition", "queues")


CREATE: Final = _script("create")
MARK: Final = _script("mark")
DELETE: Final = _script("delete_queues")
REAP: Final = _script("reap")
ENQUEUE: Final = _script("enqueue")
DEQUEUE: Final = _script("dequeue")
SETTLE: Final = _script("settle")
DEPTH: Final = _script("depth")
DEAD_LETTERS: Final = _script("dead_letters")
REPLAY: Final = _script("replay")

CREATES: Final = 500
DELETES: Final = 100
ENQUEUES: Final = 500
DEQUEUES: Final = 500
SETTLES: Final = 250
REAPED: Final = 1_000
LETTERS: Final = 50
"""Items in one call of a script: about a millisecond of the server's time."""
CONTENT_BYTES: Final = 4 * 1024 * 1024
"""Bytes of content that one call hands out, more or less."""

_ENQUEUED: Final = Enqueued()
_NO_QUEUE: Final = NoQueue()
_SETTLED: Final = Settled()
_LOST: Final = LeaseLost()


class RedisDurability(RedisSlot, DurabilityBackend):
    """Queues in Redis.

    A message is stored once in each partition, however many queues it is put into, and is gone when the last
    queue lets it go. Every item is atomic. What is acknowledged is as durable as the server's persistence is.
    """

    spec = DURABILITY

    async def create(self, queues: Sequence[str]) -> None:
        """Makes queues; those that exist are left as they are."""
        await self._all(CREATE, queues, CREATES, [])

    async def mark(self) -> str:
        """A point in this slot's life: a position in each partition."""

        async def position(where: Partition) -> str:
            [reply] = await run(self._servers, where, MARK, [[]], harmless=True)
            raise_errors(reply)
            return str(reply.decode())

        return ",".join(await together(map(position, self._partitions)))

    async def delete(self, queues: Sequence[str], before: str | None = None) -> None:
        """Removes queues with all they hold, or what they held before a mark.

        A removed queue is gone at once. What it held is let go in steps; those that are left when the call is
        interrupted are made by the next one.
        """
        marks = self._marks(before)

        async def remove(where: Partition, positions: Sequence[int]) -> None:
            calls = [[marks[where.number], *(queues[i] for i in chunk)] for chunk in chunked(positions, DELETES)]
            waste = False
            for reply in await run(self._servers, where, DELETE, calls, harmless=True):
                raise_errors(reply)
                waste = waste or bool(reply)
            while waste:
                [left] = await run(self._servers, where, REAP, [[REAPED]], harmless=True)
                raise_errors(left)
                waste = bool(left)

        await self._everywhere(remove, queues)

    async def enqueue(self, message: Message, queues: Sequence[str], ttl: Micros | None = None) -> list[EnqueueOutcome]:
        """Appends one message to many queues. Its content crosses the network once for each partition."""
        if ttl is not None and ttl <= 0:
            raise InvalidArgument.at("ttl", f"{ttl} microseconds is not more than 0; leave it out for the policy's")
        policy = self._context.queues
        lasting = policy.message_ttl if ttl is None else ttl
        content: list[Arg] = [message.payload, message.content_type, message.sent_at, message.delivery, message.sender]
        rest: list[Arg] = [
            b"" if lasting is None else lasting,
            policy.max_messages,
            policy.max_dead_letters,
            policy.max_attempts,
        ]
        outcomes: list[Any] = [_ENQUEUED] * len(queues)
        batch = Batch(self._servers, ENQUEUE, "store the message", harmless=True)

        async def append(where: Partition, positions: Sequence[int]) -> None:
            with_content: list[Arg] = [message.id, 1, *content, *rest]
            without: list[Arg] = [message.id, 0, *(b"" for _ in content), *rest]
            chunks = chunked(positions, ENQUEUES)
            first = chunks[0]

            def arguments(chunk: Sequence[int]) -> list[Arg]:
                return [*(with_content if chunk is first else without), *(queues[i] for i in chunk)]

            answered = await through(batch, where, chunks, arguments, in_order=len(chunks) > 1)
            for chunk, reply in answered:
                answer = reply
                if answer == b"CONTENT":  # nobody of the earlier ones took it, or they have let it go since
                    [answer] = await batch.send(where, [[*with_content, *(queues[i] for i in chunk)]])
                if isinstance(answer, Exception):
                    problem = batch.outcome(answer)
                    for i in chunk:
                        outcomes[i] = problem
                elif b"N" in answer:
                    for i, letter in zip(chunk, answer, strict=True):
                        if letter == ord("N"):
                            outcomes[i] = _NO_QUEUE

        await self._everywhere(append, queues)
        batch.finish()
        return outcomes

    async def dequeue(self, queues: Sequence[str], limit: int, visibility: Micros) -> list[Lease]:
        """Leases up to `limit` of the oldest visible messages of each queue, 500 queues in one call of a script."""
        _positive("visibility", visibility)
        policy = self._context.queues
        head: list[Arg] = [max(0, limit), visibility, policy.max_dead_letters, policy.max_attempts, CONTENT_BYTES]
        leases: list[Lease] = []

        async def take(where: Partition, positions: Sequence[int]) -> None:
            waiting = chunked(positions, DEQUEUES)
            while waiting:
                calls = [[*head, *(queues[i] for i in chunk)] for chunk in waiting]
                replies = await run(self._servers, where, DEQUEUE, calls)
                left = []
                for chunk, reply in zip(waiting, replies, strict=True):
                    raise_errors(reply)
                    leases.extend(_leases(chunk, queues, reply))
                    if reply[2] < len(chunk):
                        left.append(chunk[reply[2] :])
                waiting = left

        await self._everywhere(take, queues)
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
        policy = self._context.queues
        depths = [0] * len(queues)
        head: list[Arg] = [policy.max_dead_letters, policy.max_attempts]
        for chunk, reply in await self._all(DEPTH, queues, DEQUEUES, head):
            for i, depth in zip(chunk, reply, strict=True):
                depths[i] = depth
        return depths

    async def dead_letters(self, queue: str, limit: int) -> list[DeadLetter]:
        """The oldest dead letters of a queue."""
        policy, where = self._context.queues, self._where(queue)
        found: list[DeadLetter] = []
        while len(found) < limit:
            wanted = min(LETTERS, limit - len(found))
            call: list[Arg] = [policy.max_dead_letters, policy.max_attempts, queue, len(found), wanted]
            [reply] = await run(self._servers, where, DEAD_LETTERS, [call], harmless=True)
            raise_errors(reply)
            for attempts, died_at, message_id, fields in reply:
                reason = f"not acked in {attempts} deliveries; the queue allows {policy.max_attempts}"
                message = _message(message_id, fields)
                found.append(DeadLetter(queue, message, attempts, int(died_at), reason))
            if len(reply) < wanted:
                break
        return found

    async def replay(self, queue: str, message_ids: Sequence[str]) -> int:
        """Puts dead letters back at the end of their queue as new."""
        if not message_ids:
            return 0
        policy = self._context.queues
        ttl: Arg = b"" if policy.message_ttl is None else policy.message_ttl
        call: list[Arg] = [policy.max_messages, policy.max_dead_letters, policy.max_attempts, ttl, queue]
        [reply] = await run(self._servers, self._where(queue), REPLAY, [[*call, *message_ids]])
        raise_errors(reply)
        return int(reply)

    async def _settle(self, action: str, leases: Sequence[Lease], duration: Micros) -> list[SettleOutcome]:
        outcomes: list[SettleOutcome] = [_LOST] * len(leases)
        tokens = [lease.token.split(".") for lease in leases]
        batch = Batch(self._servers, SETTLE, f"{action} the message", harmless=action == "extend")

        async def send(where: Partition, positions: Sequence[int]) -> None:
            good = [i for i in positions if len(tokens[i]) == 3]

            def arguments(chunk: Sequence[int]) -> list[Arg]:
                return [action, duration, *(part for i in chunk for part in (leases[i].queue, *tokens[i]))]

            for chunk, reply in await through(batch, where, chunked(good, SETTLES), arguments, in_order=False):
                if isinstance(reply, Exception):
                    problem = batch.outcome(reply)
                    for i in chunk:
                        outcomes[i] = problem
                    continue
                for i, settled in zip(chunk, reply, strict=True):
                    if settled:
                        outcomes[i] = _SETTLED

        await self._everywhere(send, [lease.queue for lease in leases])
        batch.finish()
        return outcomes

    async def _all(
        self, code: Script, queues: Sequence[str], size: int, head: list[Arg]
    ) -> list[tuple[Sequence[int], Reply]]:
        """Runs a harmless script over queues; positions and reply of each call."""
        answered: list[tuple[Sequence[int], Reply]] = []

        async def send(where: Partition, positions: Sequence[int]) -> None:
            chunks = chunked(positions, size)
            calls = [[*head, *(queues[i] for i in chunk)] for chunk in chunks]
            for chunk, reply in zip(chunks, await run(self._servers, where, code, calls, harmless=True), strict=True):
                raise_errors(reply)
                answered.append((chunk, reply))

        await self._everywhere(send, queues)
        return answered

    async def _everywhere(self, act: Callable[[Partition, Sequence[int]], Any], queues: Sequence[str]) -> None:
        groups = grouped(queues, len(self._partitions))
        await together(act(self._partitions[number], positions) for number, positions in groups.items())

    def _where(self, queue: str) -> Partition:
        return self._partitions[number_of(queue, len(self._partitions))]

    def _marks(self, before: str | None) -> list[str]:
        """The position of a mark in each partition."""
        if before is None:
            return [""] * len(self._partitions)
        marks = before.split(",")
        if len(marks) != len(self._partitions) or not all(mark.isdecimal() for mark in marks):
            raise InvalidArgument.at("before", f"{before!r} is not a mark of this slot; pass what mark() returned")
        return marks


def _leases(chunk: Sequence[int], queues: Sequence[str], reply: Reply) -> list[Lease]:
    """The leases of one call: five values each, and the messages that they are of, each once."""
    flat, described, _ = reply
    messages = {message_id: _message(message_id, fields) for message_id, fields in described}
    leases = []
    for i in range(0, len(flat), 5):
        which, token, attempt, message_id, dropped = flat[i : i + 5]
        content = messages[message_id] if message_id else Gap(dropped)
        leases.append(Lease(queues[chunk[which]], token.decode(), attempt, content))
    return leases


def _message(message_id: bytes, fields: list[bytes]) -> Message:
    """A message from its entry in the stream; an entry removed by hand leaves an empty one."""
    found = dict(zip(fields[::2], fields[1::2], strict=True))
    return Message(
        message_id.decode(),
        found.get(b"payload", b""),
        found.get(b"content_type", b"application/octet-stream").decode(),
        int(found.get(b"sent_at", b"0")),
        DeliverySemantics(found.get(b"delivery", b"at-least-once").decode()),
        found.get(b"sender", b"").decode(),
    )


def _positive(field: str, duration: Micros) -> Micros:
    if duration <= 0:
        raise InvalidArgument.at(field, f"{duration} microseconds is not more than 0; give a positive time")
    return duration
