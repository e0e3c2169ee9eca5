"""An Attach stream over gRPC, as a link."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import grpc

from prism.client.calling import failure_of
from prism.client.delivered import Delivered
from prism.client.link import StreamEvent
from prism.model.errors import InternalError, InvalidArgument, Unavailable, Violation
from prism.model.limits import check_size
from prism.model.operations import AttachItem, Attachment
from prism.model.time import Micros
from prism.sessions import events
from prism.sessions.events import SessionEvent
from prism.v1 import attach_pb2 as pb
from prism.wire.errors import cut, from_parts, in_arguments
from prism.wire.rpc import stream_headers
from prism.wire.times import ttl_to_wire

if TYPE_CHECKING:
    from prism.client.channels import Connection, Connections

ITEM_BYTES = 4 * 1024 * 1024
"""The largest identity with its metadata that is sent: well below what a proxy takes as one frame, for all streams of
a gateway end where one of its frames is refused."""
SHOWN_BYTES = 512
"""Bytes of an identity that AttachRefused names at most."""

END = cast("Any", grpc.aio).EOF
_ONLY = (0,)
"""The handles of a delivery that names none: the one identity of the stream."""


class GrpcLink:
    """See `prism.client.link.Link` for its methods."""

    __slots__ = (
        "_call",
        "_closed",
        "_connection",
        "_connections",
        "_first",
        "_long",
        "_namespace",
        "_timeout",
        "_turn",
    )

    def __init__(self, connections: Connections, namespace: str, timeout: float) -> None:
        self._connections = connections
        self._namespace = namespace
        self._timeout = timeout
        self._connection: Connection | None = None
        self._call: Any = None
        self._first = True
        self._long: dict[str, str] = {}
        self._turn = False
        self._closed = False

    async def open(self) -> None:
        """Waits for its turn among the streams being opened, which lasts until the first answer."""
        await self._connections.opening.acquire()
        self._turn = True
        if self._closed:
            self._end_turn()
            raise Unavailable("the stream was closed while it was being opened")
        self._connection = self._connections.for_stream()
        self._call = self._connection.attach(metadata=stream_headers(self._timeout))

    async def attach(self, items: Sequence[AttachItem]) -> Sequence[StreamEvent]:
        """See Link; outcomes come by `receive`, but for what can't be put into a frame."""
        frame = pb.AttachRequest()
        refused: list[StreamEvent] = []
        for item in items:
            try:
                frame.attach.append(_item(item))
            except (InvalidArgument, TypeError, ValueError) as error:
                refused.append(events.Refused(item.identity, _unsendable(error)))
                continue
            if len(item.identity) > SHOWN_BYTES // 4:  # it may be refused, and named in a shortened form then
                self._long[cut(item.identity, SHOWN_BYTES)] = item.identity
        if frame.attach:
            await self._write(frame)
        return refused

    async def detach(self, identities: Sequence[str], *, keep: bool) -> None:
        """See Link."""
        await self._write(pb.AttachRequest(detach=[pb.Detach(identity=identity, keep=keep) for identity in identities]))

    async def settle(self, acks: Sequence[int], nacks: Sequence[tuple[int, Micros]]) -> None:
        """See Link."""
        given_back = [pb.Nack(tag=tag, delay_ms=min(-(-delay // 1_000), 2**32 - 1)) for tag, delay in nacks]
        await self._write(pb.AttachRequest(ack=acks, nack=given_back))

    async def touch(self) -> None:
        """See Link."""
        await self._write(pb.AttachRequest())

    async def receive(self) -> Sequence[StreamEvent]:
        """See Link."""
        try:
            response = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error
        except asyncio.CancelledError:
            if self._closed:  # `close` cancelled the call, nobody cancelled us
                return ()
            raise
        if response is END:
            return ()
        if self._turn:
            self._end_turn()
            self._connections.reached = True
        return [
            _delivery(event.delivery) if event.HasField("delivery") else _event(event, self._long)
            for event in response.events
        ]

    def handed_over(self, events: Sequence[StreamEvent]) -> None:
        """A proxy counts a message when it was written."""

    def leave(self) -> None:
        """See Link."""
        if self._connection is not None:
            self._connections.avoid(self._connection)

    async def close(self) -> None:
        """See Link."""
        if self._closed:
            return
        self._closed = True
        self._end_turn()
        if self._call is not None:
            self._call.cancel()
        if self._connection is not None:
            self._connections.release(self._connection)

    async def _write(self, frame: pb.AttachRequest) -> None:
        if self._first:
            frame.namespace = self._namespace
            self._first = False
        try:
            await self._call.write(frame)
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error
        except asyncio.InvalidStateError as error:
            raise Unavailable("the stream has ended") from error

    def _failure(self, error: grpc.aio.AioRpcError) -> Exception:
        assert self._connection is not None
        failure, _ = failure_of(error, self._connections, self._connection.address)
        return failure

    def _end_turn(self) -> None:
        if self._turn:
            self._turn = False
            self._connections.opening.release()


def _item(item: AttachItem) -> pb.AttachIdentity:
    """Raises TypeError or ValueError for what the wire doesn't take, LimitExceeded for what no frame has room for."""
    metadata = item.metadata
    assert metadata is None or isinstance(metadata, bytes)
    made = pb.AttachIdentity(
        identity=item.identity,
        metadata_json=metadata,
        ttl_seconds=ttl_to_wire(item.ttl),
        resume=item.resume or "",
        only_if_absent=item.only_if_absent,
    )
    check_size("metadata", made.ByteSize(), ITEM_BYTES, "bytes", "store less in it")
    return made


def _unsendable(error: Exception) -> InvalidArgument:
    return error if isinstance(error, InvalidArgument) else InvalidArgument(f"it can't be sent: {error}")


def _event(event: pb.AttachEvent, long: Mapping[str, str]) -> SessionEvent:
    match event.WhichOneof("kind"):
        case "attached":
            a = event.attached
            return Attachment(
                a.identity, a.handle, a.registration_id, a.revision, a.expires_at_us or None, resumed=a.resumed
            )
        case "refused":
            r = event.refused
            problems = tuple(Violation(problem.field, problem.description) for problem in r.problems)
            error = in_arguments(from_parts(r.code, r.message, r.reason, problems, r.details))
            return events.Refused(long.get(r.identity, r.identity), error)
        case "detached":
            return events.Detached(event.detached.identity, event.detached.handle)
        case "lost":
            return events.Lost(event.lost.identity, event.lost.handle, event.lost.reason)
        case "gap":
            return events.MessageGap(event.gap.handle, event.gap.dropped, event.gap.reason, event.gap.tag)
        case "draining":
            return events.Draining(event.draining.grace_ms * 1_000)
        case _:
            raise InternalError("the proxy sent an event that this client doesn't know; update the client")


def _delivery(delivery: pb.Delivery) -> Delivered:
    sent = delivery.message
    return Delivered(
        sent.message_id,
        sent.payload,
        sent.content_type,
        sent.sent_at_us,
        delivery.handles or _ONLY,
        delivery.tags,
        delivery.attempts,
    )
