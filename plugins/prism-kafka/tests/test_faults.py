"""What happens when the broker or a proxy is killed, hangs or is cut off: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka import errors as driver
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from prism.model.errors import PrismError
from prism.model.time import SECOND
from prism.slots.context import Code, Failure
from prism.slots.durability import Enqueued, Gap, Lease, Settled
from prism.slots.messaging import Publication, Published, Received, Topic, TopicKind
from prism_conformance.servers import AsyncServer, FaultProxy
from prism_kafka.durability import KafkaDurability
from prism_kafka.errors import PASSING, Behind, NoAnswer, NotConnected, classify
from prism_kafka.messaging import KafkaMessaging
from support.proxies import eventually

from .conftest import Open, message, until_served

LONG = 60 * SECOND
ALICE = Topic(TopicKind.IDENTITY, "alice")
WORKER = Path(__file__).with_name("worker.py")
QUEUES = [f"user-{i}" for i in range(5)]


@pytest.fixture
async def server() -> AsyncIterator[AsyncServer]:
    """A broker of the test's own."""
    async with await AsyncServer.start("kafka") as server:
        yield server


def options(server: AsyncServer, **more: Any) -> dict[str, Any]:
    return {"brokers": [server.url], "partitions": 3, "snapshot_every": 2_000, **more}


async def enqueue(slot: KafkaDurability, name: str, queues: list[str]) -> None:
    """Puts a message in, as often as it takes."""
    async with asyncio.timeout(40):
        while True:
            try:
                outcomes = await slot.enqueue(message(name), queues)
            except PASSING as error:
                if slot.classify(error) not in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
                    raise
                await until_served(slot)
                continue
            if not any(isinstance(outcome, Failure) for outcome in outcomes):
                assert outcomes == [Enqueued()] * len(queues)
                return


async def drain(slot: KafkaDurability, queues: list[str]) -> Counter[str]:
    """Takes and acks until nothing has come for longer than a lease lasts."""
    found: Counter[str] = Counter()
    quiet = 0
    while quiet < 12:
        leases = await slot.dequeue(queues, 1_000, LONG)
        assert await slot.ack(leases) == [Settled()] * len(leases)
        found.update(f"{item.queue} {item.content.id}" for item in leases if not isinstance(item.content, Gap))
        quiet = 0 if leases else quiet + 1
        await asyncio.sleep(0.1)
    return found


@pytest.mark.parametrize(("end", "back"), [("pause", "resume"), ("kill", "restart")])
async def test_lag_is_not_told_while_the_broker_does_not_answer(
    server: AsyncServer, opened: Open, monkeypatch: pytest.MonkeyPatch, end: str, back: str
) -> None:
    monkeypatch.setattr("prism_kafka.slot.SILENT_S", 1.0)
    slots = [await opened(kind, options(server)) for kind in (KafkaDurability, KafkaMessaging)]
    async with await slots[1].subscribe() as subscription:
        await subscription.add([ALICE])
        assert [slot.gauges()["brokers_answer"] for slot in slots] == [1, 1]
        assert slots[0].gauges()["log_lag_records"] == 0
        await getattr(server, end)()
        await eventually(lambda: [slot.gauges()["brokers_answer"] for slot in slots] == [0, 0])
        assert "log_lag_records" not in slots[0].gauges()
        await getattr(server, back)()
        for slot in slots:
            await until_served(slot)
        await eventually(lambda: [slot.gauges()["brokers_answer"] for slot in slots] == [1, 1])
        assert slots[0].gauges()["log_lag_records"] == 0


async def test_queues_and_their_leases_survive_a_crash_of_the_broker(server: AsyncServer, opened: Open) -> None:
    slot = await opened(KafkaDurability, options(server))
    await slot.create(["alice"])
    for name in ("m1", "m2", "m3"):
        assert await slot.enqueue(message(name), ["alice"]) == [Enqueued()]
    first: list[Lease] = await slot.dequeue(["alice"], 1, LONG)
    await server.kill()
    await server.restart()
    await until_served(slot)
    rest = await slot.dequeue(["alice"], 10, LONG)
    assert [item.content.id for item in [*first, *rest]] == ["m1", "m2", "m3"]
    assert await slot.ack([*first, *rest]) == [Settled()] * 3
    fresh = await opened(KafkaDurability, options(server))
    assert await fresh.depth(["alice"]) == [0]


async def test_call_in_the_middle_of_a_crash_is_answered_when_the_broker_is_back(
    server: AsyncServer, opened: Open
) -> None:
    slot = await opened(KafkaDurability, options(server, request_timeout=30.0))
    await slot.create(["alice"])
    await server.pause()
    async with asyncio.TaskGroup() as tasks:
        storing = tasks.create_task(slot.enqueue(message("m1"), ["alice"]))
        await server.kill()
        await server.restart()
    assert storing.result() == [Enqueued()]
    assert await slot.depth(["alice"]) == [1]


