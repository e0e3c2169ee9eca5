"""A proxy over gRPC, as the client's transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import grpc

from prism.client.calling import Caller, failure_of
from prism.client.channels import Connections
from prism.client.grpc_link import END, GrpcLink
from prism.client.identity import Columns, Registered
from prism.client.link import Link
from prism.client.pause import pause_length
from prism.client.transport import ColumnPage, Entry
from prism.filters.build import Filter
from prism.model import json
from prism.model.delivery import MulticastResult
from prism.model.errors import DeadlineExceeded, LimitExceeded, PrismError, Unavailable
from prism.model.message import OCTETS, DeadLetter, DeliverySemantics
from prism.model.operations import Beat, EnumerateQuery, Explanation, MulticastCommand, Part, Ttl
from prism.model.time import SECOND, Micros
from prism.v1 import registry_pb2 as pb
from prism.wire.dead_letters import from_page
from prism.wire.errors import from_status
from prism.wire.filters import to_filter
from prism.wire.multicast import append_statuses, semantics_to_wire, to_result
from prism.wire.rpc import stream_headers
from prism.wire.times import moment_from_timestamp, ttl_to_wire

DEFAULT_WAIT = 1.0
"""Seconds that a multicast waits for receipts unless the namespace says otherwise."""

RETRIES = 5
"""How often in a row a stream of pages that breaks is taken up again."""


class Remote:
    """A `Transport` to one of several proxies; see `prism.client.transport` for its methods."""

    def __init__(self, addresses: Sequence[str], namespace: str, timeout: float) -> None:
        self._connections = Connections(addresses)
        self._caller = Caller(self._connections, timeout)
        self._namespace = namespace
        self._timeout = timeout

    @property
    def reached(self) -> bool:
        """See Transport."""
        return self._connections.reached

    async def register(self, entry: Entry, *, ttl: Ttl, replace: bool) -> Registered:
        """See Transport."""
        request = pb.RegisterRequest(
            identity=entry.identity,
            metadata_json=entry.metadata_json,
            ttl_seconds=ttl_to_wire(ttl),
            replace=replace,
            namespace=self._namespace,
        )
        answer = await self._caller.call("Register", request, again=replace)
        return Registered.at(
            entry.identity,
            answer.registration_id,
            answer.revision,
            moment_from_timestamp(answer.registered_at),
            moment_from_timestamp(answer.expires_at) if answer.HasField("expires_at") else None,
        )

    async def register_many(
        self, entries: Sequence[Entry], *, ttl: Ttl, replace: bool
    ) -> list[Registered | PrismError]:
        """See Transport."""
        request = pb.RegisterManyRequest(
            identities=[entry.identity for entry in entries],
            metadata_json=[entry.metadata_json for entry in entries],
            replace=replace,
            namespace=self._namespace,
        )
        if all(entry.ttl is None for entry in entries):
            if (seconds := ttl_to_wire(ttl)) is not None:
                request.ttl_seconds = seconds
        else:
            request.ttls_seconds.extend(_seconds(ttl if entry.ttl is None else entry.ttl) for entry in entries)
        answer = await self._caller.call("RegisterMany", request, again=replace)
        rows = zip(
            request.identities,
            answer.registration_ids,
            answer.revisions,
            answer.registered_at_us,
            answer.expires_at_us,
            strict=True,
        )
        errors = _errors(answer)
        return [errors[i] if i in errors else Registered.at(*row) for i, row in enumerate(rows)]

    async def get(self, identities: Sequence[str]) -> Columns:
        """See Transport."""
        request = pb.GetRequest(identities=identities, namespace=self._namespace, columnar=True)
        try:
            answer = await self._caller.call("Get", request, again=True)
        except LimitExceeded:
            if len(identities) < 2:
                raise
            half = len(identities) // 2  # the answer was too large for one message
            return _joined(await self.get(identities[:half]), await self.get(identities[half:]))
        return _columns(answer.page)

    async def pages(self, query: EnumerateQuery) -> AsyncGenerator[ColumnPage]:
        """See Transport. A stream that breaks is taken up where it was."""
        attempt = 0
        while True:
            try:
                async with aclosing(self._pages(query)) as pages:
                    async for page in pages:
                        attempt = 0
                        if query.limit is not None:
                            query = replace(query, limit=query.limit - len(page.columns))
                        query = replace(query, cursor=page.next_cursor, offset=0)
                        yield page
                        if page.next_cursor is None or query.limit == 0:
                            return
            except Unavailable:
                attempt += 1
                if not self._worth_trying(attempt):
                    raise
                await asyncio.sleep(pause_length(attempt))
            else:
                return

    async def _pages(self, query: EnumerateQuery) -> AsyncGenerator[ColumnPage]:
        async with aclosing(self._streamed("EnumeratePages", self._enumerate_request(query))) as pages:
            async for page in pages:
                yield ColumnPage(_columns(page), page.next_cursor if page.HasField("next_cursor") else None)

    def _worth_trying(self, attempt: int) -> bool:
        tried_all = attempt >= len(self._connections.addresses)
        return attempt <= RETRIES and not (tried_all and not self._connections.reached)

    async def _streamed(self, method: str, request: Any) -> AsyncGenerator[Any]:
        """What a call answers with, one message after the other."""
        connection = self._connections.for_call()
        call = getattr(connection.calls, method)(request, metadata=stream_headers(self._timeout))
        try:
            while True:
                # The limit is on each page, not on the whole: reading many millions may take its time.
                async with asyncio.timeout(self._timeout):
                    page = await call.read()
                if page is END:
                    return
                self._connections.reached = True
                yield page
        except grpc.aio.AioRpcError as error:
            failure, _ = failure_of(error, self._connections, connection.address)
            raise failure from error
        except TimeoutError as error:
            text = f"the proxy ({connection.address}) sent no page within {self._timeout:g} s"
            raise DeadlineExceeded(text) from error
        finally:
            call.cancel()

    async def count(self, filter: object) -> int:  # noqa: A002 - the field's word
        """See Transport."""
        request = pb.CountRequest(filter=_filter(filter), namespace=self._namespace)
        answer: pb.CountResponse = await self._caller.call("Count", request, again=True)
        return answer.count

    async def explain(self, query: EnumerateQuery) -> Explanation:
        """See Transport."""
        answer: pb.ExplainResponse = await self._caller.call("Explain", self._enumerate_request(query), again=True)
        return Explanation(
            registry=answer.registry,
            parts=[Part(json.decode(part.filter.encode()), part.support) for part in answer.parts],
            residual=json.decode(answer.residual.encode()) if answer.HasField("residual") else None,
            exact=answer.exact,
            backend_plan=answer.backend_plan,
        )

    async def multicast(self, command: MulticastCommand) -> MulticastResult:
        """See Transport."""
        message_ttl = None if command.message_ttl is None else command.message_ttl // SECOND
        request = pb.MulticastRequest(
            filter=_filter(command.filter),
            payload=command.payload,
            content_type=None if command.content_type == OCTETS else command.content_type,
            delivery=None if command.delivery is None else semantics_to_wire(command.delivery),
            timeout_ms=None if command.timeout is None else command.timeout // 1_000,
            namespace=self._namespace,
            message_id=command.message_id,
            message_ttl_seconds=message_ttl,
            columnar=True,
        )
        kept = command.delivery not in (None, DeliverySemantics.AT_MOST_ONCE)
        again = kept and command.message_id is not None
        wait = DEFAULT_WAIT if command.timeout is None else command.timeout / SECOND
        return await self._whole(await self._caller.call("Multicast", request, again=again, extra=wait))

    async def get_multicast(self, message_id: str) -> MulticastResult:
        """See Transport."""
        request = pb.GetMulticastRequest(message_id=message_id, namespace=self._namespace, columnar=True)
        return await self._whole(await self._caller.call("GetMulticast", request, again=True))

    async def _whole(self, answer: Any) -> MulticastResult:
        """The result with all its statuses."""
        result = to_result(answer)
        while answer.HasField("next_offset"):
            request = pb.GetMulticastRequest(
                message_id=result.message_id,
                offset=answer.next_offset,
                namespace=self._namespace,
                columnar=True,
            )
            answer = await self._caller.call("GetMulticast", request, again=True)
            append_statuses(result.statuses, answer)
        return result

    async def unregister(self, beats: Sequence[Beat]) -> list[bool | PrismError]:
        """See Transport."""
        identities, ids = _beat_columns(beats)
        request = pb.UnregisterManyRequest(identities=identities, registration_ids=ids, namespace=self._namespace)
        answer = await self._caller.call("UnregisterMany", request, again=True)
        errors = _errors(answer)
        return [errors.get(i, removed) for i, removed in enumerate(answer.removed)]

    async def heartbeat(self, beats: Sequence[Beat], *, ttl: Ttl) -> list[Micros | PrismError | None]:
        """See Transport."""
        identities, ids = _beat_columns(beats)
        request = pb.HeartbeatRequest(
            identities=identities, registration_ids=ids, ttl_seconds=ttl_to_wire(ttl), namespace=self._namespace
        )
        answer = await self._caller.call("Heartbeat", request, again=True)
        errors = _errors(answer)
        return [errors.get(i, expiry or None) for i, expiry in enumerate(answer.expires_at_us)]

    async def update(self, identity: str, patch_json: bytes, *, revision: int | None) -> Columns:
        """See Transport."""
        request = pb.UpdateRequest(
            identity=identity, patch_json=patch_json, revision=revision, namespace=self._namespace
        )
        answer: pb.UpdateResponse = await self._caller.call("Update", request, again=False)
        updated = answer.identity
        return Columns(
            [updated.identity],
            [answer.metadata_json],
            [moment_from_timestamp(updated.registered_at)],
            [moment_from_timestamp(updated.updated_at)],
            [moment_from_timestamp(updated.expires_at) if updated.HasField("expires_at") else 0],
            [updated.revision],
            [updated.attached],
        )

    async def dead_letters(self, identity: str, limit: int) -> Sequence[DeadLetter]:
        """See Transport. A stream that breaks is read again from its beginning."""
        request = pb.ListDeadLettersRequest(identity=identity, limit=limit, namespace=self._namespace)
        attempt = 0
        while True:
            try:
                async with aclosing(self._streamed("ListDeadLetters", request)) as pages:
                    return [letter async for page in pages for letter in from_page(identity, page)]
            except Unavailable:
                attempt += 1
                if not self._worth_trying(attempt):
                    raise
                await asyncio.sleep(pause_length(attempt))

    async def replay(self, identity: str, message_ids: Sequence[str]) -> int:
        """See Transport. Sent once: a second time there would be nothing left to count."""
        request = pb.ReplayDeadLettersRequest(identity=identity, message_ids=message_ids, namespace=self._namespace)
        answer: pb.ReplayDeadLettersResponse = await self._caller.call("ReplayDeadLetters", request, again=False)
        return answer.replayed

    def link(self) -> Link:
        """A stream."""
        return GrpcLink(self._connections, self._namespace, self._timeout)

    async def close(self) -> None:
        """See Transport."""
        await self._connections.close()

    def _enumerate_request(self, query: EnumerateQuery) -> pb.EnumerateRequest:
        page = pb.Pagination(limit=query.limit or 0, offset=query.offset, cursor=query.cursor or "")
        return pb.EnumerateRequest(
            filter=_filter(query.filter),
            pagination=page,
            include_metadata=query.include_metadata,
            sort_by=query.sort,
            namespace=self._namespace,
        )


def _filter(source: Any) -> Any:
    return None if source is None else to_filter(Filter(source).node)


def _columns(page: Any) -> Columns:
    return Columns(
        page.identities,
        page.metadata_json,
        page.registered_at_us,
        page.updated_at_us,
        page.expires_at_us,
        page.revisions,
        page.attached,
    )


def _joined(first: Columns, second: Columns) -> Columns:
    return Columns(
        [*first.identities, *second.identities],
        [*first.metadata_json, *second.metadata_json],
        [*first.registered_at, *second.registered_at],
        [*first.updated_at, *second.updated_at],
        [*first.expires_at, *second.expires_at],
        [*first.revisions, *second.revisions],
        [*first.attached, *second.attached],
    )


def _beat_columns(beats: Sequence[Beat]) -> tuple[list[str], list[str]]:
    identities = [beat.identity for beat in beats]
    if all(beat.registration_id is None for beat in beats):
        return identities, []
    return identities, [beat.registration_id or "" for beat in beats]


def _errors(answer: Any) -> dict[int, PrismError]:
    return {failed.index: from_status(failed.status) for failed in answer.errors}


def _seconds(ttl: Ttl) -> int:
    """As in `RegisterManyRequest.ttls_seconds`."""
    seconds = ttl_to_wire(ttl)
    return -1 if seconds is None else seconds
