"""The messaging slot: core NATS."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from prism.model.errors import LimitExceeded
from prism.plugins.spec import Capability
from prism.slots.context import Code, Failure, SlotContext
from prism.slots.messaging import (
    MessagingBackend,
    Publication,
    Published,
    PublishOutcome,
    Subscription,
    Topic,
    TopicKind,
)

from prism_nats import errors, parts, protocol, shared
from prism_nats.config import NatsConfig
from prism_nats.errors import ConnectionLost
from prism_nats.link import Link
from prism_nats.plugin import MESSAGING
from prism_nats.subjects import Subjects
from prism_nats.subscription import NatsSubscription

_SENT = Published()
_UNHEARD = Published(0)


class NatsMessaging(MessagingBackend):
    """Publish and subscribe on core NATS.

    A publish has been taken by the server when it returns. Its outcome says 0 receivers where the server knows
    nobody who listens (in a cluster: as far as the server we talk to knows), else None: NATS doesn't count.
    """

    def __init__(self, config: NatsConfig, context: SlotContext) -> None:
        self._config = config
        self._subjects = Subjects(config.subject_prefix, context.namespace)
        self._borrowed: Link | None = None
        self._subscriptions: set[NatsSubscription] = set()

    async def open(self) -> None:
        """Connects, and tries what a proxy needs, so that permissions that are too narrow surface here."""
        self._borrowed = await shared.borrow(self._config)
        async with await self.subscribe() as subscription:
            trial = Topic(TopicKind.INBOX, f"trial of {secrets.token_hex(8)}")
            await subscription.add([trial])
            (outcome,) = await self.publish(Publication(b""), [trial])
            if isinstance(outcome, Failure):
                raise outcome.error.__cause__ or outcome.error

    async def close(self) -> None:
        """Closes the slot's subscriptions and lets the connection go."""
        link, self._borrowed = self._borrowed, None
        if link is None:
            return
        for subscription in list(self._subscriptions):
            await subscription.close()
        await shared.give_back(link)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All that the plugin declares."""
        return MESSAGING.capabilities

    async def check(self) -> None:
        """Sends a message to ourselves and waits for it."""
        await self._link.barrier()

    def classify(self, error: Exception) -> Code | None:
        """Says what an exception of ours or the driver's means."""
        return errors.classify(error)

    async def publish(self, publication: Publication, topics: Sequence[Topic]) -> list[PublishOutcome]:
        """Publishes one payload to many topics, with one round trip.

        What is too large for one message goes to inboxes in parts, and fails as LIMIT_EXCEEDED for identities:
        whoever listens there natively couldn't put it together.
        """
        link = self._link
        size, limit = len(publication.payload), link.max_payload
        headers = protocol.pack_headers(publication.headers)
        if len(headers) + size <= limit:
            subjects = self._subjects.topics([(topic.kind, topic.name) for topic in topics])
            result = await link.deliver(self._subjects.topic_prefix, subjects, headers, publication.payload)
            outcomes: list[PublishOutcome] = [_SENT] * len(topics)
            for i in result.indexes:
                outcomes[i] = _UNHEARD
            for i, error in result.denied.items():
                outcomes[i] = errors.failure(error, "publish")
            return outcomes
        return [await self._publish_large(link, publication, topic, len(headers)) for topic in topics]

    async def subscribe(self) -> Subscription:
        """A new subscription to nothing yet; it ends with the slot at the latest."""
        return NatsSubscription(self._link, self._subjects, self._subscriptions)

    @property
    def _link(self) -> Link:
        if self._borrowed is None:
            raise ConnectionLost("the slot is not open")
        return self._borrowed

    async def _publish_large(
        self, link: Link, publication: Publication, topic: Topic, header_bytes: int
    ) -> PublishOutcome:
        if topic.kind is TopicKind.IDENTITY:
            text = (
                f"payload: {len(publication.payload):,} bytes and {header_bytes:,} of headers are over the NATS "
                f"server's max_payload of {link.max_payload:,}; send less, or raise max_payload"
            )
            return Failure(LimitExceeded(text))
        subject = self._subjects.topics([(topic.kind, topic.name)])
        for block, payload in parts.split(publication, link.max_payload):
            result = await link.deliver(self._subjects.topic_prefix, subject, block, payload)
            if result.denied:
                return errors.failure(result.denied[0], "publish")
            if result.indexes:
                return _UNHEARD
        return _SENT
