"""Moves at-least-once messages from queues to sessions, and their acks back. One pump per namespace."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import islice
from typing import TYPE_CHECKING

from prism.coordinator.frames import chunks
from prism.model.time import SECOND
from prism.plugins.spec import SlotKind
from prism.sessions.binding import Binding
from prism.slots.durability import DurabilityBackend, Lease

if TYPE_CHECKING:
    from prism.coordinator.coordinator import Coordinator
    from prism.coordinator.namespace import Namespace
    from prism.model.time import Micros

QUEUES_PER_FETCH = 1_000
MESSAGES_PER_FETCH = 32
"""Messages of one queue that are leased at a time."""
LEASES_PER_CALL = 5_000


class Pump:
    """Two loops, `fetch` and `settle`, and what they have to do.

    One fetch at a time keeps the order within a queue. An identity takes part while it has room in its window
    of unacked messages.
    """

    def __init__(self, ns: Namespace, durability: DurabilityBackend, coordinator: Coordinator) -> None:
        self._ns = ns
        self._durability = durability
        self._coordinator = coordinator
        self._window = ns.config.limits.unacked_messages
        self._bindings: dict[str, Binding] = {}
        self._ready: dict[str, None] = {}
        self._fetch_wanted = asyncio.Event()
        self._untold: deque[Lease] = deque()
        """Acked, and the senders don't know yet."""
        self._acks: deque[Lease] = deque()
        """Acked, told, and not settled yet."""
        self._nacks: defaultdict[Micros, list[Lease]] = defaultdict(list)
        self._releases: list[Lease] = []
        self._settle_wanted = asyncio.Event()

    def add(self, binding: Binding) -> None:
        """An identity is attached: what its queue holds is delivered from now on."""
        self._bindings[binding.identity] = binding
        self.wake((binding.identity,))

    def remove(self, binding: Binding) -> None:
        """An identity has gone."""
        if self._bindings.get(binding.identity) is binding:
            del self._bindings[binding.identity]
            self._ready.pop(binding.identity, None)

    def wake(self, identities: Iterable[str]) -> None:
        """Queues may have something new."""
        self._ready.update(dict.fromkeys(identities))
        self._fetch_wanted.set()

    def wake_all(self) -> None:
        """Any queue may have something new: a nudge can get lost, a lease of a dead proxy run out."""
        if self._bindings:
            self.wake(self._bindings)

    def ack(self, binding: Binding, lease: Lease) -> None:
        """The identity has done with a message."""
        self._untold.append(lease)
        self._make_room(binding)
        self._settle_wanted.set()

    def nack(self, binding: Binding, lease: Lease, delay: Micros) -> None:
        """A message goes back and counts as tried."""
        self._nacks[delay].append(lease)
        self._make_room(binding)
        self._settle_wanted.set()

    def release(self, binding: Binding, lease: Lease) -> None:
        """A message goes back that nobody saw."""
        self._releases.append(lease)
        self._make_room(binding)
        self._settle_wanted.set()

    async def fetch(self) -> None:
        """Leases what is ready and hands it to the sessions, for ever."""
        while True:
            await self._fetch_wanted.wait()
            self._fetch_wanted.clear()
            while self._ready:
                batch = list(islice(self._ready, QUEUES_PER_FETCH))
                for identity in batch:
                    del self._ready[identity]
                queues = [identity for identity in batch if self._has_room(identity)]
                if queues:
                    await self._fetch(queues)

    async def settle(self) -> None:
        """Acks, nacks and releases in batches, for ever."""
        while True:
            await self._settle_wanted.wait()
            self._settle_wanted.clear()
            await self._settle_acks()
            while self._nacks:
                delay, leases = self._nacks.popitem()
                try:
                    with self._guard("nack messages"):
                        await self._durability.nack(leases, delay)
                except BaseException:
                    self._nacks[delay] += leases
                    self._settle_wanted.set()
                    raise
                self.wake({lease.queue for lease in leases} & self._bindings.keys())
            if self._releases:
                leases, self._releases = self._releases, []
                try:
                    with self._guard("release messages"):
                        await self._durability.release(leases)
                except BaseException:
                    self._releases += leases
                    self._settle_wanted.set()
                    raise
                self.wake({lease.queue for lease in leases} & self._bindings.keys())

    async def extend(self, leases: Sequence[Lease]) -> None:
        """Keeps leases of living sessions, and of acks that wait to be settled."""
        leases = [*leases, *self._acks, *self._untold]
        for piece in chunks(len(leases), LEASES_PER_CALL):
            with self._guard("extend leases"):
                await self._durability.extend(leases[piece], self._ns.config.queues.visibility)

    async def flush(self) -> None:
        """Settles what is waiting, once; for a clean end."""
        self._settle_wanted.set()
        await self._settle_acks()
        if self._releases:
            leases, self._releases = self._releases, []
            await self._durability.release(leases)
        while self._nacks:
            delay, leases = self._nacks.popitem()
            await self._durability.nack(leases, delay)

    async def _fetch(self, queues: list[str]) -> None:
        try:
            with self._guard("dequeue"):
                leases = await self._durability.dequeue(queues, MESSAGES_PER_FETCH, self._ns.config.queues.visibility)
        except BaseException:
            self._ready.update(dict.fromkeys(queues))
            self._fetch_wanted.set()
            raise
        counts: dict[str, int] = defaultdict(int)
        orphans = []
        for lease in leases:
            binding = self._bindings.get(lease.queue)
            if binding is None:
                orphans.append(lease)
                continue
            counts[lease.queue] += 1
            if lease.attempt > 1:
                self._coordinator.metrics.redelivered[self._ns.name] += 1
            binding.session.offer_lease(binding, lease)
        for queue, count in counts.items():
            if count >= MESSAGES_PER_FETCH:
                self._more(queue)
        if orphans:
            self._releases.extend(orphans)
            self._settle_wanted.set()

    def _more(self, queue: str) -> None:
        binding = self._bindings.get(queue)
        if binding is None:
            return
        if self._has_room(queue):
            self._ready[queue] = None
        else:
            binding.more = True

    def _has_room(self, identity: str) -> bool:
        binding = self._bindings.get(identity)
        if binding is None:
            return False
        if binding.unacked + MESSAGES_PER_FETCH <= max(self._window, MESSAGES_PER_FETCH):
            return True
        binding.more = True
        return False

    def _make_room(self, binding: Binding) -> None:
        binding.unacked -= 1
        if binding.more and binding.unacked + MESSAGES_PER_FETCH <= max(self._window, MESSAGES_PER_FETCH):
            binding.more = False
            self.wake((binding.identity,))

    async def _settle_acks(self) -> None:
        """Tells the senders first: the other way round, a proxy that is killed in between leaves them with PENDING for
        ever. What is told and not settled comes again, and is told again as such."""
        while self._untold or self._acks:
            fresh = [self._untold.popleft() for _ in range(min(len(self._untold), LEASES_PER_CALL))]
            self._acks.extend(fresh)
            await self._tell(fresh)
            batch = [self._acks.popleft() for _ in range(min(len(self._acks), LEASES_PER_CALL))]
            try:
                with self._guard("ack messages"):
                    await self._durability.ack(batch)
            except BaseException:
                self._acks.extendleft(reversed(batch))
                self._settle_wanted.set()
                raise

    async def _tell(self, leases: Sequence[Lease]) -> None:
        """Takes a fourth of the visibility at most: what is not settled in time comes again, and is told again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._ns.config.queues.visibility / SECOND / 4):
                await self._coordinator.report_acks(self._ns, leases)

    def _guard(self, action: str) -> AbstractContextManager[None]:
        return self._ns.guard(SlotKind.DURABILITY)(action)
