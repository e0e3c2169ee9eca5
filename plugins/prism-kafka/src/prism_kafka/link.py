"""The connection that the slots of a process share: a producer, and requests that are answered at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    NotLeaderForPartitionError,
    ProducerClosed,
    for_code,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.metadata import MetadataRequest
from prism.model.errors import InvalidConfig, Violation
from prism.slots.context import Code

from prism_kafka.config import OWN_TOPICS, KafkaConfig
from prism_kafka.connecting import RETRY_BACKOFF_MS, make_client, make_producer, why_not
from prism_kafka.errors import NoAnswer, NotConnected, classify

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S: Final = 2.0
_TELL_S: Final = 3.0
"""After how many seconds it is said, again and again, that we wait."""
_PAUSE_S: Final = 0.2
"""Between two attempts to connect."""

Headers = Sequence[tuple[str, bytes]]
T = TypeVar("T")


class Link:
    """One event loop's connection to one cluster; opened and closed by its users."""

    def __init__(self, config: KafkaConfig) -> None:
        self.config = config
        self._producer: AIOKafkaProducer | None = None
        self._spoiled: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self._topics: set[str] = set()
        self._closed = False

    async def open(self) -> None:
        """Connects; tries for `connect_timeout` while nobody answers. May be called again.

        Raises:
            NotConnected: nobody answered in that time.
            InvalidConfig, or aiokafka's error, where trying again can't help: login, certificate.
        """
        connecting = asyncio.create_task(self._connect())
        limit, start = self.config.connect_timeout, time.monotonic()
        try:
            while not connecting.done():
                passed = time.monotonic() - start
                await asyncio.wait([connecting], timeout=min(_TELL_S, max(0.0, limit - passed)))
                if connecting.done():
                    break
                if (passed := time.monotonic() - start) >= limit:
                    raise NotConnected(await self._explain())
                brokers = ", ".join(self.config.brokers)
                logger.warning("waiting for a Kafka broker at %s for %.0f s, up to %g s", brokers, passed, limit)
            await connecting
        finally:
            connecting.cancel()
            await asyncio.wait([connecting])

    async def _connect(self) -> None:
        while True:
            try:
                await self.producer()
            except NotConnected as error:
                logger.debug("%s; trying again", error)
                await asyncio.sleep(_PAUSE_S)
            else:
                return

    async def close(self) -> None:
        """Ends all connections; what isn't acknowledged within two seconds may or may not be stored."""
        self._closed = True
        async with self._starting:
            producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)
        if self._retiring:
            await asyncio.wait(self._retiring)

    async def producer(self) -> AIOKafkaProducer:
        """The running producer; a new one where the last had to give up, or failed to store something.

        Raises NotConnected where nobody answers.
        """
        producer = self._producer
        if producer is not None and self._is_sound(producer):
            return producer
        async with self._starting:
            if self._closed:
                raise NotConnected("the connection is closed")
            if self._producer is not None:
                if self._is_sound(self._producer):
                    return self._producer
                broken, self._producer, self._spoiled = self._producer, None, None
                await self._retire(broken)
            self._producer = await self._start()
            return self._producer

    async def client(self) -> AIOKafkaClient:
        """The client behind the producer, for requests that are answered at once."""
        return (await self.producer()).client

    def new_client(self) -> AIOKafkaClient:
        """A client of one's own, for requests that wait."""
        return make_client(self.config)

    async def follow(self, topics: Sequence[str]) -> dict[str, int]:
        """Waits until all partitions of topics have leaders; how many each has.

        Raises NotConnected where that doesn't come.
        """
        client = await self.client()
        self._topics.update(topics)
        try:
            async with asyncio.timeout(self.config.request_timeout):
                return await has_leaders(client, topics)
        except TimeoutError:
            raise NotConnected(f"the topics {', '.join(topics)} have no leaders") from None

    async def refresh(self) -> None:
        """Looks again who leads what, where there is a connection."""
        if self._producer is not None:
            await self._producer.client.force_metadata_update()

    async def store(
        self, topic: str, partition: int, value: bytes, key: bytes | None = None, headers: Headers = ()
    ) -> asyncio.Future[Any]:
        """Hands a record to the producer. The future is done once all replicas have it, or it failed for good."""
        producer = await self.producer()
        future: asyncio.Future[Any] = await producer.send(topic, value, key, partition=partition, headers=list(headers))
        future.add_done_callback(lambda done: self._consider(producer, done))
        return future

    async def store_batch(self, topic: str, partition: int, batch: BatchBuilder) -> asyncio.Future[Any]:
        """Hands records to the producer that its `create_batch` took. The future is as that of `store`."""
        producer = await self.producer()
        future: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=partition)
        future.add_done_callback(lambda done: self._consider(producer, done))
        return future

    async def ask(self, topic: str, partition: int, request: Any) -> Any:
        """Sends a request to the leader of a partition. Raises aiokafka's errors."""
        client = await self.client()
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if leader is None or leader == -1:
            raise NotLeaderForPartitionError(f"partition {partition} of {topic} has no leader")
        return await client.send(leader, request)

    def _is_sound(self, producer: AIOKafkaProducer) -> bool:
        return producer is not self._spoiled and _is_running(producer)

    def _consider(self, producer: AIOKafkaProducer, stored: asyncio.Future[Any]) -> None:
        """Gives a producer up that failed to store something.

        aiokafka has counted the sequence number all the same, so the broker would refuse whatever the producer sends
        to that partition from then on.
        """
        if stored.cancelled() or (error := stored.exception()) is None or producer is not self._producer:
            return
        if producer is not self._spoiled:
            logger.info("a record wasn't stored (%r); going on with a new producer", error)
            self._spoiled = producer

    async def _retire(self, producer: AIOKafkaProducer) -> None:
        """Stops a producer and waits, so that what it has on its way comes first; not for what has no leader now."""
        stopping = asyncio.create_task(_stop(producer))
        self._retiring.add(stopping)
        stopping.add_done_callback(self._retiring.discard)
        await asyncio.wait([stopping], timeout=_PAUSE_S)

    async def _start(self) -> AIOKafkaProducer:
        producer = make_producer(self.config)
        try:
            async with asyncio.timeout(self.config.request_timeout):
                await producer.start()
            for topic in self._topics:
                producer.client.add_topic(topic)
        except (KafkaConnectionError, NodeNotReadyError, TimeoutError) as error:
            await _stop(producer)
            raise NotConnected(await self._explain()) from error
        except BaseException:
            await _stop(producer)
            raise
        return producer

    async def _explain(self) -> str:
        """Why there is no connection. Raises the cause itself where trying again can't help."""
        brokers = ", ".join(self.config.brokers)
        try:
            async with asyncio.timeout(_PAUSE_S * 10):
                reason = await why_not(self.config)
        except TimeoutError:
            reason = None
        if isinstance(reason, IllegalSaslStateError):
            text = (
                f"the listener at {brokers} asks nobody to log in: leave sasl_mechanism, username and password out, or "
                "name the brokers' SASL listener"
            )
            raise InvalidConfig(f"sasl_mechanism: {text}", violations=(Violation("sasl_mechanism", text),)) from reason
        if reason is not None and classify(reason) is Code.INVALID_CONFIG:
            raise reason
        return f"no Kafka broker answers at {brokers}: {self._reason(reason)}"

    def _reason(self, reason: Exception | None) -> str:
        """Why, in words, where the driver has some; and what to look at where somebody listens and says nothing."""
        if reason is None or isinstance(reason, TimeoutError):
            text = "a connection is made, and nothing is answered" if reason is None else "no answer in time"
        elif isinstance(reason, ConnectionRefusedError):
            return "connection refused"
        elif isinstance(reason, ConnectionResetError):
            text = "the connection was reset"
        else:
            text = str(reason) or type(reason).__name__
        if isinstance(reason, OSError) and not isinstance(reason, (ConnectionResetError, TimeoutError)):
            return text
        if self.config.tls:
            return f"{text}; does that listener speak TLS? Without, leave tls out"
        return f"{text}; does that listener want TLS (tls: true)?"


