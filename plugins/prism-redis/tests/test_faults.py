"""What happens when the server restarts, hangs, forgets its scripts, or refuses us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from prism.model.errors import InvalidConfig, PrismError
from prism.model.message import DeliverySemantics, Message
from prism.model.time import SECOND
from prism.plugins.spec import Capability
from prism.slots.context import Code, SlotContext
from prism.slots.durability import Enqueued, Lease, Settled
from prism.slots.messaging import Event, Interrupted, Publication, Published, Received, Subscription, Topic, TopicKind
from prism.slots.registry import Anything, Query, Renewal, Renewed, Stored, Write
from prism_conformance.servers import AsyncServer
from prism_redis.config import RedisConfig
from prism_redis.durability import RedisDurability
from prism_redis.errors import ConnectionLost, ReplyError, ReplyTimeout, classify
from prism_redis.messaging import RedisMessaging
from prism_redis.registry import RedisRegistry
from prism_redis.serverinfo import ServerInfo
from redis.asyncio import Redis
from support.proxies import eventually

from .conftest import Open

ALICE = Topic(TopicKind.IDENTITY, "alice")
HOUR = 3600 * SECOND
DURABLE = {"appendonly": "yes", "appendfsync": "everysec"}


def message(name: str, payload: bytes = b"x") -> Message:
    return Message(name, payload, "text/plain", 1, DeliverySemantics.AT_LEAST_ONCE)


def write(identity: str) -> Write:
    return Write(identity, b'{"a":1}', "r1", HOUR, Anything())


def options(server: AsyncServer, **more: Any) -> dict[str, Any]:
    return {"url": server.url, "timeout": 2.0, "connect_timeout": 1.0, **more}


@pytest.fixture(params=["redis", "valkey"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[AsyncServer]:
    """A server of the test's own, that keeps what it acknowledges."""
    async with await AsyncServer.start(request.param, durable=True, config=DURABLE) as server:
        yield server