async def test_subscription_misses_nothing_over_a_crash_of_the_broker(server: AsyncServer, opened: Open) -> None:
    slot = await opened(KafkaMessaging, options(server))
    sender = await opened(KafkaMessaging, options(server, client_id="sender"))
    async with await slot.subscribe() as subscription:
        await subscription.add([ALICE])
        assert await sender.publish(Publication(b"before"), [ALICE]) == [Published()]
        await server.kill()
        await server.restart()
        await until_served(sender)
        assert await sender.publish(Publication(b"after"), [ALICE]) == [Published()]
        found: list[bytes] = []
        async with asyncio.timeout(20):
            async for batch in subscription:
                assert all(isinstance(event, Received) for event in batch)
                found += [event.publication.payload for event in batch]
                if found[-1] == b"after":
                    break
    assert found == [b"before", b"after"]


async def test_broker_that_is_gone_or_hangs_fails_calls_in_time(server: AsyncServer, opened: Open) -> None:
    config = options(server, request_timeout=0.5)
    queues, topics = await opened(KafkaDurability, config), await opened(KafkaMessaging, config)
    await queues.create(["alice"])

    async def is_noticed() -> bool:
        """A signal that stops a process may take a moment to."""
        try:
            await queues.mark()
        except PASSING:
            return True
        return False

    for harm in (server.pause, server.kill):
        await harm()
        await eventually(is_noticed)
        for call in (
            lambda: queues.enqueue(message("m1"), ["alice"]),
            queues.mark,
            lambda: queues.depth(["alice"]),
            queues.check,
        ):
            with pytest.raises(PASSING) as caught:
                await call()
            assert queues.classify(caught.value) in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)
        [outcome] = await topics.publish(Publication(b"x"), [ALICE])
        assert isinstance(outcome, Failure)
    await server.restart()
    await until_served(queues)

    async def is_stored_once() -> bool:
        """Half a second may be short for a broker that has just begun; repeating it must be harmless."""
        try:
            stored = await queues.enqueue(message("m1"), ["alice"])
            depth = await queues.depth(["alice"])
        except PASSING:
            return False
        assert (stored, depth) == ([Enqueued()], [1])
        return True

    await eventually(is_stored_once)


async def test_connections_cut_again_and_again_lose_and_repeat_nothing(opened: Open) -> None:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    # Clients are sent from the first broker they ask to where the brokers say they are: through the proxy.
    config = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"}
    async with (
        await AsyncServer.start("kafka", config=config) as server,
        FaultProxy(server.host, server.port, listen_port=port) as proxy,
    ):
        slot = await opened(KafkaDurability, options(server))
        await slot.create(["alice"])
        for i in range(20):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(enqueue(slot, f"m{i}", ["alice"]))
                tasks.create_task(proxy.cut())
        leases = await slot.dequeue(["alice"], 100, LONG)
        assert [item.content.id for item in leases] == [f"m{i}" for i in range(20)]
        assert proxy.accepted > 20
        await slot.close()


async def test_producer_that_has_given_up_is_replaced(config: dict[str, Any], opened: Open) -> None:
    slot = await opened(KafkaDurability, config)
    await slot.create(["alice"])
    producer = await slot._link.producer()
    producer._sender.sender_task.cancel()  # as when the broker refuses its sequence for good
    await asyncio.wait([producer._sender.sender_task])
    assert await slot.enqueue(message("m1"), ["alice"]) == [Enqueued()]
    assert await slot._link.producer() is not producer


async def test_log_that_was_deleted_with_all_it_held_starts_anew(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async with await AsyncServer.start("kafka", config={"auto.create.topics.enable": "false"}) as server:
        config = options(server, partitions=1)
        slot = await opened(KafkaDurability, config)
        await slot.create(["alice"])
        await slot.enqueue(message("m1"), ["alice"])
        admin = AIOKafkaAdminClient(bootstrap_servers=server.url)
        await admin.start()
        await admin.delete_topics(["prism.test.log", "prism.test.snapshots"])
        await admin.close()
        fresh = await opened(KafkaDurability, config)
        await fresh.create(["bob"])

        async def has_noticed() -> bool:
            try:
                return await slot.depth(["alice", "bob"]) == [0, 0]
            except PASSING:
                return False

        await eventually(has_noticed, 40)
        assert "are gone; going on from 0" in caplog.text
        assert await slot.enqueue(message("m2"), ["bob"]) == [Enqueued()]
        assert await fresh.depth(["alice", "bob"]) == [0, 1]
        await slot.close()
        await fresh.close()


async def test_log_that_the_broker_made_anew_by_itself_stops_the_slot(config: dict[str, Any], opened: Open) -> None:
    config |= {"partitions": 1}
    slot = await opened(KafkaDurability, config)
    await slot.create(["alice"])
    topic = f"{config['topic_prefix']}test.log"
    admin = AIOKafkaAdminClient(bootstrap_servers=config["brokers"])
    await admin.start()
    # What is left of a topic when the broker has made it by itself.
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "604800000"})])
    await admin.close()
    slot._tail.seek({TopicPartition(topic, 0): 1_000_000})

    async def ask() -> None:
        async with asyncio.timeout(20):
            while True:
                await slot.depth(["alice"])

    with pytest.raises(Behind, match="stopped reading Kafka"):
        await ask()


