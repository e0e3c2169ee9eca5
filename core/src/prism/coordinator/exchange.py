"""How proxies talk to each other: frames to their inboxes by the messaging slot, and what comes in on ours."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from prism.coordinator import frames
from prism.coordinator.hosting import Host, NoHost
from prism.coordinator.metrics import Metrics
from prism.coordinator.namespace import Namespace
from prism.coordinator.receipts import FrameReceipt, RecentMulticasts, Tally
from prism.model.errors import PrismError
from prism.model.identity import Target
from prism.model.message import Message
from prism.plugins.spec import SlotKind
from prism.slots.context import Failure
from prism.slots.durability import Lease
from prism.slots.messaging import Interrupted, Publication, PublishOutcome, Topic, TopicKind
from prism.v1 import frames_pb2

logger = logging.getLogger(__name__)

TARGETS_PER_TURN = 1_000
"""Targets of a frame that are handed to the host between two turns of the event loop."""


class Exchange:
    """Sends frames, answers them, and hands what is for hosted identities to the host.

    `address` is this proxy's inbox. Frames to it are handed over directly, without the messaging slot.
    """

    def __init__(self, address: str, metrics: Metrics, recent: RecentMulticasts) -> None:
        self.address = address
        self.host: Host = NoHost()
        self._metrics = metrics
        self._recent = recent
        self._answers: list[_Answer] = []
        self._answers_waiting = asyncio.Event()

    async def publish(self, ns: Namespace, address: str, frame: bytes) -> PublishOutcome:
        """Sends one frame to a proxy's inbox."""
        (outcome,) = await self.publish_to(ns, Publication(frame), [Topic(TopicKind.INBOX, address)])
        self._metrics.frames_sent[ns.name] += 1
        return outcome

    async def publish_to(
        self, ns: Namespace, publication: Publication, topics: Sequence[Topic]
    ) -> list[PublishOutcome]:
        """Publishes to topics; a failing call is a Failure of each of them."""
        guard = ns.guard(SlotKind.MESSAGING)
        try:
            with guard("publish"):
                return guard.matched(await ns.messaging.publish(publication, topics), topics, "publish")
        except PrismError as error:
            return [Failure(error)] * len(topics)

    async def evict(self, ns: Namespace, targets: Sequence[Target], reason: str) -> None:
        """Tells the proxies that host these identities that their sessions have lost them.

        A proxy that can't be told notices at its next renewal.
        """
        by_address: dict[str, list[Target]] = {}
        for target in targets:
            if target.address:
                by_address.setdefault(target.address, []).append(target)
        for address, hosted in by_address.items():
            identities = [target.identity for target in hosted]
            registration_ids = [target.registration_id for target in hosted]
            if address == self.address:
                self.host.evict(ns.name, identities, registration_ids, reason)
                continue
            for piece in frames.pieces(identities):
                frame = frames.evict(self.address, identities[piece], registration_ids[piece], reason)
                outcome = await self.publish(ns, address, frame)
                if isinstance(outcome, Failure):
                    logger.warning(
                        "could not tell %s of %d evicted sessions: %s", address, len(identities), outcome.error
                    )

    async def report_acks(self, ns: Namespace, leases: Sequence[Lease]) -> None:
        """Tells the proxies that sent these messages who acknowledged them.

        One publication for each of these proxies, however many messages. A proxy that is gone, or has forgotten the
        multicast, doesn't need to know.
        """
        acked: dict[tuple[str, str, bool], list[str]] = {}
        for lease in leases:
            if isinstance(lease.content, Message) and lease.content.sender:
                key = (lease.content.sender, lease.content.id, lease.attempt > 1)
                acked.setdefault(key, []).append(lease.queue)
        told: defaultdict[str, list[bytes]] = defaultdict(list)
        for (sender, message_id, again), identities in acked.items():
            if sender == self.address:
                self._take_acks(ns, message_id, identities, again=again)
                continue
            for piece in frames.pieces(identities):
                told[sender].append(frames.acked(self.address, message_id, identities[piece], again=again))
        await self._publish_all(ns, told)

    async def read_inbox(self, ns: Namespace) -> None:
        """Reads this proxy's inbox until the subscription ends."""
        async for events in ns.subscription:
            for event in events:
                if isinstance(event, Interrupted):
                    logger.warning("namespace %r: %s", ns.name, event.reason)
                    self.host.interrupted(ns.name, event.reason)
                    continue
                if event.topic.kind is not TopicKind.INBOX:
                    continue
                for frame in frames.unpacked(event.publication.payload):
                    if frame is None:
                        logger.warning("namespace %r: something that is no frame came into the inbox", ns.name)
                        continue
                    self._metrics.frames_received[ns.name] += 1
                    if frame.WhichOneof("kind") == "deliver":
                        await self._deliver(ns, frame)
                    else:
                        self._receive(ns, frame)
            await asyncio.sleep(0)

    async def send_answers(self) -> None:
        """Publishes receipts as frames are settled: those of one moment together."""
        while True:
            await self._answers_waiting.wait()
            self._answers_waiting.clear()
            waiting: dict[Namespace, defaultdict[str, list[bytes]]] = {}
            for answer in self._answers:
                receipts = waiting.setdefault(answer.ns, defaultdict(list))
                receipts[answer.sender].append(answer.frame(self.address))
            self._answers.clear()
            async with asyncio.TaskGroup() as tasks:
                for ns, receipts in waiting.items():
                    tasks.create_task(self._publish_all(ns, receipts))

    async def _publish_all(self, ns: Namespace, singles: Mapping[str, Sequence[bytes]]) -> None:
        """Sends frames to inboxes, to all at the same time."""
        async with asyncio.TaskGroup() as tasks:
            for address, several in singles.items():
                tasks.create_task(self._publish_batches(ns, address, several))

    async def _publish_batches(self, ns: Namespace, address: str, singles: Sequence[bytes]) -> None:
        for batch in frames.batches(self.address, singles):
            outcome = await self.publish(ns, address, batch)
            if isinstance(outcome, Failure):
                logger.warning("%d receipts or acks could not be sent to %s: %s", len(singles), address, outcome.error)
                return

    async def _deliver(self, ns: Namespace, frame: frames.Frame) -> None:
        """Hands a message to the host, some targets at a time: others run in between."""
        body = frame.deliver
        tally = self._receipt(ns, frame.sender, body)
        message = frames.message_of(body)
        identities, registration_ids = frames.targets_of(body.targets)
        for piece in frames.chunks(len(identities), TARGETS_PER_TURN):
            receipt = FrameReceipt(tally, piece.start)
            self.host.deliver(ns.name, message, identities[piece], registration_ids[piece], receipt)
            await asyncio.sleep(0)

    def _receive(self, ns: Namespace, frame: frames.Frame) -> None:
        kind = frame.WhichOneof("kind")
        if kind == "nudge":
            self.host.nudge(ns.name, frame.nudge.identities)
        elif kind == "acked":
            self._take_acks(ns, frame.acked.message_id, frame.acked.identities, again=frame.acked.again)
        elif kind == "receipt":
            self._take_receipt(ns, frame.receipt)
        elif kind == "evict":
            self.host.evict(ns.name, *frames.targets_of(frame.evict.targets), frame.evict.reason)

    def _take_acks(self, ns: Namespace, message_id: str, identities: Sequence[str], *, again: bool) -> None:
        collector = self._recent.get(ns.name, message_id)
        if collector is not None:
            collector.acked(identities, again=again)

    def _take_receipt(self, ns: Namespace, body: frames_pb2.ReceiptFrame) -> None:
        collector = self._recent.get(ns.name, body.message_id)
        if collector is None or not 0 <= body.number < len(collector.frames):
            return
        collector.tally.merge(collector.frames[body.number], body.statuses, body.reason_index, body.reasons)

    def _receipt(self, ns: Namespace, sender: str, body: frames_pb2.DeliverFrame) -> Tally:
        """A tally that answers the sender when all is settled, and with what is settled before that."""
        answer = _Answer(ns, sender, body.message.message_id, body.number, body.targets.count)
        if body.wait_ms > 0:
            answer.post = self._post
            answer.report_until(body.wait_ms / 1_000)
        return answer.tally

    def _post(self, answer: _Answer) -> None:
        self._answers.append(answer)
        self._answers_waiting.set()


