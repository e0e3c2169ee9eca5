"""Clusters whose nodes come and go, Sentinels, TLS."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prism.model.time import SECOND
from prism.slots.context import Code, SlotContext
from prism.slots.messaging import Interrupted, Publication, Published, Topic, TopicKind
from prism.slots.registry import Anything, Query, Stored, Write
from prism_conformance.servers import AsyncServer
from prism_conformance.servers.catalog import find
from prism_redis.config import RedisConfig
from prism_redis.messaging import RedisMessaging
from prism_redis.registry import RedisRegistry
from redis.asyncio import Redis
from redis.exceptions import RedisError
from support.proxies import eventually

from .conftest import Open

HOUR = 3600 * SECOND
NAMES = [f"user-{i:03d}" for i in range(200)]


def write(identity: str) -> Write:
    return Write(identity, b"{}", "r1", HOUR, Anything())


async def names(registry: RedisRegistry) -> list[str]:
    return [name async for page in registry.scan(Query(page_size=33)) for name in page.identities]


async def test_cluster_is_found_from_any_one_node_and_spreads_a_namespace(opened: Open) -> None:
    server = await AsyncServer.shared("redis_cluster")
    for node in server.nodes:
        config = {"host": node.host, "port": node.port, "cluster": True, "key_prefix": server.scope}
        registry = await opened(RedisRegistry, config)
        await registry.set([write(name) for name in NAMES])
        assert await names(registry) == NAMES
    sizes = []
    for node in server.nodes:
        async with Redis.from_url(node.url) as bare:
            sizes.append(len([key async for key in bare.scan_iter(match=f"{{{server.scope}:*", count=10_000)]))
    assert all(sizes)


async def test_node_of_a_cluster_that_is_down_fails_its_own_items_alone(opened: Open) -> None:
    async with await AsyncServer.start("redis_cluster", config={"cluster-require-full-coverage": "no"}) as server:
        config = {"url": server.url, "cluster": True, "timeout": 1.0, "connect_timeout": 0.5}
        registry = await opened(RedisRegistry, config)
        messaging = await opened(RedisMessaging, config)
        assert all(isinstance(outcome, Stored) for outcome in await registry.set([write(name) for name in NAMES]))
        await server.kill(node=1)
        outcomes = await registry.set([write(name) for name in NAMES])
        stored = sum(isinstance(outcome, Stored) for outcome in outcomes)
        assert 0 < stored < len(NAMES)
        published = await messaging.publish(Publication(b"x"), [Topic(TopicKind.IDENTITY, name) for name in NAMES])
        assert 0 < sum(isinstance(outcome, Published) for outcome in published) < len(NAMES)
        await server.restart(node=1)
        await eventually(lambda: _takes_all(registry), seconds=20)
        assert await names(registry) == NAMES


async def _takes_all(registry: RedisRegistry) -> bool:
    return all(isinstance(outcome, Stored) for outcome in await registry.set([write(name) for name in NAMES]))


async def test_slot_that_moves_to_another_node_takes_its_records_and_topics_along(opened: Open) -> None:
    async with await AsyncServer.start("redis_cluster") as server:
        config = {"url": server.url, "cluster": True, "partitions": 1, "timeout": 5.0}
        registry = await opened(RedisRegistry, config)
        messaging = await opened(RedisMessaging, config)
        alice = Topic(TopicKind.IDENTITY, "alice")
        await registry.set([write(name) for name in NAMES])
        async with await messaging.subscribe() as subscription:
            await subscription.add([alice])
            await _move_slot(server, registry._partitions[0].slot)
            assert await names(registry) == NAMES
            assert isinstance((await registry.set([write("zoe")]))[0], Stored)
            async with asyncio.timeout(20):
                [event] = await anext(aiter(subscription))
                assert isinstance(event, Interrupted)
            assert await messaging.publish(Publication(b"x"), [alice]) == [Published(1)]


async def _move_slot(server: AsyncServer, slot: int) -> None:
    """Moves one slot from the node that has it to the next."""
    clients = [Redis(host=node.host, port=node.port) for node in server.nodes]
    try:
        ids = [(await client.execute_command("CLUSTER MYID")).decode() for client in clients]
        shards = await clients[0].execute_command("CLUSTER SLOTS")
        owner = next(row[2][2].decode() for row in shards if row[0] <= slot <= row[1])
        source = ids.index(owner)
        target = (source + 1) % len(clients)
        await clients[target].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
        await clients[source].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
        there = server.nodes[target]
        while keys := await clients[source].execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            await clients[source].execute_command("MIGRATE", there.host, there.port, "", 0, 5000, "KEYS", *keys)
        for client in (clients[target], clients[source]):
            await client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target])
    finally:
        for client in clients:
            await client.aclose()


async def test_cluster_without_a_reachable_node_is_unavailable() -> None:
    slot = RedisRegistry(RedisConfig(host="127.0.0.1", port=1, cluster=True, connect_timeout=0.5), SlotContext("test"))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - redis-py's
        await slot.open()
    await slot.close()
    assert slot.classify(caught.value) is Code.UNAVAILABLE


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, str]:
    """A certificate for 127.0.0.1 that signs itself."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -keyout {key} -out {cert}"
    options = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *options], check=True, capture_output=True, timeout=30)
    for file in (key, cert):
        file.chmod(0o644)
    tmp_path.chmod(0o755)
    return {"key": str(key), "cert": str(cert)}