async def has_leaders(client: AIOKafkaClient, topics: Sequence[str]) -> dict[str, int]:
    """Waits until all partitions of topics that exist have leaders, and the client knows them; how many each has.

    Asks by itself first: aiokafka reports a topic as an error that has been made this moment, and would let a broker
    make one that is missing.
    """
    pause = 0.005
    while True:
        counts = await _led(client, topics)
        if counts is not None:
            await asyncio.gather(*(client.add_topic(topic) for topic in topics))
            if all(client.cluster.available_partitions_for_topic(topic) for topic in topics):
                return counts
            await client.force_metadata_update()  # it may have asked a broker that didn't know them yet
        await asyncio.sleep(pause)
        pause = min(2 * pause, _PAUSE_S)


async def _led(client: AIOKafkaClient, topics: Sequence[str]) -> dict[str, int] | None:
    """How many partitions topics have; None while one has no leader."""
    node = client.get_random_node()
    try:
        answer = await client.send(node, MetadataRequest(list(topics), allow_auto_topic_creation=False))
    except KafkaError as error:
        if not error.retriable:
            raise
        await client.force_metadata_update()
        return None
    counts: dict[str, int] = {}
    for code, topic, _, partitions in answer.topics:
        kind = for_code(code)
        if code and not kind.retriable:
            raise kind(f"topic {topic}")
        leaders = [leader for problem, _, leader, *_ in partitions if not problem and leader != -1]
        if code or len(leaders) < len(partitions):
            return None
        counts[topic] = len(leaders)
    return counts