class _Answer:
    """A receipt frame in the making.

    Posted when all is settled. Until the sender's wait is over, what is settled so far is posted too, at
    intervals that double: one stuck receiver doesn't keep the others' receipts back.
    """

    FIRST_REPORT = 0.01

    def __init__(self, ns: Namespace, sender: str, message_id: str, number: int, targets: int) -> None:
        self.ns = ns
        self.sender = sender
        self.tally = Tally(0, self._complete)
        self.tally.extend([""] * targets)
        self.post: Callable[[_Answer], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reported = targets
        self._message_id = message_id
        self._number = number

    def report_until(self, wait: float, after: float = FIRST_REPORT) -> None:
        """Posts what is settled by then, `after` seconds from now, and so on until `wait` seconds are over."""
        if wait > 0 and self.tally.unsettled:
            self._timer = asyncio.get_running_loop().call_later(min(after, wait / 2), self._report, wait, after)

    def frame(self, address: str) -> bytes:
        """The receipt frame by now."""
        tally = self.tally
        codes = bytes(tally.codes)
        return frames.receipt(address, self._message_id, self._number, codes, tally.reason_index, tally.reasons)

    def _report(self, wait: float, after: float) -> None:
        if self.tally.unsettled < self._reported and self.post is not None:
            self._reported = self.tally.unsettled
            self.post(self)
        if wait - after > 0.001:
            self.report_until(wait - min(after, wait / 2), 2 * after)

    def _complete(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.post is not None:
            self.post(self)