async def test_tls_with_a_trusted_certificate_works_and_with_another_is_a_mistake_in_the_configuration(
    opened: Open, certificates: dict[str, str], unused_tcp_port: int
) -> None:
    settings = {
        "tls-port": str(unused_tcp_port),
        "tls-cert-file": certificates["cert"],
        "tls-key-file": certificates["key"],
        "tls-ca-cert-file": certificates["cert"],
        "tls-auth-clients": "no",
    }
    async with await AsyncServer.start("redis", config=settings):
        config: dict[str, Any] = {"host": "127.0.0.1", "port": unused_tcp_port, "tls": True}
        registry = await opened(RedisRegistry, {**config, "tls_ca": certificates["cert"]})
        assert isinstance((await registry.set([write("alice")]))[0], Stored)
        url = f"rediss://127.0.0.1:{unused_tcp_port}"
        again = await opened(RedisRegistry, {"url": url, "tls_ca": certificates["cert"]})
        assert await names(again) == ["alice"]
        stranger = RedisRegistry(RedisConfig(**config), SlotContext("test"))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - redis-py's
            await stranger.open()
        await stranger.close()
        assert stranger.classify(caught.value) is Code.INVALID_CONFIG


@pytest.fixture
def sentinel(tmp_path: Path, unused_tcp_port: int) -> Iterator[Callable[[AsyncServer], str]]:
    """A function that starts a Sentinel that watches a master, and returns its address."""
    with ExitStack() as stack:

        def start(master: AsyncServer) -> str:
            file = tmp_path / "sentinel.conf"
            file.write_text(
                f"port {unused_tcp_port}\nbind 127.0.0.1\ndir {tmp_path}\n"
                f"sentinel monitor main {master.host} {master.port} 1\n"
                "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
            )
            binary = find("valkey").install().binary
            process = stack.enter_context(
                subprocess.Popen(
                    [binary, str(file), "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
            stack.callback(process.kill)
            return f"127.0.0.1:{unused_tcp_port}"

        yield start


async def test_sentinels_lead_to_the_master_and_to_its_successor(
    opened: Open, sentinel: Callable[[AsyncServer], str]
) -> None:
    alice = Topic(TopicKind.IDENTITY, "alice")
    async with await AsyncServer.start("valkey") as master, await AsyncServer.start("valkey") as replica:
        async with Redis(host=replica.host, port=replica.port) as bare:
            await bare.execute_command("REPLICAOF", master.host, master.port)
        address = sentinel(master)
        config = {"sentinels": [address], "master": "main", "timeout": 10.0, "connect_timeout": 1.0}
        async with Redis(host="127.0.0.1", port=int(address.rpartition(":")[2])) as watcher:
            await eventually(lambda: _knows_replica(watcher), seconds=20)
            registry = await opened(RedisRegistry, config)
            messaging = await opened(RedisMessaging, config)
            await registry.set([write("alice")])
            async with Redis(host=master.host, port=master.port) as bare:
                assert await bare.execute_command("WAIT", 1, 5000) == 1
            async with await messaging.subscribe() as subscription:
                await subscription.add([alice])
                await watcher.execute_command("SENTINEL", "FAILOVER", "main")
                await eventually(lambda: _leads(watcher, replica.port), seconds=20)
                await eventually(lambda: _takes_writes(registry), seconds=20)
                assert await names(registry) == ["alice", "bob"]
                await eventually(lambda: _is_heard(messaging, alice), seconds=20)


async def _knows_replica(watcher: Redis) -> bool:
    try:
        found = await watcher.execute_command("SENTINEL", "REPLICAS", "main")
    except RedisError:
        return False  # it is only starting
    return bool(found)


async def _leads(watcher: Redis, port: int) -> bool:
    _, found = await watcher.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
    return int(found) == port


async def _takes_writes(registry: RedisRegistry) -> bool:
    try:
        [outcome] = await registry.set([write("bob")])
    except Exception as error:
        if registry.classify(error) not in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
            raise
        return False
    return isinstance(outcome, Stored)


async def _is_heard(messaging: RedisMessaging, topic: Topic) -> bool:
    try:
        return await messaging.publish(Publication(b"x"), [topic]) == [Published(1)]
    except Exception as error:
        if messaging.classify(error) not in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
            raise
        return False
