"""Real servers: they work, and bear being restarted, killed and paused."""

from __future__ import annotations

import asyncio
import socket

import pytest
from prism_conformance import servers
from prism_conformance.servers import KINDS, AsyncServer, ServerError, SharedServer, StartFailed, start
from prism_conformance.servers.errors import NotReady
from prism_conformance.servers.nats_protocol import Nats
from prism_conformance.servers.resp import Resp

BOTH_REDIS = ["redis", "valkey"]
STREAM = b'{"name": "KEPT", "subjects": ["kept.>"], "storage": "file", "num_replicas": %d}'


def pings(port: int) -> bool:
    with Resp(port, timeout_s=0.3) as redis:
        return redis.call("PING") == "PONG"


@pytest.mark.parametrize("kind", BOTH_REDIS)
def test_started_redis_keeps_what_is_set(kind, start_server):
    server = start_server(kind)
    with Resp(server.port) as redis:
        redis.call("SET", server.scope, "value")
        assert redis.call("GET", server.scope) == "value"
    assert server.url == f"redis://127.0.0.1:{server.port}"


@pytest.mark.parametrize(("kind", "version"), [("redis", "redis_version:7.0.15"), ("valkey", "valkey_version:9.1.2")])
def test_redis_and_valkey_are_the_pinned_versions(kind, version, redis_server, valkey_server):
    server = {"redis": redis_server, "valkey": valkey_server}[kind]
    with Resp(server.port) as redis:
        assert version in str(redis.call("INFO", "server"))


@pytest.mark.parametrize("kind", BOTH_REDIS)
def test_durable_redis_keeps_its_data_when_killed(kind, start_server):
    server = start_server(kind, durable=True)
    with Resp(server.port) as redis:
        redis.call("SET", "key", "kept")
    server.kill()
    server.restart()
    with Resp(server.port) as redis:
        assert redis.call("GET", "key") == "kept"


def test_ordinary_redis_comes_back_empty(start_server):
    server = start_server("valkey")
    with Resp(server.port) as redis:
        redis.call("SET", "key", "lost")
    server.restart()
    with Resp(server.port) as redis:
        assert redis.call("GET", "key") is None


def test_killed_server_refuses_connections_until_restarted_on_its_port(start_server):
    server = start_server("valkey")
    port = server.port
    server.kill()
    assert not server.is_running()
    with pytest.raises(ConnectionRefusedError):
        pings(port)
    server.restart()
    assert server.port == port
    assert pings(port)


def test_paused_server_takes_connections_but_answers_only_when_resumed(start_server):
    server = start_server("valkey")
    server.pause()
    assert server.is_running()
    with pytest.raises(TimeoutError):
        pings(server.port)
    server.resume()
    assert pings(server.port)


def test_paused_server_can_be_restarted(start_server):
    server = start_server("valkey")
    server.pause()
    server.restart()
    assert pings(server.port)


def test_stopping_twice_is_harmless(start_server):
    server = start_server("valkey")
    server.stop()
    server.stop()
    assert not server.is_running()


def test_stopped_server_leaves_no_process_and_no_folder(start_server, wait_dead):
    server = start_server("valkey")
    pid, folder = server.pid(), server.nodes[0].log.parent
    server.stop()
    wait_dead(pid)
    assert not folder.exists()


def test_own_configuration_reaches_the_server_and_its_url(start_server):
    server = start_server("valkey", config={"requirepass": "secret word", "maxmemory": "50mb"})
    assert server.url == f"redis://:secret%20word@127.0.0.1:{server.port}"
    with pytest.raises(NotReady, match="NOAUTH"):
        pings(server.port)
    with Resp(server.port, password="secret word") as redis:
        assert redis.call("CONFIG", "GET", "maxmemory") == ["maxmemory", str(50 * 2**20)]


def test_server_that_ends_at_once_fails_with_its_log():
    with pytest.raises(StartFailed, match=r"valkey 9\.1\.2\.post2 ended with exit code 1.*(?s:.*)no-such-option"):
        start("valkey", config={"no-such-option": "1"})


def test_restart_of_a_server_that_ends_at_once_fails(start_server):
    server = start_server("valkey", durable=True)
    server.kill()
    broken = server.nodes[0].log.with_suffix("") / "appendonlydir"
    next(broken.glob("*.manifest")).write_text("not a manifest\n")
    with pytest.raises(StartFailed, match="ended with exit code 1"):
        server.restart()


def test_unknown_kind_is_refused_and_names_the_nearest():
    with pytest.raises(ServerError, match=r"'reddis': no such server\. Did you mean 'redis'"):
        start("reddis")


@pytest.mark.parametrize("deed", ["kill", "pause", "resume", "restart", "stop"])
def test_shared_server_refuses_to_be_controlled_by_one_test(deed, valkey_server):
    with pytest.raises(SharedServer, match="start your own"):
        getattr(valkey_server, deed)()
    assert pings(valkey_server.port)


