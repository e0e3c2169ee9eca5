"""The identities of one namespace that are attached to this proxy: who hosts whom, renewals, queues."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prism.coordinator.hosting import NO_STREAM
from prism.model.errors import NotFound, PrismError, StaleRegistration
from prism.model.operations import Beat
from prism.model.time import SECOND
from prism.sessions.pump import Pump
from prism.slots.registry import Renewal

if TYPE_CHECKING:
    from prism.coordinator.attaching import Claim
    from prism.coordinator.coordinator import Coordinator
    from prism.coordinator.namespace import Namespace
    from prism.coordinator.receipts import FrameReceipt
    from prism.model.identity import Registration
    from prism.model.message import Message
    from prism.model.time import Micros
    from prism.sessions.binding import Binding
    from prism.sessions.session import Session
    from prism.slots.durability import Lease

logger = logging.getLogger(__name__)

TICK = 0.25
"""Seconds between looks at what has to be renewed."""
POLL = 5.0
"""Seconds between looks into all queues, for nudges that got lost and leases that ran out."""
SILENCE = 60.0
"""Seconds without a frame after which a client without a TTL is taken for dead."""
RENEWALS_PER_CALL = 10_000
RENEW_AGAIN = 1.0
"""Seconds until renewals that failed are tried again."""
FULL = "its inbox is full: the receiver is too slow"


class Hosting:
    """What this proxy hosts of one namespace."""

    def __init__(self, coordinator: Coordinator, ns: Namespace) -> None:
        self.ns = ns
        self.sessions: set[Session] = set()
        self.pump = None if ns.durability is None else Pump(ns, ns.durability, coordinator)
        self.emptied = asyncio.Event()
        self._coordinator = coordinator
        self._bindings: dict[str, Binding] = {}
        self._claiming: dict[str, asyncio.Future[None]] = {}
        self._due: defaultdict[int, list[Binding]] = defaultdict(list)
        self._last_tick = self._tick_number()
        self._awake = asyncio.get_running_loop().time()
        self._next_poll = asyncio.get_running_loop().time() + POLL
        self._next_extension = 0.0

    @property
    def attached(self) -> int:
        """How many identities are attached."""
        return len(self._bindings)

    # What sessions ask

    async def claim(self, claims: Sequence[Claim]) -> list[tuple[Registration, bool] | PrismError]:
        """Registers identities as hosted here."""
        return await self._coordinator.attaching.claim(self.ns, claims, self._coordinator.address)

    async def let_go(self, bindings: Sequence[Binding], *, keep: bool) -> None:
        """Unregisters what a session let go, or leaves it for its TTL. What was overtaken is left alone."""
        if not bindings:
            return
        if keep:
            renewals = [Renewal(b.identity, b.registration_id, b.ttl) for b in bindings]
            await self._coordinator.attaching.park(self.ns, renewals)
            return
        beats = [Beat(binding.identity, binding.registration_id) for binding in bindings]
        for outcome in await self._coordinator.registrations.unregister(self.ns, beats):
            if isinstance(outcome, PrismError) and not isinstance(outcome, StaleRegistration):
                raise outcome

    @asynccontextmanager
    async def exclusive(self, identities: Sequence[str]) -> AsyncIterator[None]:
        """Lets one session at a time claim an identity, so that registry and hosting agree on who was last."""
        while busy := {self._claiming[identity] for identity in identities if identity in self._claiming}:
            await asyncio.wait(busy)
        done = asyncio.get_running_loop().create_future()
        self._claiming.update(dict.fromkeys(identities, done))
        try:
            yield
        finally:
            for identity in identities:
                del self._claiming[identity]
            done.set_result(None)

    def bind(self, binding: Binding) -> None:
        """An identity is about to be hosted by a session; whoever hosts it now is displaced if that succeeds."""
        binding.displaced = self._bindings.get(binding.identity)
        self._bindings[binding.identity] = binding

    def activated(self, binding: Binding) -> None:
        """The registry has it: it is renewed and gets what its queue holds from now on."""
        binding.ttl = self.ns.lifetime(binding.asked_ttl, self.ns.config.attach_ttl)
        self._schedule(binding)
        if self.pump is not None:
            self.pump.add(binding)

    def unbind(self, binding: Binding) -> None:
        """A session doesn't have it any more (or never got it)."""
        if self.pump is not None:
            self.pump.remove(binding)
        if self._bindings.get(binding.identity) is not binding:
            return
        displaced = binding.displaced
        if displaced is not None and displaced.attached:
            self._bindings[binding.identity] = displaced
        else:
            del self._bindings[binding.identity]

    def acked(self, binding: Binding, lease: Lease) -> None:
        """The identity has done with a message."""
        if self.pump is not None:
            self.pump.ack(binding, lease)

    def nacked(self, binding: Binding, lease: Lease, delay: Micros) -> None:
        """A message goes back to its queue."""
        if self.pump is not None:
            self.pump.nack(binding, lease, delay)

    def released(self, binding: Binding, lease: Lease) -> None:
        """A message that nobody saw goes back to its queue."""
        if self.pump is not None:
            self.pump.release(binding, lease)

    def left(self, session: Session) -> None:
        """A session has ended."""
        self.sessions.discard(session)
        if not self.sessions:
            self.emptied.set()

    # What comes in for hosted identities

    def deliver(
        self, message: Message, identities: Sequence[str], registration_ids: Sequence[str], receipt: FrameReceipt
    ) -> None:
        """Puts a message into inboxes; fails those that aren't attached or whose inbox is full."""
        bindings = self._bindings
        bound = self.ns.config.limits.inbox_messages
        gone: list[int] = []
        full: list[int] = []
        for position, identity in enumerate(identities):
            binding = bindings.get(identity)
            if binding is None or binding.registration_id != registration_ids[position]:
                binding = None if binding is None else _earlier(binding, registration_ids[position])
                if binding is None:
                    gone.append(position)
                    continue
            last = binding.session.joinable
            if last is not None and last.receipt is receipt and binding.held is None and binding.waiting < bound:
                # One more identity of the stream that got this message a moment ago. Spelled out here: a gateway's
                # stream has hundreds, and this is where a multicast to it spends its time.
                binding.waiting += 1
                last.handles.append(binding.handle)
                last.bindings.append(binding)
                last.positions.append(position)
            elif not binding.session.offer(binding, message, receipt, position):
                full.append(position)
        if gone:
            receipt.fail(gone, NO_STREAM)
        if full:
            self._coordinator.metrics.overflows[self.ns.name] += len(full)
            receipt.fail(full, FULL)

    def nudge(self, identities: Sequence[str]) -> None:
        """Queues have something new."""
        if self.pump is not None:
            bindings = self._bindings
            self.pump.wake([identity for identity in identities if identity in bindings])

    def evict(self, identities: Sequence[str], registration_ids: Sequence[str], reason: str) -> None:
        """The registry doesn't have these registrations any more."""
        for identity, registration_id in zip(identities, registration_ids, strict=False):
            binding = self._bindings.get(identity)
            if binding is not None and binding.registration_id != registration_id:
                binding = _earlier(binding, registration_id)
            if binding is not None and binding.held is None:
                binding.session.lose(binding, reason)

    def interrupted(self, reason: str) -> None:
        """Frames may have been missed."""
        for session in list(self.sessions):
            session.announce_gap(reason)
        if self.pump is not None:
            self.pump.wake_all()

    # Time

    def forgive_stall(self) -> None:
        """Asked once a TICK: asked late, this process was held up (stopped, starved of the processor, busy for long).

        What clients said meanwhile waits in the sockets: that silence was ours, not theirs.
        """
        now = asyncio.get_running_loop().time()
        late, self._awake = now - self._awake - 2 * TICK, now
        if late > 0:
            logger.warning("namespace %r: this proxy was held up for %.1f s", self.ns.name, late + TICK)
            for session in self.sessions:
                session.last_frame += late + TICK

    async def tick(self) -> None:
        """Renews what is due in one batch, closes silent sessions, keeps leases, looks into the queues."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            await self._renew_due()
            if self.pump is None:
                continue
            now = loop.time()
            if now >= self._next_poll:
                self._next_poll = now + POLL
                self.pump.wake_all()
            if now >= self._next_extension:
                self._next_extension = now + self.ns.config.queues.visibility / SECOND / 3
                await self.pump.extend([lease for session in self.sessions for lease in session.leases()])

    async def prolong(self, grace: Micros) -> None:
        """Makes sure that every hosted registration outlives `grace`, for its client to attach elsewhere."""
        renewals = [
            Renewal(binding.identity, binding.registration_id, max(binding.ttl, grace))
            for binding in self._bindings.values()
            if binding.held is None and binding.ttl is not None
        ]
        for start in range(0, len(renewals), RENEWALS_PER_CALL):
            await self._coordinator.registrations.renew(self.ns, renewals[start : start + RENEWALS_PER_CALL])

    async def _renew_due(self) -> None:
        current = self._tick_number()
        due: list[Binding] = []
        for tick in range(self._last_tick + 1, current + 1):
            due.extend(self._due.pop(tick, ()))
        self._last_tick = current
        self.forgive_stall()
        now = asyncio.get_running_loop().time()
        living: list[Binding] = []
        for binding in due:
            if not binding.attached:
                continue
            if now - binding.session.last_frame > _patience(binding):
                logger.info("namespace %r: a session was silent for too long and is closed", self.ns.name)
                binding.session.close()
                continue
            living.append(binding)
        renewed = [binding for binding in living if binding.ttl is not None]
        failed: set[Binding] = set()
        for start in range(0, len(renewed), RENEWALS_PER_CALL):
            piece = renewed[start : start + RENEWALS_PER_CALL]
            if not await self._renew(piece):
                failed.update(piece)
        for binding in living:
            if binding.attached:
                self._schedule(binding, RENEW_AGAIN if binding in failed else math.inf)

    async def _renew(self, bindings: Sequence[Binding]) -> bool:
        """Whether the registry answered."""
        renewals = [Renewal(b.identity, b.registration_id, b.ttl) for b in bindings]
        try:
            outcomes = await self._coordinator.registrations.renew(self.ns, renewals)
        except PrismError as error:
            self._coordinator.metrics.background_failures[f"renewals of {self.ns.name}"] += 1
            logger.warning("namespace %r: %d registrations were not renewed: %s", self.ns.name, len(bindings), error)
            return False
        for binding, outcome in zip(bindings, outcomes, strict=True):
            if isinstance(outcome, NotFound):
                binding.session.lose(binding, "EXPIRED")
            elif isinstance(outcome, StaleRegistration):
                binding.session.lose(binding, "SUPERSEDED")
        return True

    def _schedule(self, binding: Binding, at_most: float = math.inf) -> None:
        seconds = min(SILENCE / 3 if binding.ttl is None else binding.ttl / SECOND / 3, at_most)
        self._due[self._tick_number() + max(1, int(seconds / TICK))].append(binding)

    def _tick_number(self) -> int:
        return int(asyncio.get_running_loop().time() / TICK)


def _earlier(binding: Binding, registration_id: str) -> Binding | None:
    """The binding that is being displaced, where that is the one meant."""
    displaced = binding.displaced
    if displaced is not None and displaced.attached and displaced.registration_id == registration_id:
        return displaced
    return None


def _patience(binding: Binding) -> float:
    return SILENCE if binding.ttl is None else max(binding.ttl / SECOND, 1.0)
