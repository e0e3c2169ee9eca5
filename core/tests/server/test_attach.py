"""The Attach stream at its edge: frames in, frames out, and how a stream ends."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc import StatusCode
from prism.config import load_config
from prism.model.errors import (
    DeadlineExceeded,
    InvalidArgument,
    PrismError,
    QuotaExceeded,
    Unavailable,
)
from prism.model.time import SECOND
from prism.server import attach
from prism.server.app import OFF, Proxy
from prism.server.attach import AttachEdge
from prism.server.frames import NO_HANDLE
from prism.v1 import attach_pb2
from prism.v1 import registry_pb2 as pb
from prism.v1.filter_pb2 import Filter
from prism.v1.registry_pb2_grpc import MulticastRegistryServiceStub
from support.calls import PATIENCE, Stream, refused, until

RAW = "/prism.v1.MulticastRegistryService/Attach"


@pytest.fixture
def stream(stub):
    return Stream(stub)


@pytest.fixture
def edges(monkeypatch) -> list[AttachEdge]:
    """The edges of proxies made from now on."""
    made: list[AttachEdge] = []
    build = AttachEdge.__init__

    def remember(edge: AttachEdge, hub) -> None:
        build(edge, hub)
        made.append(edge)

    monkeypatch.setattr(attach.AttachEdge, "__init__", remember)
    return made


async def send(stub, payload: bytes = b"hello", **fields) -> pb.MulticastResponse:
    return await stub.Multicast(pb.MulticastRequest(payload=payload, **fields))


async def test_an_attached_identity_is_registered_and_receives(stub, stream):
    attached = (await stream.attach("a", b'{"x":1}', ttl_seconds=40)).attached
    assert (attached.identity, attached.handle, attached.resumed) == ("a", 0, False)
    (found,) = (await stub.Get(pb.GetRequest(identities=["a"]))).found
    assert found.attached
    assert found.revision == attached.revision
    answer = await send(stub, b"hello", content_type="text/plain")
    assert answer.delivered_count == 1
    delivery = (await stream.event()).delivery
    assert delivery.message.payload == b"hello"
    assert delivery.message.message_id == answer.message_id
    assert delivery.message.content_type == "text/plain"
    assert delivery.message.sent_at_us > 0


async def test_a_gateway_gets_the_payload_once_with_a_handle_for_each(stub, stream):
    handles = [(await stream.attach(name)).attached.handle for name in ("a", "b", "c")]
    assert handles == [0, 1, 2]
    await send(stub, filter=Filter(json='{"$identity.in": ["a", "c"]}'))
    delivery = (await stream.event()).delivery
    assert list(delivery.handles) == [0, 2]
    assert not delivery.tags


async def test_thousands_of_identities_on_one_stream_all_receive(stub, stream):
    items = [attach_pb2.AttachIdentity(identity=f"d{i}", metadata_json=b"{}") for i in range(3_000)]
    await stream.send(attach=items)
    handles = {(await stream.event()).attached.handle for _ in items}
    answer = await send(stub)
    assert answer.delivered_count == 3_000
    received: set[int] = set()
    while len(received) < 3_000:
        received.update((await stream.event()).delivery.handles)
    assert received == handles


async def test_at_least_once_is_acked_by_tag(stub, stream):
    await stream.attach("a")
    sending = asyncio.create_task(send(stub, delivery=pb.AT_LEAST_ONCE, timeout_ms=5_000))
    delivery = (await stream.event()).delivery
    assert list(delivery.handles) == [0]
    assert list(delivery.attempts) in ([], [1])
    await stream.send(ack=delivery.tags)
    assert (await asyncio.wait_for(sending, PATIENCE)).delivered_count == 1


async def test_a_nacked_message_comes_again_with_the_same_id(stub, stream):
    await stream.attach("a")
    await send(stub, delivery=pb.AT_LEAST_ONCE, timeout_ms=0)
    first = (await stream.event()).delivery
    await stream.send(nack=[attach_pb2.Nack(tag=first.tags[0])])
    second = (await stream.event()).delivery
    assert second.message.message_id == first.message.message_id
    assert list(second.attempts) == [2]


async def test_detaching_unregisters(stub, stream):
    await stream.attach("a")
    await stream.send(detach=[attach_pb2.Detach(identity="a")])
    assert (await stream.event()).detached == attach_pb2.Detached(identity="a", handle=0)
    assert not (await stub.Get(pb.GetRequest(identities=["a"]))).found


async def test_detaching_with_keep_leaves_the_registration(stub, stream):
    await stream.attach("a")
    await stream.send(detach=[attach_pb2.Detach(identity="a", keep=True)])
    assert (await stream.event()).WhichOneof("kind") == "detached"
    (found,) = (await stub.Get(pb.GetRequest(identities=["a"]))).found
    assert not found.attached


async def test_detaching_what_is_not_attached_has_no_handle(stream):
    await stream.send(detach=[attach_pb2.Detach(identity="a")])
    assert (await stream.event()).detached.handle == NO_HANDLE


async def test_a_refused_identity_does_not_end_the_stream(stub, stream):
    await stub.Register(pb.RegisterRequest(identity="taken"))
    for item, reason, code in (
        ({"identity": "a", "metadata_json": b"[1]"}, "INVALID_METADATA", StatusCode.INVALID_ARGUMENT),
        ({"identity": "a", "metadata_json": None}, "NOT_FOUND", StatusCode.NOT_FOUND),
        ({"identity": "taken", "only_if_absent": True}, "ALREADY_EXISTS", StatusCode.ALREADY_EXISTS),
        ({"identity": "a", "ttl_seconds": -5}, "INVALID_ARGUMENT", StatusCode.INVALID_ARGUMENT),
        ({"identity": ""}, "INVALID_ARGUMENT", StatusCode.INVALID_ARGUMENT),
    ):
        refusal = (await stream.attach(**item)).refused
        assert (refusal.identity, refusal.reason) == (item["identity"], reason)
        assert refusal.code == code.value[0]
        assert refusal.message
    assert (await stream.attach("good")).attached.identity == "good"


async def test_a_refusal_names_the_fields_at_fault(stream):
    refusal = (await stream.attach("a", ttl_seconds=-5)).refused
    assert [problem.field for problem in refusal.problems] == ["ttl_seconds"]


async def test_an_identity_named_twice_in_one_frame_is_refused(stream):
    item = attach_pb2.AttachIdentity(identity="a", metadata_json=b"{}")
    await stream.send(attach=[item, item])
    events = [await stream.event(), await stream.event()]
    assert {event.WhichOneof("kind") for event in events} <= {"refused", "attached"}
    assert events[-1].WhichOneof("kind") == "refused"


async def test_attaching_without_metadata_takes_the_registration_over(stub, stream):
    await stub.Register(pb.RegisterRequest(identity="a", metadata_json=b'{"x":1}'))
    assert (await stream.attach("a", None)).attached.identity == "a"
    page = (await stub.Get(pb.GetRequest(identities=["a"], columnar=True))).page
    assert list(page.metadata_json) == [b'{"x":1}']


async def test_the_newer_session_wins_and_the_older_is_told(stub, stream):
    await stream.attach("a")
    newer = Stream(stub)
    await newer.attach("a")
    lost = (await stream.event()).lost
    assert (lost.identity, lost.handle, lost.reason) == ("a", 0, "SUPERSEDED")


async def test_unregistering_tells_the_session(stub, stream):
    await stream.attach("a")
    await stub.Unregister(pb.UnregisterRequest(identity="a"))
    assert (await stream.event()).lost.reason == "UNREGISTERED"


async def test_the_namespace_of_the_first_frame_holds_for_the_stream(stub, stream):
    await stream.send(namespace="other")
    await stream.attach("a")
    assert (await stub.Count(pb.CountRequest(namespace="other"))).count == 1
    assert (await stub.Count(pb.CountRequest())).count == 0


async def test_empty_frames_keep_a_stream_alive(proxy, stream):
    await stream.attach("a")
    (session,) = [s for hosting in proxy.hub._hostings.values() for s in hosting.sessions]
    before = session.last_frame
    await stream.call.write(attach_pb2.AttachRequest())
    await until(lambda: session.last_frame > before)


async def test_a_stream_that_detached_everything_ends_when_the_client_is_done(stream):
    await stream.attach("a")
    await stream.send(detach=[attach_pb2.Detach(identity="a")])
    await stream.call.done_writing()
    assert (await stream.event()).WhichOneof("kind") == "detached"
    assert await stream.ended() is StatusCode.OK


async def test_a_stream_with_something_attached_goes_on_after_the_client_is_done(stub, stream):
    await stream.attach("a")
    await stream.call.done_writing()
    assert (await send(stub)).delivered_count == 1
    assert (await stream.event()).delivery.message.payload == b"hello"


async def test_a_stream_without_a_frame_is_refused(stream):
    await stream.call.done_writing()
    code, error = await refused(stream.call.read())
    assert code is StatusCode.INVALID_ARGUMENT
    assert "first frame" in error.message


@pytest.mark.parametrize("frames", [[b"\xff"], [b"", b"\xff"]])
async def test_a_malformed_frame_ends_the_stream(channel, proxy, frames):
    call = channel.stream_stream(RAW)()
    for frame in frames:
        await call.write(frame)
    code, error = await refused(call.read())
    assert code is StatusCode.INVALID_ARGUMENT
    assert type(error) is InvalidArgument
    await until(lambda: proxy.hub.sessions == 0)


async def test_a_bad_namespace_is_refused(stream):
    await stream.send(namespace="a\nb")
    code, _ = await refused(stream.call.read())
    assert code is StatusCode.INVALID_ARGUMENT


async def test_a_cancelled_stream_leaves_its_registration_and_no_session(proxy, stub, stream):
    await stream.attach("a")
    stream.call.cancel()
    await until(lambda: proxy.hub.sessions == 0)
    assert (await stub.Count(pb.CountRequest())).count == 1


async def test_streams_over_the_proxys_limit_are_refused():
    config = load_config({"server": {"limits": {"streams": 1}, "allow_unlisted_namespaces": True}})
    async with Proxy(config, listen="127.0.0.1:0", http_listen=OFF) as proxy:
        async with grpc.aio.insecure_channel(proxy.address) as channel:
            stub = MulticastRegistryServiceStub(channel)
            first, second = Stream(stub), Stream(stub)
            await first.attach("a")
            await second.send()
            code, error = await refused(second.call.read())
            assert code is StatusCode.RESOURCE_EXHAUSTED
            assert type(error) is QuotaExceeded


async def test_a_stream_that_sends_no_first_frame_is_ended(edges, proxy, stub):
    call = stub.Attach()
    await until(lambda: len(edges[0]._streams) == 1)
    edges[0].look(asyncio.get_running_loop().time() + attach.FIRST_FRAME + 1)
    code, error = await refused(call.read())
    assert code is StatusCode.DEADLINE_EXCEEDED
    assert type(error) is DeadlineExceeded
    assert not edges[0]._streams


async def test_a_silent_stream_with_nothing_attached_is_ended(edges, proxy, stream):
    await stream.send()
    await until(lambda: proxy.hub.sessions == 1)
    edges[0].look(asyncio.get_running_loop().time() + attach.SILENCE + 1)
    code, error = await refused(stream.call.read())
    assert code is StatusCode.UNAVAILABLE
    assert type(error) is Unavailable


async def test_a_client_that_does_not_read_is_ended_once_its_session_was_closed(edges, proxy, stub, stream):
    await stream.attach("a")
    (watched,) = edges[0]._streams
    for _ in range(20):
        await send(stub, b"x" * 1_000_000, timeout_ms=0)
    await until(lambda: watched.writing)
    watched.session.close()
    edges[0].look(0.0)
    assert edges[0]._streams
    edges[0].look(0.0)
    await until(lambda: not edges[0]._streams)


async def test_draining_tells_streams_and_waits_until_they_have_left(proxy, stub, stream):
    await stream.attach("a")
    draining = asyncio.create_task(proxy.drain(5 * SECOND))
    assert (await stream.event()).draining.grace_ms == 5_000
    assert not draining.done()
    await stream.send(detach=[attach_pb2.Detach(identity="a", keep=True)])
    await stream.call.done_writing()
    assert (await stream.event()).WhichOneof("kind") == "detached"
    await asyncio.wait_for(draining, PATIENCE)


async def test_a_draining_proxy_takes_no_new_streams(proxy, stub, stream):
    await stream.attach("a")
    draining = asyncio.create_task(proxy.drain(3 * SECOND))
    await stream.event()
    newer = Stream(stub)
    await newer.send()
    code, error = await refused(newer.call.read())
    assert code is StatusCode.UNAVAILABLE
    assert isinstance(error, PrismError)
    stream.call.cancel()
    await asyncio.wait_for(draining, PATIENCE)


async def test_streams_that_do_not_leave_are_ended_after_the_grace(proxy, stream):
    await stream.attach("a")
    await proxy.drain(SECOND // 20)
    assert (await stream.event()).WhichOneof("kind") == "draining"
    code, _ = await refused(stream.call.read())
    assert code is StatusCode.UNAVAILABLE