def test_two_servers_of_one_kind_know_nothing_of_each_other(start_server):
    first, second = start_server("valkey"), start_server("valkey")
    with Resp(first.port) as redis:
        redis.call("SET", "key", "value")
    with Resp(second.port) as redis:
        assert redis.call("GET", "key") is None


def test_log_tail_holds_the_servers_own_words(start_server):
    assert "Ready to accept connections" in start_server("valkey").log_tail()


def test_port_of_a_killed_server_is_given_to_nobody_else(start_server):
    server = start_server("valkey")
    server.kill()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", server.port))


@pytest.mark.parametrize("kind", ["redis_cluster", "valkey_cluster"])
def test_redis_cluster_has_three_nodes_that_share_all_slots(kind, request):
    server = request.getfixturevalue(kind)
    owners = set()
    for node in server.nodes:
        with Resp(node.port) as redis:
            assert "cluster_state:ok" in str(redis.call("CLUSTER", "INFO"))
            slots = redis.call("CLUSTER", "SLOTS")
        assert isinstance(slots, list)
        owners.add(tuple(sorted((part[0], part[1], part[2][1]) for part in slots)))  # type: ignore[index]
    (shares,) = owners
    assert sum(last - first + 1 for first, last, _ in shares) == 16384
    assert {port for _, _, port in shares} == {node.port for node in server.nodes}


def test_redis_cluster_heals_when_a_killed_node_is_restarted(start_server):
    server = start_server("valkey_cluster")
    server.kill(node=1)
    assert [server.is_running(node=index) for index in range(3)] == [True, False, True]
    server.restart(node=1)
    for node in server.nodes:
        with Resp(node.port) as redis:
            assert "cluster_state:ok" in str(redis.call("CLUSTER", "INFO"))


def test_nats_keeps_what_jetstream_acknowledged_when_killed(start_server):
    server = start_server("nats")
    with Nats(server.port) as nats:
        nats.request("$JS.API.STREAM.CREATE.KEPT", STREAM % 1)
        assert nats.request("kept.one", b"message")["seq"] == 1
    server.kill()
    server.restart()
    with Nats(server.port) as nats:
        assert nats.request("$JS.API.STREAM.INFO.KEPT")["state"]["messages"] == 1


def test_nats_probe_leaves_no_stream_behind(start_server):
    server = start_server("nats")
    server.restart()
    with Nats(server.port) as nats:
        assert nats.request("$JS.API.STREAM.NAMES").get("streams") is None


def test_nats_configuration_reaches_its_blocks(start_server):
    server = start_server("nats", config={"max_payload": "2MB", "jetstream.max_memory_store": "32MB"})
    with Nats(server.port) as nats:
        assert nats.info["max_payload"] == 2 * 2**20
        assert nats.request("$JS.API.INFO")["memory"] == 0


def test_nats_cluster_stores_on_while_a_follower_is_down(start_server, eventually):
    server = start_server("nats_cluster")
    with Nats(server.port) as nats:
        leader = nats.request("$JS.API.STREAM.CREATE.KEPT", STREAM % 3)["cluster"]["leader"]
    names = [node.name for node in server.nodes]
    follower = next(index for index, name in enumerate(names) if name != leader)
    server.kill(node=follower)

    def stored() -> bool:
        try:
            with Nats(server.nodes[names.index(leader)].port) as nats:
                return nats.request("kept.one", b"message")["seq"] > 0
        except (OSError, NotReady):
            return False  # the others may not have noticed yet

    eventually(stored)
    server.restart(node=follower)
    assert server.is_running(node=follower)


async def test_async_server_reads_like_the_blocking_one():
    async with await AsyncServer.start("valkey") as server:
        await server.kill()
        assert not await server.is_running()
        await server.restart()
        assert await asyncio.to_thread(pings, server.port)


async def test_async_shared_server_is_the_blocking_ones(valkey_server):
    server = await AsyncServer.shared("valkey")
    assert (server.url, server.scope != valkey_server.scope) == (valkey_server.url, True)


async def test_cancelled_start_leaves_no_server(python):
    code = """
import asyncio, pathlib
from prism_conformance.servers import AsyncServer, Run

async def main():
    starting = asyncio.ensure_future(AsyncServer.start("valkey"))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()
    print([path.name for path in Run.current().folder.glob("valkey-*") if path.is_dir()])

asyncio.run(main())
"""
    out, _ = await asyncio.to_thread(python(code).communicate, timeout=30)
    assert out == "[]\n"


def test_every_kind_says_what_it_is():
    assert all(recipe.summary and recipe.pin.version for recipe in KINDS.values())


def test_every_public_name_can_be_imported():
    assert all(getattr(servers, name) is not None for name in servers.__all__)


def test_name_that_is_not_public_is_refused():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        servers.nothing  # noqa: B018
