"""Multicast: filter, fan out by address, collect receipts (design section 7, delivery told truthfully)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from prism.coordinator import frames
from prism.coordinator.auditing import audited
from prism.coordinator.enumeration import targets as targets_of
from prism.coordinator.exchange import Exchange
from prism.coordinator.metrics import Metrics
from prism.coordinator.namespace import Namespace
from prism.coordinator.receipts import Collector, RecentMulticasts
from prism.coordinator.reporting import STORED, STORED_OFFLINE, report
from prism.model.delivery import MulticastResult, Status
from prism.model.errors import DeadlineExceeded, InternalError, InvalidArgument, NotFound, PrismError, Unavailable
from prism.model.limits import check_size
from prism.model.message import OCTETS, DeliverySemantics, Message, new_message_id
from prism.model.operations import MulticastCommand
from prism.model.pages import TargetPage, at
from prism.model.time import SECOND, Micros, show_seconds, to_rfc3339, wall_clock
from prism.plugins.spec import SlotKind
from prism.slots.context import Failure
from prism.slots.durability import Enqueued, EnqueueOutcome, NoQueue
from prism.slots.messaging import Publication, PublishOutcome, Topic, TopicKind

LONGEST_WAIT: Micros = 300 * SECOND
WORTH_READING_AHEAD = 500
"""Targets of a page from which on the next page is read while it is sent."""
STORE_TIMEOUT = 10.0
"""Seconds that storing or publishing may take where the caller waits for no receipts."""
LEAST_PUBLISH = 0.5
"""Seconds that publishing to the targets of a page may take at least, so that a short timeout, or a long list of
targets, doesn't cut off what works."""

NOT_ATTACHED = "registered but not attached: no stream and no native subscriber took it"
PROXY_GONE = "the proxy that hosted its stream is gone"
NO_COUNT = "sent to its topic; the broker doesn't say whether anybody listens"
NOT_WAITED = "sent; no receipt was waited for"
NO_RECEIPT = "no receipt came within the timeout"
NOT_STORED_IN_TIME = "not known to be stored: the durability slot ({}) gave no answer within the timeout"
NOT_PUBLISHED_IN_TIME = "not known to be sent: the messaging slot ({}) gave no answer within the timeout"
NOT_PUBLISHED = "not sent: the messaging slot ({}) gave no answer within the timeout to what came before"
LEFT = "unregistered before the message was stored"


