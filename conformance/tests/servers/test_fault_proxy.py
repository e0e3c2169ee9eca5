"""The fault proxy, in front of a server that sends back what it gets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import pytest
from prism_conformance.servers import BlockingFaultProxy, Direction, FaultProxy
from prism_conformance.servers.resp import Resp

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BROKEN = (ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError)


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of a server that sends back what it gets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def proxy(echo: int) -> AsyncIterator[FaultProxy]:
    async with asyncio.timeout(20), FaultProxy("127.0.0.1", echo) as proxy:
        yield proxy


async def connected(proxy: FaultProxy) -> Streams:
    """A connection that is known to lead through to the server."""
    streams = await asyncio.open_connection(proxy.host, proxy.port)
    assert await echoed(streams, b"hello") == b"hello"
    return streams


async def echoed(streams: Streams, data: bytes) -> bytes:
    streams[1].write(data)
    return await streams[0].readexactly(len(data))


async def closed(streams: Streams) -> None:
    streams[1].close()
    with contextlib.suppress(ConnectionError):
        await streams[1].wait_closed()


async def test_healthy_proxy_passes_a_megabyte_unchanged(proxy):
    streams = await connected(proxy)
    data = bytes(range(256)) * 4096
    assert await echoed(streams, data) == data
    assert proxy.passed(Direction.UP) == proxy.passed(Direction.DOWN) == len(data) + 5
    await closed(streams)


async def test_polite_end_is_passed_on_and_counted(proxy):
    streams = await connected(proxy)
    streams[1].write_eof()
    assert await streams[0].read() == b""
    await closed(streams)
    await proxy.wait_until(lambda: proxy.connections == 0)


async def test_cut_resets_open_connections_and_lets_new_ones_through(proxy):
    streams = await connected(proxy)
    await proxy.cut()
    assert proxy.connections == 0
    with pytest.raises(BROKEN):
        await echoed(streams, b"lost")
    await closed(streams)
    again = await connected(proxy)
    await closed(again)


async def test_cut_after_lets_exactly_that_many_bytes_through(proxy):
    streams = await connected(proxy)
    await proxy.cut_after(3, Direction.DOWN)
    streams[1].write(b"abcdef")
    with pytest.raises(asyncio.IncompleteReadError) as broken:
        await read_to_reset(streams[0], 6)
    assert broken.value.partial == b"abc"
    await closed(streams)
    again = await connected(proxy)  # it happens once
    await closed(again)


async def read_to_reset(reader: asyncio.StreamReader, count: int) -> bytes:
    got = b""
    try:
        while len(got) < count:
            data = await reader.read(1)
            if not data:
                break
            got += data
    except ConnectionResetError:
        pass
    if len(got) < count:
        raise asyncio.IncompleteReadError(got, count)
    return got


async def test_refusing_proxy_takes_no_new_connection_and_keeps_the_old(proxy):
    streams = await connected(proxy)
    await proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(proxy.host, proxy.port)
    assert await echoed(streams, b"still") == b"still"
    await closed(streams)


async def test_healed_proxy_listens_again_on_its_port(proxy):
    port = proxy.port
    await proxy.refuse()
    await proxy.heal()
    assert proxy.port == port
    await closed(await connected(proxy))


async def test_delay_holds_each_way_back(proxy):
    streams = await connected(proxy)
    await proxy.delay(0.1)
    began = time.monotonic()
    assert await echoed(streams, b"late") == b"late"
    assert time.monotonic() - began >= 0.2
    await closed(streams)


async def test_delay_does_not_add_up_over_messages_on_their_way(proxy):
    streams = await connected(proxy)
    await proxy.delay(0.2, Direction.UP)
    began = time.monotonic()
    for _ in range(20):
        streams[1].write(b"x")
        await streams[1].drain()
        await asyncio.sleep(0)
    assert await streams[0].readexactly(20) == b"x" * 20
    assert time.monotonic() - began < 2.0  # one after the other would be 4 s
    await closed(streams)


async def test_throttle_bounds_the_rate(proxy):
    streams = await connected(proxy)
    await proxy.throttle(100_000, Direction.UP)
    began = time.monotonic()
    await echoed(streams, b"x" * 20_000)
    assert time.monotonic() - began >= 0.19
    await closed(streams)


async def test_black_hole_answers_nothing_and_keeps_connections_open(proxy):
    streams = await connected(proxy)
    await proxy.blackhole()
    streams[1].write(b"gone?")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.15):
            await streams[0].read(1)
    assert proxy.connections == 1
    await proxy.heal()
    assert await streams[0].readexactly(5) == b"gone?"
    await closed(streams)


async def test_black_hole_takes_new_connections_and_says_nothing(proxy):
    await proxy.blackhole(Direction.DOWN)
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(b"up only")
    await proxy.wait_until(lambda: proxy.passed(Direction.UP) == 7)
    assert proxy.passed(Direction.DOWN) == 0
    await proxy.heal()
    assert await reader.readexactly(7) == b"up only"
    await closed((reader, writer))


async def test_black_hole_hides_that_a_side_has_closed(proxy):
    streams = await connected(proxy)
    await proxy.blackhole()
    await closed(streams)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await proxy.wait_until(lambda: proxy.connections == 0)
    await proxy.heal()
    await proxy.wait_until(lambda: proxy.connections == 0)


async def test_connection_to_a_server_that_is_down_is_reset():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        async with FaultProxy("127.0.0.1", held.getsockname()[1]) as proxy:
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            with pytest.raises(ConnectionResetError):
                async with asyncio.timeout(10):
                    assert await reader.read(1) != b""
            await closed((reader, writer))


async def test_closing_the_proxy_breaks_what_is_stuck_in_a_black_hole(echo):
    async with FaultProxy("127.0.0.1", echo) as proxy:
        streams = await connected(proxy)
        await proxy.blackhole()
    with pytest.raises(BROKEN):
        async with asyncio.timeout(10):
            await streams[0].readexactly(1)
    await closed(streams)


@pytest.mark.parametrize("wrong", [0, -1])
async def test_throttle_to_nothing_is_refused(wrong, proxy):
    with pytest.raises(ValueError, match="blackhole"):
        await proxy.throttle(wrong)


async def test_url_keeps_login_and_path(proxy):
    assert proxy.url("redis://u:p@127.0.0.1:1/3?x=1") == f"redis://u:p@127.0.0.1:{proxy.port}/3?x=1"


def test_blocking_proxy_has_every_public_name_of_the_other():
    def names(proxy: type) -> set[str]:
        return {name for name in dir(proxy) if not name.startswith("_")}

    assert names(FaultProxy) - names(BlockingFaultProxy) == {"close"}


def test_blocking_proxy_cuts_and_heals(valkey_server):
    with BlockingFaultProxy(valkey_server.host, valkey_server.port) as proxy:
        with Resp(proxy.port) as redis:
            assert redis.call("PING") == "PONG"
            proxy.cut()
            with pytest.raises(ConnectionError):
                redis.call("PING")
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            Resp(proxy.port)
        proxy.heal()
        with Resp(proxy.port) as redis:
            assert redis.call("PING") == "PONG"


def test_blocking_proxy_makes_a_server_look_dead_without_a_word(valkey_server):
    with BlockingFaultProxy(valkey_server.host, valkey_server.port) as proxy:
        proxy.blackhole()
        with Resp(proxy.port, timeout_s=0.15) as redis, pytest.raises(TimeoutError):
            redis.call("PING")
