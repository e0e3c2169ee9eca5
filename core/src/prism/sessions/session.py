"""A session: what one stream has attached, what waits for it, and what it hasn't acked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from prism.coordinator.attaching import Claim
from prism.coordinator.receipts import FrameReceipt
from prism.model.errors import InvalidArgument, PrismError, QuotaExceeded
from prism.model.identity import new_registration_id
from prism.model.message import Message
from prism.model.operations import AttachItem, Attachment
from prism.sessions.binding import Binding
from prism.sessions.events import NONE, Delivery, Detached, Draining, Lost, MessageGap, Refused, SessionEvent
from prism.slots.durability import Gap, Lease

if TYPE_CHECKING:
    from prism.model.time import Micros
    from prism.sessions.hosting import Hosting

TAKE_BYTES = 256 * 1024
"""Payload bytes handed to the transport at a time."""

STREAM_ENDED = "its stream ended before it took the message"


@dataclass(slots=True)
class _Held:
    """A lease that this session has; `seen` once the transport took the message."""

    binding: Binding
    lease: Lease
    seen: bool = False


class Session:
    """One stream's identities, inbox and leases. Made by `Hub.open`; used as an async context manager.

    Leaving it is losing the stream: registrations live on until their TTL, leased messages go back to their
    queues. `take` and `handed_over` are for one reader; the rest may be called meanwhile.
    """

    def __init__(self, hosting: Hosting) -> None:
        self.last_frame = 0.0
        """When the client was last heard of, by the event loop's clock."""
        self.bindings: dict[int, Binding] = {}
        self._hosting = hosting
        self._inbox_messages = hosting.ns.config.limits.inbox_messages
        self._inbox_bytes = hosting.ns.config.limits.inbox_bytes
        self._next_handle = 0
        self._next_tag = 1
        self._outbox: list[SessionEvent] = []
        self._waiting_bytes = 0
        self._in_flight: list[SessionEvent] = []
        self._held: dict[int, _Held] = {}
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self.closed = False
        self.joinable: Delivery | None = None
        """The last of the outbox, where it is an at-most-once delivery that more identities can join."""
        self.touch()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def namespace(self) -> str:
        """The namespace of all identities of this session."""
        return self._hosting.ns.name

    def touch(self) -> None:
        """A frame came in: the client lives."""
        self.last_frame = self._loop.time()

    async def attach(self, items: Sequence[AttachItem]) -> list[Attachment | PrismError]:
        """Registers identities, or takes registrations over, and hosts them here.

        What is multicast to them from then on arrives. The outcomes also come through `take`, in order with
        the messages. The newer session wins: an older one is told.
        """
        self.touch()
        limit = self._hosting.ns.config.limits.identities_per_stream
        if len(self.bindings) + len(items) > limit:
            raise QuotaExceeded(f"a stream carries at most {limit:,} identities; open another one")
        if len({item.identity for item in items}) < len(items):
            raise InvalidArgument.at("attach", "names an identity twice; send each once")
        # Shielded: a stream that ends now must not leave a registration behind that nobody hosts or cleans up.
        return await asyncio.shield(self._attach(items))

    def refuse(self, identity: str, error: PrismError) -> None:
        """Tells the client, in order with the rest, that an identity was not attached."""
        self._push(Refused(identity, error))

    @property
    def waiting(self) -> bool:
        """Whether `take` would return at once."""
        return bool(self._outbox)

    async def _attach(self, items: Sequence[AttachItem]) -> list[Attachment | PrismError]:
        async with self._hosting.exclusive([item.identity for item in items]):
            return await self._attach_exclusively(items)

    async def _attach_exclusively(self, items: Sequence[AttachItem]) -> list[Attachment | PrismError]:
        claims = [Claim(item, new_registration_id()) for item in items]
        bindings = [self._bind(claim) for claim in claims]
        try:
            outcomes = await self._hosting.claim(claims)
        except BaseException:
            for binding in bindings:
                self._unbind(binding)
            raise
        results: list[Attachment | PrismError] = []
        for binding, outcome in zip(bindings, outcomes, strict=True):
            if isinstance(outcome, PrismError):
                self._unbind(binding)
                self._push(Refused(binding.identity, outcome))
                results.append(outcome)
                continue
            registration, resumed = outcome
            attachment = Attachment(
                identity=binding.identity,
                handle=binding.handle,
                registration_id=registration.registration_id,
                revision=registration.revision,
                expires_at=registration.expires_at,
                resumed=resumed,
            )
            self._activate(binding, attachment)
            results.append(attachment)
        return results

    async def detach(self, identities: Sequence[str], *, keep: bool) -> None:
        """Lets identities go: unregisters them, or with `keep` leaves them registered until their TTL."""
        self.touch()
        mine = {binding.identity: binding for binding in self.bindings.values()}
        leaving = [mine[identity] for identity in identities if identity in mine]
        for binding in leaving:
            self._unbind(binding)
        await asyncio.shield(self._hosting.let_go(leaving, keep=keep))
        for identity in identities:
            self._push(Detached(identity, mine[identity].handle if identity in mine else -1))

    def ack(self, tags: Iterable[int]) -> None:
        """Messages are done with. Unknown tags (of an earlier stream, say) are ignored: the message comes again."""
        self.touch()
        for tag in tags:
            held = self._held.pop(tag, None)
            if held is not None:
                self._hosting.acked(held.binding, held.lease)

    def nack(self, tags: Iterable[int], delay: Micros = 0) -> None:
        """Messages are to be delivered again after `delay`."""
        self.touch()
        for tag in tags:
            held = self._held.pop(tag, None)
            if held is not None:
                self._hosting.nacked(held.binding, held.lease, delay)

    async def take(self) -> list[SessionEvent]:
        """Waits for what is next: all that is there, up to about 256 KiB of payload. [] when it was closed."""
        while not self._outbox:
            if self.closed:
                return []
            waiter = self._waiter = self._loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None
        events = self._cut()
        self._in_flight = events if not self._in_flight else self._in_flight + events
        return events

    def handed_over(self, events: Sequence[SessionEvent]) -> None:
        """The transport has taken these, which came from `take`: now they count."""
        if events is self._in_flight:
            self._in_flight = []
        else:
            del self._in_flight[: len(events)]
        for event in events:
            if event.__class__ is not Delivery:
                continue
            if event.tags:
                for tag in event.tags:
                    held = self._held.get(tag)
                    if held is not None:
                        held.seen = True
                continue
            for binding in event.bindings:
                binding.waiting -= 1
            if event.receipt is not None:
                event.receipt.deliver(event.positions)

    def offer(self, binding: Binding, message: Message, receipt: FrameReceipt, position: int) -> bool:
        """Puts an at-most-once message into an identity's inbox; False where it is full."""
        if binding.waiting >= self._inbox_messages:
            return False
        size = len(message.payload)
        if self._waiting_bytes + size > self._inbox_bytes and self._waiting_bytes:
            return False
        binding.waiting += 1
        delivery = Delivery(message, [binding.handle], NONE, NONE, [binding], [position], receipt)
        if binding.held is not None:
            binding.held.append(delivery)
            return True
        # As _push, spelled out: this is where a multicast to many streams spends its time.
        self._outbox.append(delivery)
        self.joinable = delivery
        self._waiting_bytes += size
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        return True

    def offer_lease(self, binding: Binding, lease: Lease) -> None:
        """Puts a leased message or gap marker into an identity's inbox."""
        tag = self._next_tag
        self._next_tag = tag + 1
        self._held[tag] = _Held(binding, lease)
        binding.unacked += 1
        content = lease.content
        if isinstance(content, Gap):
            reason = "the queue was full, or messages in it ran out of time"
            self._push(MessageGap(binding.handle, content.dropped, reason, tag))
            return
        if self._outbox:
            last = self._outbox[-1]
            if last.__class__ is Delivery and last.tags and last.message.id == content.id:
                last.handles.append(binding.handle)
                last.tags.append(tag)
                last.attempts.append(lease.attempt)
                return
        self._push(Delivery(content, [binding.handle], [tag], [lease.attempt]))

    def announce_gap(self, reason: str) -> None:
        """Tells of messages that may have been missed, for every identity."""
        for binding in self.bindings.values():
            if binding.held is None:
                self._push(MessageGap(binding.handle, 0, reason))

    def drain(self, grace: Micros) -> None:
        """Tells the client to attach elsewhere."""
        self._push(Draining(grace))

    def lose(self, binding: Binding, reason: str) -> None:
        """The identity isn't this session's any more: SUPERSEDED, EXPIRED or UNREGISTERED."""
        if not binding.attached:
            return
        self._unbind(binding)
        self._push(Lost(binding.identity, binding.handle, reason))

    def leases(self) -> list[Lease]:
        """All that is leased and not settled."""
        return [held.lease for held in self._held.values()]

    def close(self) -> None:
        """Ends the session. What no transport took is FAILED, leases go back. Idempotent."""
        if self.closed:
            return
        self.closed = True
        for binding in list(self.bindings.values()):
            self._unbind(binding)
        for event in (*self._in_flight, *self._outbox):
            if isinstance(event, Delivery) and event.receipt is not None:
                event.receipt.fail(event.positions, STREAM_ENDED)
        self._in_flight = []
        self._outbox = []
        self._wake()
        self._hosting.left(self)

    def _bind(self, claim: Claim) -> Binding:
        handle = self._next_handle
        self._next_handle = handle + 1
        binding = Binding(self, claim.item.identity, claim.registration_id, handle, claim.item.ttl)
        self.bindings[handle] = binding
        self._hosting.bind(binding)
        return binding

    def _activate(self, binding: Binding, attachment: Attachment) -> None:
        held, binding.held = binding.held or [], None
        displaced, binding.displaced = binding.displaced, None
        if displaced is not None:
            displaced.session.lose(displaced, "SUPERSEDED")
        if not binding.attached:  # the session ended while the registry was asked
            for delivery in held:
                if delivery.receipt is not None:
                    delivery.receipt.fail(delivery.positions, STREAM_ENDED)
            return
        self._push(attachment)
        for delivery in held:
            self._push(delivery)
        self._hosting.activated(binding)

    def _unbind(self, binding: Binding) -> None:
        if not binding.attached:
            return
        binding.attached = False
        self.bindings.pop(binding.handle, None)
        self._hosting.unbind(binding)
        for delivery in binding.held or ():
            if delivery.receipt is not None:
                delivery.receipt.fail(delivery.positions, STREAM_ENDED)
        for tag in [tag for tag, held in self._held.items() if held.binding is binding] if binding.unacked else ():
            held = self._held.pop(tag)
            if held.seen:
                self._hosting.nacked(binding, held.lease, 0)
            else:
                self._hosting.released(binding, held.lease)

    def _push(self, event: SessionEvent) -> None:
        if self.closed:
            if isinstance(event, Delivery) and event.receipt is not None:
                event.receipt.fail(event.positions, STREAM_ENDED)
            return
        self._outbox.append(event)
        self.joinable = None
        if event.__class__ is Delivery:
            self._waiting_bytes += len(event.message.payload)
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _cut(self) -> list[SessionEvent]:
        self.joinable = None
        if self._waiting_bytes <= TAKE_BYTES:
            events, self._outbox, self._waiting_bytes = self._outbox, [], 0
            return events
        size = 0
        count = 0
        for event in self._outbox:
            if event.__class__ is Delivery:
                if count and size + len(event.message.payload) > TAKE_BYTES:
                    break
                size += len(event.message.payload)
            count += 1
        events = self._outbox[:count]
        del self._outbox[:count]
        self._waiting_bytes -= size
        return events