class Worker:
    """A proxy in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []
        self.ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, config: Path, role: str) -> Worker:
        worker = cls(
            await asyncio.create_subprocess_exec(
                sys.executable, str(WORKER), str(config), role, stdout=asyncio.subprocess.PIPE
            )
        )
        async with asyncio.timeout(30):
            await worker.ready.wait()
        return worker

    async def kill(self) -> None:
        """Ends it at once; what it has said is read to the end."""
        self._process.kill()
        await self._process.wait()
        await self._reading

    async def said(self, count: int) -> None:
        """Waits until it has said so much."""
        await eventually(lambda: len(self.lines) >= count, 30)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            text = line.decode().strip()
            if text == "ready":
                self.ready.set()
            elif text:
                self.lines.append(text)


async def harm_and_count(
    config: Mapping[str, Any], folder: Path, slot: KafkaDurability, rounds: int, harm: Any
) -> None:
    """Senders and consumers work while they, or the broker, are killed; then all that was promised is looked for."""
    path = folder / "config.json"
    path.write_text(json.dumps(dict(config)))
    await slot.create(QUEUES)
    said: dict[str, Counter[str]] = {"sent": Counter(), "acking": Counter(), "acked": Counter()}
    for i in range(rounds):
        workers = await asyncio.gather(Worker.start(path, f"sender{i}"), Worker.start(path, "consumer"))
        for worker in workers:
            await worker.said(random.randint(5, 40))
        await harm(workers)
        for worker in workers:
            await worker.kill()
            for line in worker.lines:
                kind, _, what = line.partition(" ")
                said[kind][what] += 1
    await until_served(slot)
    left = await drain(slot, QUEUES)
    assert set(left.values()) | set(said["acked"].values()) == {1}
    assert not said["acked"].keys() & left.keys(), "what was acknowledged was handed out again"
    missing = {f"{queue} {name}" for name in said["sent"] for queue in QUEUES} - said["acked"].keys() - left.keys()
    # A consumer that was killed before it could say so has acknowledged what it was about to.
    assert missing <= said["acking"].keys(), "what was acknowledged to a sender is gone"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rounds", [6, pytest.param(450, marks=pytest.mark.soak)])
async def test_killed_proxies_lose_nothing_that_was_acknowledged(
    config: dict[str, Any], opened: Open, tmp_path: Path, rounds: int
) -> None:
    async def harm(_workers: Sequence[Worker]) -> None:
        """They are killed in any case."""

    await harm_and_count(config, tmp_path, await opened(KafkaDurability, config), rounds, harm)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rounds", [3, pytest.param(100, marks=pytest.mark.soak)])
async def test_killed_broker_loses_nothing_that_was_acknowledged(
    server: AsyncServer, opened: Open, tmp_path: Path, rounds: int
) -> None:
    config = options(server, request_timeout=20.0)

    async def harm(workers: Sequence[Worker]) -> None:
        await server.kill()
        await server.restart()
        # They go on by themselves.
        for worker in workers:
            await worker.said(len(worker.lines) + 10)

    await harm_and_count(config, tmp_path, await opened(KafkaDurability, config), rounds, harm)


def test_errors_of_others_are_not_classified() -> None:
    assert classify(ValueError("x")) is None
    assert classify(PrismError("x")) is None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotConnected("x"), Code.UNAVAILABLE),
        (Behind("x"), Code.UNAVAILABLE),
        (NoAnswer("x"), Code.DEADLINE_EXCEEDED),
        (driver.NotLeaderForPartitionError(), Code.UNAVAILABLE),
        (driver.NotEnoughReplicasError(), Code.UNAVAILABLE),
        (driver.NotEnoughReplicasAfterAppendError(), Code.DEADLINE_EXCEEDED),
        (driver.RequestTimedOutError(), Code.DEADLINE_EXCEEDED),
        (driver.KafkaTimeoutError(), Code.DEADLINE_EXCEEDED),
        (driver.TopicAuthorizationFailedError(), Code.INVALID_CONFIG),
        (driver.AuthenticationFailedError(), Code.INVALID_CONFIG),
        (driver.MessageSizeTooLargeError(), Code.LIMIT_EXCEEDED),
        (driver.OffsetOutOfRangeError(), Code.INTERNAL),
    ],
)
def test_failures_are_told_apart(error: Exception, code: Code) -> None:
    assert classify(error) is code