async def until_served(slot: RedisRegistry | RedisMessaging | RedisDurability) -> None:
    """Waits until the slot can serve again."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await slot.check()
            except Exception as error:
                if slot.classify(error) not in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
                    raise
            await asyncio.sleep(0.02)


async def events(subscription: Subscription, enough: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(20):
        async for batch in subscription:
            found += batch
            if len(found) >= enough:
                break
    return found


async def test_registrations_survive_a_restart_and_calls_go_on(server: AsyncServer, opened: Open) -> None:
    registry = await opened(RedisRegistry, options(server))
    [stored] = await registry.set([write("alice")])
    assert isinstance(stored, Stored)
    await server.restart()
    assert await registry.get(["alice"]) == [stored.registration]
    [again] = await registry.set([write("bob")])
    assert isinstance(again, Stored)


async def test_queues_and_their_leases_survive_a_crash(server: AsyncServer, opened: Open) -> None:
    slot = await opened(RedisDurability, options(server))
    await slot.create(["alice"])
    for name in ("m1", "m2", "m3"):
        assert await slot.enqueue(message(name), ["alice"]) == [Enqueued()]
    first: Sequence[Lease] = await slot.dequeue(["alice"], 1, 60 * SECOND)
    await server.kill()
    await server.restart()
    await until_served(slot)
    rest = await slot.dequeue(["alice"], 10, 60 * SECOND)
    assert [item.content.id for item in [*first, *rest]] == ["m1", "m2", "m3"]
    assert await slot.ack([*first, *rest]) == [Settled()] * 3
    assert await slot.depth(["alice"]) == [0]


async def test_subscription_comes_back_after_a_restart_and_says_that_it_was_gone(
    server: AsyncServer, opened: Open
) -> None:
    slot = await opened(RedisMessaging, options(server))
    async with await slot.subscribe() as subscription:
        await subscription.add([ALICE])
        await slot.publish(Publication(b"before"), [ALICE])
        [before] = await events(subscription, 1)
        assert isinstance(before, Received)
        await server.kill()
        await server.restart()
        [gap] = await events(subscription, 1)
        assert isinstance(gap, Interrupted)
        assert await slot.publish(Publication(b"after"), [ALICE]) == [Published(1)]
        [after] = await events(subscription, 1)
        assert isinstance(after, Received)
        assert after.publication.payload == b"after"


async def test_topic_added_while_the_server_is_down_is_listened_to_when_it_is_back(
    server: AsyncServer, opened: Open
) -> None:
    slot = await opened(RedisMessaging, options(server, timeout=15.0))
    async with await slot.subscribe() as subscription, asyncio.TaskGroup() as tasks:
        await subscription.add([Topic(TopicKind.INBOX, "proxy")])
        await server.kill()
        tasks.create_task(subscription.add([ALICE]))
        await server.restart()
    assert await slot.publish(Publication(b"x"), [ALICE]) == [Published(0)]


async def test_adding_a_topic_fails_in_time_where_no_server_is(server: AsyncServer, opened: Open) -> None:
    slot = await opened(RedisMessaging, options(server, timeout=0.5))
    async with await slot.subscribe() as subscription:
        await server.kill()
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one depends on how far it got
            await subscription.add([ALICE])
    assert slot.classify(caught.value) in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)


async def test_server_that_is_gone_is_unavailable(server: AsyncServer, opened: Open) -> None:
    registry = await opened(RedisRegistry, options(server))
    await server.kill()
    with pytest.raises(Exception) as caught:  # noqa: PT011
        await registry.set([write("alice")])
    assert registry.classify(caught.value) is Code.UNAVAILABLE


async def test_server_that_hangs_exceeds_the_deadline_and_is_used_again_when_it_goes_on(
    server: AsyncServer, opened: Open
) -> None:
    registry = await opened(RedisRegistry, options(server, timeout=0.3))
    await server.pause()
    with pytest.raises(ReplyTimeout) as caught:
        await registry.set([write("alice")])
    assert registry.classify(caught.value) is Code.DEADLINE_EXCEEDED
    await server.resume()
    await until_served(registry)
    [stored] = await registry.set([write("bob")])
    assert isinstance(stored, Stored)


async def test_connection_cut_in_the_middle_of_a_write_leaves_its_effect_unknown(
    server: AsyncServer, opened: Open
) -> None:
    registry = await opened(RedisRegistry, options(server, timeout=5.0, pool_size=1))
    await registry.set([write("alice")])
    await server.pause()
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(_outcome(registry))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await server.kill()
    error = writing.result()
    assert isinstance(error, ConnectionLost)
    assert registry.classify(error) is Code.DEADLINE_EXCEEDED


async def _outcome(registry: RedisRegistry) -> Exception | None:
    try:
        await registry.set([write("alice")])
    except ConnectionLost as error:
        return error
    return None


async def test_forgotten_scripts_are_sent_again(server: AsyncServer, opened: Open) -> None:
    registry = await opened(RedisRegistry, options(server))
    batch = [write(f"user-{i}") for i in range(1_500)]
    await registry.set(batch)
    async with Redis.from_url(server.url) as bare:
        await bare.script_flush()
        outcomes = await registry.set(batch)
        assert all(isinstance(outcome, Stored) for outcome in outcomes)
        await bare.script_flush()
        assert sum([len(page) async for page in registry.scan(Query())]) == 1_500


async def test_killed_connections_are_replaced(server: AsyncServer, opened: Open) -> None:
    registry = await opened(RedisRegistry, options(server))
    await registry.set([write("alice")])
    async with Redis.from_url(server.url) as bare:
        for _ in range(5):
            await bare.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert (await registry.get(["alice"]))[0] is not None
            assert isinstance((await registry.expire([Renewal("alice", None, HOUR)]))[0], Renewed)


async def test_server_without_memory_is_unavailable_and_has_done_nothing(server: AsyncServer, opened: Open) -> None:
    registry = await opened(RedisRegistry, options(server))
    async with Redis.from_url(server.url) as bare:
        await bare.config_set("maxmemory", "1mb")
        with pytest.raises(ReplyError) as caught:
            await registry.set([write("alice")])
        await bare.config_set("maxmemory", "0")
    assert registry.classify(caught.value) is Code.UNAVAILABLE
    assert await registry.get(["alice"]) == [None]


@pytest.mark.parametrize(
    ("settings", "durable"),
    [
        ({"appendonly": "yes", "appendfsync": "always"}, True),
        ({"appendonly": "yes", "appendfsync": "everysec"}, True),
        ({"appendonly": "yes", "appendfsync": "no"}, False),
        ({"appendonly": "no"}, False),
        (
            {"appendonly": "yes", "appendfsync": "everysec", "maxmemory": "1gb", "maxmemory-policy": "allkeys-lru"},
            False,
        ),
    ],
)
async def test_slot_is_durable_only_where_the_server_keeps_what_it_acknowledges(
    opened: Open, settings: Mapping[str, str], durable: bool
) -> None:
    async with await AsyncServer.start("valkey", config=settings) as server:
        for kind in (RedisRegistry, RedisDurability):
            slot = await opened(kind, options(server))
            assert (Capability.DURABLE in slot.capabilities) is durable
            await slot.close()


async def test_wrong_password_is_a_mistake_in_the_configuration(opened: Open) -> None:
    async with await AsyncServer.start("valkey", config={"requirepass": "right"}) as server:
        host = {"host": server.host, "port": server.port}
        registry = await opened(RedisRegistry, {**host, "password": "right"})
        await registry.set([write("alice")])
        await registry.close()
        for login in ({"password": "wrong"}, {}, {"username": "nobody", "password": "right"}):
            slot = RedisRegistry(RedisConfig(**host, **login), SlotContext("test"))
            with pytest.raises(Exception) as caught:  # noqa: PT011
                await slot.open()
            await slot.close()
            assert slot.classify(caught.value) is Code.INVALID_CONFIG


async def test_acl_user_with_our_keys_alone_is_enough(opened: Open) -> None:
    async with await AsyncServer.start("valkey") as server:
        async with Redis.from_url(server.url) as bare:
            rules = ("on", ">secret", "~{prism:*", "&{prism:*", "+@all", "-@dangerous", "+info")
            await bare.execute_command("ACL", "SETUSER", "app", *rules)
        config = {"host": server.host, "port": server.port, "username": "app", "password": "secret"}
        registry = await opened(RedisRegistry, config)
        assert isinstance((await registry.set([write("alice")]))[0], Stored)
        assert Capability.DURABLE not in registry.capabilities
        queues = await opened(RedisDurability, config)
        await queues.create(["alice"])
        assert await queues.enqueue(message("m1"), ["alice"]) == [Enqueued()]
        messaging = await opened(RedisMessaging, config)
        async with await messaging.subscribe() as subscription:
            await subscription.add([ALICE])
            assert await messaging.publish(Publication(b"x"), [ALICE]) == [Published(1)]


async def test_missing_database_is_a_mistake_in_the_configuration(single: Mapping[str, Any]) -> None:
    slot = RedisRegistry(RedisConfig(**{**single, "url": single["url"] + "/9999"}), SlotContext("test"))
    with pytest.raises(Exception) as caught:  # noqa: PT011
        await slot.open()
    await slot.close()
    assert slot.classify(caught.value) is Code.INVALID_CONFIG


async def test_old_server_is_refused(single: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def old(_servers: object) -> ServerInfo:
        return ServerInfo((6, 0), None)

    monkeypatch.setattr("prism_redis.slot.read_info", old)
    slot = RedisRegistry(RedisConfig(**single), SlotContext("test"))
    with pytest.raises(InvalidConfig, match=r"version 6\.0; upgrade it to 7\.0"):
        await slot.open()
    await slot.close()


def test_errors_of_others_are_not_classified() -> None:
    assert classify(ValueError("x")) is None
    assert classify(PrismError("x")) is None


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("OOM command not allowed", Code.UNAVAILABLE),
        ("READONLY You can't write against a read only replica.", Code.UNAVAILABLE),
        ("LOADING Redis is loading the dataset in memory", Code.UNAVAILABLE),
        ("CLUSTERDOWN Hash slot not served", Code.UNAVAILABLE),
        ("NOPERM this user has no permissions", Code.INVALID_CONFIG),
        ("ERR something else", Code.INTERNAL),
    ],
)
def test_refusals_are_told_apart(reply: str, code: Code) -> None:
    assert classify(ReplyError(reply)) is code


async def test_slots_of_one_configuration_share_their_connections(opened: Open) -> None:
    async with await AsyncServer.start("valkey") as server, Redis.from_url(server.url) as bare:
        slots = [
            await opened(kind, options(server), namespace=name)
            for kind in (RedisRegistry, RedisDurability, RedisMessaging)
            for name in ("a", "b", "c")
        ]
        for slot in slots:
            await slot.check()
        assert len(await bare.client_list()) == 2
        for slot in slots:
            await slot.close()
        await eventually(lambda: _alone(bare))


async def _alone(bare: Redis) -> bool:
    return len(await bare.client_list()) == 1
