"""The durability slot: JetStream, without a consumer for each queue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from prism.model.errors import InvalidArgument
from prism.model.message import Message
from prism.model.time import Micros
from prism.plugins.spec import Capability
from prism.slots.context import Code, SlotContext
from prism.slots.durability import (
    DeadLetter,
    DurabilityBackend,
    EnqueueOutcome,
    Lease,
    LeaseLost,
    Settled,
    SettleOutcome,
)

from prism_nats import errors, shared
from prism_nats.bodies import Bodies
from prism_nats.clock import ServerClock
from prism_nats.config import NatsConfig, Storage
from prism_nats.controls import Controls
from prism_nats.deadletters import DeadLetters
from prism_nats.enqueueing import Enqueueing
from prism_nats.errors import ConnectionLost
from prism_nats.handing import Handing
from prism_nats.ledger import Held, Ledger
from prism_nats.ledgers import Ledgers
from prism_nats.link import Link
from prism_nats.plugin import DURABILITY
from prism_nats.removal import Removal
from prism_nats.rooms import Rooms
from prism_nats.streams import Streams
from prism_nats.subjects import Subjects

_SETTLED: Final = Settled()
_LOST: Final = LeaseLost()


class _Parts:
    """What an open slot is made of."""

    def __init__(self, link: Link, config: NatsConfig, context: SlotContext) -> None:
        self.link = link
        self.streams = Streams(link, Subjects(config.subject_prefix, context.namespace), config, context.queues)
        self.clock = ServerClock(self.streams)
        self.bodies = Bodies(self.streams, self.clock)
        self.controls = Controls(self.streams)
        self.ledgers = Ledgers(self.streams, self.bodies)
        self.rooms = Rooms(self.streams, self.ledgers, context.queues, self.clock)
        self.handing = Handing(self.streams, self.bodies, self.ledgers, self.rooms, context.queues, self.clock)
        self.removal = Removal(self.streams, self.bodies, self.controls, self.ledgers, self.rooms)
        self.dead_letters = DeadLetters(
            self.streams, self.bodies, self.controls, self.ledgers, context.queues, self.clock
        )


class NatsDurability(DurabilityBackend):
    """Queues in two JetStream streams; the README says how. Every call may be repeated."""

    def __init__(self, config: NatsConfig, context: SlotContext) -> None:
        self._config = config
        self._context = context
        self._open_parts: _Parts | None = None

    async def open(self) -> None:
        """Connects, and makes the streams where they aren't there."""
        link = await shared.borrow(self._config)
        self._open_parts = _Parts(link, self._config, self._context)
        link.on_lost.add(self._open_parts.streams.doubt)
        await self._open_parts.streams.open()
        await self._open_parts.clock.set()
        self._open_parts.bodies.open()

    async def close(self) -> None:
        """Lets the connection go."""
        parts, self._open_parts = self._open_parts, None
        if parts is not None:
            parts.link.on_lost.discard(parts.streams.doubt)
            await parts.bodies.close()
            await shared.give_back(parts.link)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All that the plugin declares; streams in memory aren't durable."""
        if self._config.stream.storage is Storage.MEMORY:
            return DURABILITY.capabilities - {Capability.DURABLE}
        return DURABILITY.capabilities

    async def check(self) -> None:
        """Asks the leader of the stream for its state."""
        await self._parts.streams.server_time()

    def classify(self, error: Exception) -> Code | None:
        """Says what an exception of ours or the driver's means."""
        return errors.classify(error)

    async def create(self, queues: Sequence[str]) -> None:
        """Makes queues; those that exist are left as they are."""
        await (await self._ready()).removal.create(list(dict.fromkeys(queues)))

    async def mark(self) -> str:
        """A point in this slot's life: a sequence of the stream, and which stream."""
        parts = await self._ready()
        return f"{await parts.removal.mark()}.{parts.streams.life}"

    async def delete(self, queues: Sequence[str], before: str | None = None) -> None:
        """Removes queues with all they hold, or what they held before a mark."""
        names = list(dict.fromkeys(queues))
        parts = await self._ready()
        if before is None:
            await parts.removal.delete(names)
            return
        sequence, _, life = before.partition(".")
        if not (sequence.isdecimal() and life.isdecimal()):
            raise InvalidArgument.at("before", f"{before!r} is not a mark of this slot; pass what mark() returned")
        if life == parts.streams.life:  # else all that was before the mark is gone with its stream
            await parts.removal.delete_before(names, int(sequence))

    async def enqueue(self, message: Message, queues: Sequence[str], ttl: Micros | None = None) -> list[EnqueueOutcome]:
        """Appends one message to many queues. Cancelled, it leaves some with it and others without."""
        if ttl is None:
            ttl = self._context.queues.message_ttl
        elif ttl <= 0:
            raise InvalidArgument.at("ttl", f"{ttl} microseconds is not more than 0; leave it out for the policy's")
        parts = await self._ready()
        call = Enqueueing(parts.streams, parts.bodies, parts.controls, parts.ledgers, parts.rooms, message)
        outcomes = await call.run(queues, ttl)
        return [outcomes[queue] for queue in queues]

    async def dequeue(self, queues: Sequence[str], limit: int, visibility: Micros) -> list[Lease]:
        """Leases up to `limit` of the oldest visible messages of each queue."""
        parts = await self._ready()
        await parts.clock.set()
        return await parts.handing.dequeue(list(dict.fromkeys(queues)), limit, _positive(visibility))

    async def ack(self, leases: Sequence[Lease]) -> list[SettleOutcome]:
        """Removes delivered messages for good."""
        return await self._settle(leases, lambda ledger, held, _now: ledger.settle(held))

    async def nack(self, leases: Sequence[Lease], delay: Micros = 0) -> list[SettleOutcome]:
        """Gives messages back, visible again after `delay`. The attempt counts."""
        if delay < 0:
            raise InvalidArgument.at("delay", f"{delay} microseconds is less than 0; give 0 or a positive time")

        def give_back(_ledger: Ledger, held: Held, now: Micros) -> None:
            held.leased, held.visible_at = False, now + delay

        return await self._settle(leases, give_back)

    async def release(self, leases: Sequence[Lease]) -> list[SettleOutcome]:
        """Gives messages back at once that nobody saw. The attempt doesn't count."""

        def give_back(_ledger: Ledger, held: Held, now: Micros) -> None:
            held.leased, held.visible_at = False, now
            held.attempts -= 1

        return await self._settle(leases, give_back)

    async def extend(self, leases: Sequence[Lease], visibility: Micros) -> list[SettleOutcome]:
        """Keeps leases for `visibility` microseconds from now."""
        _positive(visibility)

        def extend(_ledger: Ledger, held: Held, now: Micros) -> None:
            held.visible_at = now + visibility

        return await self._settle(leases, extend)

    async def depth(self, queues: Sequence[str]) -> list[int]:
        """How many messages each queue holds; reads them, since some may have timed out."""
        depths = await (await self._ready()).handing.depth(list(dict.fromkeys(queues)))
        return [depths[queue] for queue in queues]

    async def dead_letters(self, queue: str, limit: int) -> list[DeadLetter]:
        """The oldest dead letters of a queue."""
        return await (await self._ready()).dead_letters.read(queue, limit)

    async def replay(self, queue: str, message_ids: Sequence[str]) -> int:
        """Puts dead letters back at the end of their queue as new."""
        return await (await self._ready()).dead_letters.replay(queue, set(message_ids))

    async def _ready(self) -> _Parts:
        parts = self._parts
        if await parts.streams.ready():
            parts.controls.forget_all()
            parts.ledgers.forget_all()
        return parts

    @property
    def _parts(self) -> _Parts:
        if self._open_parts is None:
            raise ConnectionLost("the slot is not open")
        return self._open_parts

    async def _settle(
        self, leases: Sequence[Lease], act: Callable[[Ledger, Held, Micros], None]
    ) -> list[SettleOutcome]:
        """Changes the ledgers of all leases, one write for each queue."""
        parts = await self._ready()
        now = parts.clock.now()
        by_queue: dict[str, list[int]] = defaultdict(list)
        for i, lease in enumerate(leases):
            by_queue[lease.queue].append(i)

        def edit(queue: str, ledger: Ledger) -> tuple[list[SettleOutcome], bool]:
            found: list[SettleOutcome] = []
            for i in by_queue[queue]:
                token, _, life = leases[i].token.rpartition(".")
                held = ledger.leased(token, now) if life == parts.streams.life else None
                if held is not None:
                    act(ledger, held, now)
                found.append(_LOST if held is None else _SETTLED)
            return found, _LOST not in found

        results = await parts.ledgers.change(by_queue, edit)
        outcomes: list[SettleOutcome] = [_LOST] * len(leases)
        for queue, indexes in by_queue.items():
            result = results[queue]
            if isinstance(result, Exception):
                result = [errors.failure(result, "settle a lease")] * len(indexes)
            for i, outcome in zip(indexes, result, strict=True):
                outcomes[i] = outcome
        return outcomes


def _positive(visibility: Micros) -> Micros:
    if visibility <= 0:
        raise InvalidArgument.at("visibility", f"{visibility} microseconds is not more than 0; give a positive time")
    return visibility