def _is_running(producer: AIOKafkaProducer) -> bool:
    task = producer._sender.sender_task  # nothing public says that it has given up
    return task is not None and not task.done()


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stops a producer also where the broker is gone and it would wait for ever."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await producer.stop()
    except TimeoutError:
        producer._message_accumulator.fail_all(ProducerClosed())
        sender = producer._sender.sender_task
        if sender is not None:
            sender.cancel()
            await asyncio.wait([sender], timeout=CLOSE_TIMEOUT_S)
        await producer.client.close()
    except KafkaError as error:
        logger.debug("stopping a producer: %r", error)


_shared: dict[tuple[int, KafkaConfig], tuple[asyncio.AbstractEventLoop, Link, int]] = {}


def join(config: KafkaConfig) -> Link:
    """The link of these options in the running event loop, shared by all who join. Call `leave` when done."""
    loop = asyncio.get_running_loop()
    key = _key(loop, config)
    for other in [known for known, (users_loop, _, _) in _shared.items() if users_loop.is_closed()]:
        del _shared[other]  # its users ended without closing; nobody can reach it any more
    _, link, users = _shared.get(key) or (loop, Link(config), 0)
    _shared[key] = (loop, link, users + 1)
    return link


async def leave(config: KafkaConfig, link: Link) -> None:
    """Ends one use; with the last user the connections end."""
    key = _key(asyncio.get_running_loop(), config)
    found = _shared.get(key)
    if found is None or found[1] is not link:
        return
    loop, _, users = found
    if users > 1:
        _shared[key] = (loop, link, users - 1)
        return
    del _shared[key]
    await link.close()


def _key(loop: asyncio.AbstractEventLoop, config: KafkaConfig) -> tuple[int, KafkaConfig]:
    """What concerns connections: slots that differ in the rest share them."""
    usual = {name: KafkaConfig.model_fields[name].default for name in OWN_TOPICS}
    return id(loop), config.model_copy(update=usual)


async def patiently(link: Link, call: Callable[[], Awaitable[T]]) -> T:
    """Repeats a request that changes nothing while its failure may pass, up to the link's `request_timeout`.

    Raises the last error then, or at once one that won't pass.
    """
    failure: Exception | None = None
    try:
        async with asyncio.timeout(link.config.request_timeout):
            while True:
                try:
                    return await call()
                except (KafkaError, NotConnected) as error:
                    if classify(error) not in {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}:
                        raise
                    failure = error
                await asyncio.sleep(RETRY_BACKOFF_MS / 1000)
                await link.refresh()
    except TimeoutError:
        raise failure or NotConnected("no Kafka broker answers") from None


async def answered(future: asyncio.Future[Any], seconds: float, what: str) -> Any:
    """The result of a future, which is left alone when the time is over. Raises NoAnswer then."""
    done, _ = await asyncio.wait([future], timeout=seconds)
    if not done:
        raise NoAnswer(f"no answer within {seconds:g} s to {what}; whether it took effect is unknown")
    return future.result()