@dataclass(slots=True)
class _Sending:
    """One multicast under way. `hung`: the messaging slot gave no answer in time, and isn't asked any more."""

    ns: Namespace
    message: Message
    collector: Collector
    wait: Micros
    message_ttl: Micros | None
    deadline: float
    hung: bool = False

    @property
    def wait_ms(self) -> int:
        return -(-self.wait // 1_000)

    def left(self) -> float:
        """Seconds that a slot may still take to store or publish; not positive where the time is over."""
        return self.deadline - asyncio.get_running_loop().time() if self.wait else STORE_TIMEOUT

    def settle(self, identities: Sequence[str], status: Status, reason: str) -> None:
        """Adds targets whose status is known at once."""
        if identities:
            base = self.collector.tally.extend(identities)
            self.collector.tally.settle_all(range(base, base + len(identities)), status, reason)


class Multicasts:
    """Sends, and remembers what was sent lately."""

    def __init__(self, metrics: Metrics, exchange: Exchange, recent: RecentMulticasts) -> None:
        self._metrics = metrics
        self._exchange = exchange
        self._recent = recent

    async def send(self, ns: Namespace, command: MulticastCommand) -> MulticastResult:
        """Sends to all that match, waits for receipts, reports."""
        sending = self._prepare(ns, command)
        if ns.auditor is None:
            return await self._send(sending, command)
        async with audited(ns, ns.auditor, sending.message, command.filter) as trail:
            trail.result = await self._send(sending, command)
            return trail.result

    async def _send(self, sending: _Sending, command: MulticastCommand) -> MulticastResult:
        ns = sending.ns
        at_most_once = sending.message.delivery is DeliverySemantics.AT_MOST_ONCE
        self._recent.add(ns.name, sending.collector)
        self._metrics.multicasts[ns.name] += 1
        send_page = self._publish if at_most_once else self._store
        try:
            async with aclosing(targets_of(ns, command.filter)) as pages:
                await _while_reading(pages, lambda page: send_page(sending, page))
        except PrismError as error:
            sent = len(sending.collector.tally.codes)
            if sent:
                error.message += f" (after {sent:,} targets were served; message id {sending.message.id})"
            raise
        finally:
            self._recent.finished(ns.name, sending.collector)
        sending.collector.targets_complete()
        await sending.collector.wait(sending.deadline - asyncio.get_running_loop().time())
        result = sending.collector.result()
        self._count(ns, result)
        return result

    async def report(self, ns: Namespace, message_id: str) -> MulticastResult:
        """What has become of a multicast by now."""
        collector = self._recent.get(ns.name, message_id)
        if collector is None:
            raise NotFound(
                f"no multicast {message_id!r} is known here: it was sent by another proxy, or too long ago",
                details={"message_id": message_id},
            )
        return await report(ns, collector)

    def _prepare(self, ns: Namespace, command: MulticastCommand) -> _Sending:
        limits = ns.config.limits
        check_size("payload", len(command.payload), limits.payload_bytes, "bytes", "send a reference to it instead")
        wait = ns.config.timeout if command.timeout is None else command.timeout
        if not 0 <= wait <= LONGEST_WAIT:
            raise InvalidArgument.at(
                "timeout", f"{show_seconds(wait)} is not between 0 and {show_seconds(LONGEST_WAIT)}"
            )
        if command.message_ttl is not None and command.message_ttl <= 0:
            raise InvalidArgument.at("message_ttl", f"{show_seconds(command.message_ttl)} is not positive")
        message = Message(
            id=_message_id(command.message_id),
            payload=command.payload,
            content_type=_content_type(command.content_type),
            sent_at=wall_clock(),
            delivery=ns.semantics(command.delivery),
            sender=self._exchange.address,
        )
        if message.delivery is not DeliverySemantics.AT_MOST_ONCE:
            rest = (Status.PENDING, STORED)
        elif wait:
            rest = (Status.TIMEOUT, NO_RECEIPT)
        else:
            rest = (Status.PENDING, NOT_WAITED)
        collector = Collector(message.id, limits.reported_statuses, rest)
        deadline = asyncio.get_running_loop().time() + wait / SECOND
        return _Sending(ns, message, collector, wait, command.message_ttl, deadline)

    async def _publish(self, sending: _Sending, page: TargetPage) -> None:
        """At most once: to the hosting proxies' inboxes, and to the topics of those that aren't attached."""
        async with asyncio.TaskGroup() as publishing:
            for address, identities, registration_ids in _by_address(page):
                if not address:
                    publishing.create_task(self._publish_native(sending, identities))
                elif address == self._exchange.address:
                    number = sending.collector.open_frame(identities)
                    receipt = sending.collector.receipt(number)
                    self._exchange.host.deliver(sending.ns.name, sending.message, identities, registration_ids, receipt)
                else:
                    for piece in frames.pieces(identities):
                        frame = self._publish_frame(sending, address, identities[piece], registration_ids[piece])
                        publishing.create_task(frame)

    async def _publish_frame(
        self, sending: _Sending, address: str, identities: Sequence[str], registration_ids: Sequence[str]
    ) -> None:
        number = sending.collector.open_frame(identities)
        frame = frames.deliver(
            self._exchange.address, sending.message, identities, registration_ids, number, sending.wait_ms
        )
        (outcome,) = await self._publish_in_time(sending, Publication(frame), [Topic(TopicKind.INBOX, address)])
        self._metrics.frames_sent[sending.ns.name] += 1
        if isinstance(outcome, Failure) or outcome.receivers == 0:
            base = sending.collector.frames[number]
            status, reason = _failed(outcome) if isinstance(outcome, Failure) else (Status.FAILED, PROXY_GONE)
            sending.collector.tally.settle_all(range(base, base + len(identities)), status, reason)

    async def _publish_native(self, sending: _Sending, identities: Sequence[str]) -> None:
        """To the topics of identities that are registered without a stream: native subscribers may listen."""
        publication = Publication(sending.message.payload, _headers(sending.ns, sending.message))
        topics = [Topic(TopicKind.IDENTITY, identity) for identity in identities]
        outcomes = await self._publish_in_time(sending, publication, topics)
        for outcome, found in _alike(outcomes, identities):
            sending.settle(found, *_native_status(outcome))

    async def _publish_in_time(
        self, sending: _Sending, publication: Publication, topics: Sequence[Topic]
    ) -> list[PublishOutcome]:
        """Publishes within the timeout. A slot that doesn't answer in it isn't asked again for this multicast."""
        slot = sending.ns.config.messaging.type
        if sending.hung:
            return [Failure(Unavailable(NOT_PUBLISHED.format(slot)))] * len(topics)
        try:
            async with asyncio.timeout(max(sending.left(), LEAST_PUBLISH)):
                return await self._exchange.publish_to(sending.ns, publication, topics)
        except TimeoutError:
            sending.hung = True
            return [Failure(DeadlineExceeded(NOT_PUBLISHED_IN_TIME.format(slot)))] * len(topics)

    async def _store(self, sending: _Sending, page: TargetPage) -> None:
        """At least once: into every target's queue first, then a nudge to the proxies that host them."""
        tally = sending.collector.tally
        # The targets are known before they are stored: an ack may come as soon as they are.
        base = tally.extend(page.identities)
        stored = await self._enqueue(sending, base, page.identities)
        async with asyncio.TaskGroup() as nudging:
            for address, positions in _positions(page.addresses, stored):
                if not address:
                    tally.settle_all([base + position for position in positions], Status.PENDING, STORED_OFFLINE)
                    continue
                woken = at(page.identities, positions)
                if address == self._exchange.address:
                    self._exchange.host.nudge(sending.ns.name, woken)
                    continue
                for piece in frames.pieces(woken):
                    nudge = frames.nudge(self._exchange.address, woken[piece])
                    nudging.create_task(self._exchange.publish(sending.ns, address, nudge))

    async def _enqueue(self, sending: _Sending, base: int, identities: Sequence[str]) -> Sequence[int]:
        """Stores the message for each; settles those it can't be stored for. The positions of the others."""
        tally = sending.collector.tally
        outcomes = await self._enqueue_in_time(sending, identities)
        if outcomes is None:
            slot = sending.ns.config.slots[SlotKind.DURABILITY].type
            reason = NOT_STORED_IN_TIME.format(slot)
            tally.settle_all(range(base, base + len(identities)), Status.TIMEOUT, reason)
            return ()
        missing = [position for position, outcome in enumerate(outcomes) if isinstance(outcome, NoQueue)]
        if missing:
            await self._repair_queues(sending, identities, missing, outcomes)
        stored: list[int] = []
        failed: dict[tuple[Status, str], list[int]] = {}
        for position, outcome in enumerate(outcomes):
            if isinstance(outcome, Enqueued):
                stored.append(position)
            else:
                why = _failed(outcome) if isinstance(outcome, Failure) else (Status.FAILED, LEFT)
                failed.setdefault(why, []).append(base + position)
        for (status, reason), places in failed.items():
            tally.settle_all(places, status, reason)
        return stored

    async def _enqueue_in_time(self, sending: _Sending, identities: Sequence[str]) -> list[EnqueueOutcome] | None:
        """None: it isn't known within the timeout whether the message is stored."""
        durability = sending.ns.durability
        if durability is None:
            raise InternalError("at-least-once was let through without a durability slot")
        guard = sending.ns.guard(SlotKind.DURABILITY)
        try:
            async with asyncio.timeout(max(sending.left(), 0.001)):
                with guard("enqueue"):
                    outcomes = await durability.enqueue(sending.message, identities, sending.message_ttl)
                    return guard.matched(outcomes, identities, "enqueue")
        except TimeoutError:
            return None
        except PrismError as error:
            return [Failure(error)] * len(identities)

    async def _repair_queues(
        self,
        sending: _Sending,
        identities: Sequence[str],
        missing: Sequence[int],
        outcomes: list[EnqueueOutcome],
    ) -> None:
        """Makes the queues that a killed proxy left out, for those that are still registered, and stores again."""
        ns = sending.ns
        with ns.guard(SlotKind.REGISTRY)("get"):
            found = await ns.registry.get([identities[position] for position in missing])
        registered = [position for position, there in zip(missing, found, strict=True) if there is not None]
        if not registered or ns.durability is None:
            return
        queues = [identities[position] for position in registered]
        with ns.guard(SlotKind.DURABILITY)("create queues"):
            await ns.durability.create(queues)
        again = await self._enqueue_in_time(sending, queues)
        for position, outcome in zip(registered, again or (), strict=again is not None):
            outcomes[position] = outcome

    def _count(self, ns: Namespace, result: MulticastResult) -> None:
        counts = {
            "delivered": result.delivered_count,
            "pending": result.pending_count,
            "failed": result.failed_count,
            "timeout": result.timeout_count,
        }
        for status, number in counts.items():
            self._metrics.deliveries[ns.name, status] += number


async def _while_reading(
    pages: AsyncIterator[TargetPage], send: Callable[[TargetPage], Coroutine[Any, Any, None]]
) -> None:
    """Sends page by page, each while the next is read: two are in memory, however many there are.

    What was begun is finished when reading fails, and given up when the caller is cancelled.
    """
    sending: asyncio.Task[None] | None = None
    try:
        async for page in pages:
            if sending is not None:
                await sending
                sending = None
            if len(page) < WORTH_READING_AHEAD:
                await send(page)
            else:
                sending = asyncio.create_task(send(page))
        if sending is not None:
            await sending
    except PrismError:
        if sending is not None:
            await asyncio.wait([sending])
        raise
    except BaseException:
        if sending is not None:
            sending.cancel()
            await asyncio.wait([sending])
        raise


def _by_address(page: TargetPage) -> list[tuple[str, Sequence[str], Sequence[str]]]:
    """Addresses with the identities and registration ids of their targets, in their order."""
    addresses = page.addresses
    if addresses.count(addresses[0]) == len(addresses):  # one proxy, or nobody attached: most pages are like that
        return [(addresses[0], page.identities, page.registration_ids)]
    return [
        (address, at(page.identities, there), at(page.registration_ids, there))
        for address, there in _positions(addresses, range(len(addresses)))
    ]


def _positions(addresses: Sequence[str], among: Sequence[int]) -> Iterable[tuple[str, list[int]]]:
    """Addresses with the positions that have them, in their order."""
    places: dict[str, list[int]] = {}
    for i in among:
        address = addresses[i]
        there = places.get(address)
        if there is None:
            places[address] = [i]
        else:
            there.append(i)
    return places.items()


def _alike(
    outcomes: Sequence[PublishOutcome], identities: Sequence[str]
) -> Iterable[tuple[PublishOutcome, Sequence[str]]]:
    """The identities by outcome. Most of a page have the same object for one, so objects are told apart, not values."""
    distinct = {id(outcome): outcome for outcome in outcomes}
    if len(distinct) == 1:
        return [(outcomes[0], identities)]
    found: dict[int, list[str]] = {key: [] for key in distinct}
    for identity, key in zip(identities, map(id, outcomes), strict=True):
        found[key].append(identity)
    return [(distinct[key], group) for key, group in found.items()]


def _failed(failure: Failure) -> tuple[Status, str]:
    """FAILED is a claim that it wasn't sent: not where nobody knows whether what was asked for took effect."""
    late = isinstance(failure.error, DeadlineExceeded)
    return Status.TIMEOUT if late else Status.FAILED, str(failure.error)


def _native_status(outcome: PublishOutcome) -> tuple[Status, str]:
    if isinstance(outcome, Failure):
        return _failed(outcome)
    if outcome.receivers is None:
        return Status.PENDING, NO_COUNT
    return (Status.DELIVERED, "") if outcome.receivers else (Status.FAILED, NOT_ATTACHED)


def _message_id(asked: str | None) -> str:
    if asked is None:
        return new_message_id()
    if not (0 < len(asked) <= 64 and asked.isascii() and asked.isprintable()):
        text = f"{asked[:64]!r} is not 1 to 64 printable ASCII characters"
        raise InvalidArgument.at("message_id", text)
    return asked


def _content_type(asked: str) -> str:
    if not asked:
        return OCTETS
    if len(asked) > 256 or not asked.isascii() or not asked.isprintable():
        raise InvalidArgument.at("content_type", f"{asked[:64]!r} is not a MIME type of at most 256 ASCII characters")
    return asked


def _headers(ns: Namespace, message: Message) -> dict[str, str]:
    """What a native subscriber is told besides the payload."""
    return {
        "Prism-Namespace": quote(ns.name, safe=" /:@"),
        "Prism-Message-Id": message.id,
        "Prism-Sent-At": to_rfc3339(message.sent_at),
        "Content-Type": message.content_type,
    }
