"""The operations of `prism.v1.MulticastRegistryService`: a message in, the coordinator asked, a message out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import Any

from prism.coordinator.coordinator import Coordinator
from prism.model import json
from prism.model.errors import InvalidArgument, LimitExceeded, PrismError, Violation
from prism.model.identity import Registration
from prism.model.limits import Limits
from prism.model.operations import Beat, Page
from prism.model.pages import RecordPage
from prism.server import requests
from prism.server.calls import Context
from prism.v1 import registry_pb2 as pb
from prism.wire.dead_letters import to_pages
from prism.wire.errors import STATUS_BYTES, to_status
from prism.wire.identities import PAGE_BYTES, fill_identity, page_bytes, row_bytes, slices, to_page
from prism.wire.multicast import to_response
from prism.wire.times import fill_timestamp, ttl_from_wire

ANSWER_BYTES = 4 * 1024 * 1024 - 64 * 1024
"""The largest answer to Get: what a gRPC client accepts unless told otherwise, less some room."""

DEAD_LETTERS = 100
"""Dead letters listed unless the request has a limit."""

_ERRORS_BYTES = 2 * 1024 * 1024
_LEAST_STATUS = 256


class Servicer:
    """Every unary operation, and EnumeratePages. Raises PrismErrors; `Calls` makes statuses of them."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def register(self, request: pb.RegisterRequest) -> pb.RegisterResponse:
        """Stores one identity."""
        item = requests.new_identity(request)
        ttl = ttl_from_wire(_ttl(request))
        (outcome,) = await self._coordinator.register(request.namespace, [item], ttl=ttl, replace=request.replace)
        if isinstance(outcome, PrismError):
            raise outcome
        answer = pb.RegisterResponse(success=True, registration_id=outcome.registration_id, revision=outcome.revision)
        fill_timestamp(answer.registered_at, outcome.registered_at)
        if outcome.expires_at is not None:
            fill_timestamp(answer.expires_at, outcome.expires_at)
        return answer

    async def register_many(self, request: pb.RegisterManyRequest) -> pb.RegisterManyResponse:
        """Stores a batch."""
        items = requests.new_identities(request)
        ttl = ttl_from_wire(_ttl(request))
        outcomes = await self._coordinator.register(request.namespace, items, ttl=ttl, replace=request.replace)
        stored = [None if isinstance(outcome, PrismError) else outcome for outcome in outcomes]
        return pb.RegisterManyResponse(
            registration_ids=[r.registration_id if r else "" for r in stored],
            revisions=[r.revision if r else 0 for r in stored],
            registered_at_us=[r.registered_at if r else 0 for r in stored],
            expires_at_us=[(r.expires_at or 0) if r else 0 for r in stored],
            errors=_item_errors(outcomes),
        )

    async def get(self, request: pb.GetRequest) -> pb.GetResponse:
        """Reads by name."""
        outcomes = await self._coordinator.get(request.namespace, request.identities)
        found = [registration for registration in outcomes if registration is not None]
        _check_answer(found)
        if request.columnar:
            return pb.GetResponse(page=to_page(RecordPage.of(found)))
        answer = pb.GetResponse()
        for registration in found:
            fill_identity(answer.found.add(), registration)
        if answer.ByteSize() > ANSWER_BYTES:
            raise _too_large(answer.ByteSize())
        return answer

    async def enumerate(self, request: pb.EnumerateRequest) -> pb.EnumerateResponse:
        """One page, with how many match in all."""
        query = requests.page_query(request, await self._limits(request.namespace))
        async with aclosing(self._coordinator.enumerate(request.namespace, query)) as pages:
            page = await anext(pages, Page(RecordPage.empty()))
        answer = pb.EnumerateResponse(next_cursor=page.next_cursor)
        for registration in page.records.registrations():
            fill_identity(answer.identities.add(), registration, include_metadata=query.include_metadata)
        whole = page.next_cursor is None and query.cursor is None and (page.records or not query.offset)
        if whole:
            answer.total_count = query.offset + len(page.records)
        else:
            answer.total_count = await self._coordinator.count(request.namespace, query.filter)
        return answer

    async def enumerate_pages(self, request: pb.EnumerateRequest, context: Context) -> None:
        """All pages as columns, each bounded in bytes."""
        query = requests.pages_query(request, await self._limits(request.namespace), PAGE_BYTES)
        keep = query.include_metadata
        async with aclosing(self._coordinator.enumerate(request.namespace, query)) as pages:
            async for page in pages:
                *parts, last = slices(page.records)
                for part in parts:
                    await context.write(page_bytes(part, include_metadata=keep))
                await context.write(page_bytes(last, page.next_cursor, include_metadata=keep))

    async def count(self, request: pb.CountRequest) -> pb.CountResponse:
        """How many match."""
        node = requests.optional_filter(request, await self._limits(request.namespace))
        return pb.CountResponse(count=await self._coordinator.count(request.namespace, node))

    async def explain(self, request: pb.EnumerateRequest) -> pb.ExplainResponse:
        """How the query would be run."""
        query = requests.page_query(request, await self._limits(request.namespace))
        explanation = await self._coordinator.explain(request.namespace, query)
        residual = explanation.residual
        return pb.ExplainResponse(
            registry=explanation.registry,
            parts=[
                pb.ExplainResponse.Part(filter=json.encode(part.filter).decode(), support=part.support)
                for part in explanation.parts
            ],
            residual=None if residual is None else json.encode(residual).decode(),
            exact=explanation.exact,
            backend_plan=explanation.backend_plan,
        )

    async def multicast(self, request: pb.MulticastRequest) -> pb.MulticastResponse:
        """Sends to all that match."""
        command = requests.command(request, await self._limits(request.namespace))
        result = await self._coordinator.multicast(request.namespace, command)
        return to_response(result, columnar=request.columnar)

    async def get_multicast(self, request: pb.GetMulticastRequest) -> pb.MulticastResponse:
        """What has become of a multicast by now."""
        if not request.message_id:
            raise InvalidArgument.at("message_id", "is empty; give the one from MulticastResponse")
        result = await self._coordinator.get_multicast(request.namespace, request.message_id)
        return to_response(result, offset=request.offset, columnar=request.columnar)

    async def list_dead_letters(self, request: pb.ListDeadLettersRequest, context: Context) -> None:
        """What was given up, in pages that are bounded in bytes."""
        limit = request.limit or DEAD_LETTERS
        for page in to_pages(await self._coordinator.dead_letters(request.namespace, request.identity, limit)):
            await context.write(page.SerializeToString())

    async def replay_dead_letters(self, request: pb.ReplayDeadLettersRequest) -> pb.ReplayDeadLettersResponse:
        """Puts dead letters back into their queue."""
        replayed = await self._coordinator.replay(request.namespace, request.identity, request.message_ids)
        return pb.ReplayDeadLettersResponse(replayed=replayed)

    async def unregister(self, request: pb.UnregisterRequest) -> pb.UnregisterResponse:
        """Removes one identity."""
        beat = Beat(request.identity, request.registration_id or None)
        (outcome,) = await self._coordinator.unregister(request.namespace, [beat])
        if isinstance(outcome, PrismError):
            raise outcome
        return pb.UnregisterResponse(success=True, removed=outcome)

    async def unregister_many(self, request: pb.UnregisterManyRequest) -> pb.UnregisterManyResponse:
        """Removes a batch."""
        beats = requests.beats(request.identities, request.registration_ids)
        outcomes = await self._coordinator.unregister(request.namespace, beats)
        return pb.UnregisterManyResponse(
            removed=[outcome is True for outcome in outcomes], errors=_item_errors(outcomes)
        )

    async def heartbeat(self, request: pb.HeartbeatRequest) -> pb.HeartbeatResponse:
        """Renews a batch."""
        beats = requests.beats(request.identities, request.registration_ids)
        outcomes = await self._coordinator.heartbeat(request.namespace, beats, ttl=ttl_from_wire(_ttl(request)))
        return pb.HeartbeatResponse(
            expires_at_us=[outcome if isinstance(outcome, int) else 0 for outcome in outcomes],
            errors=_item_errors(outcomes),
        )

    async def update(self, request: pb.UpdateRequest) -> pb.UpdateResponse:
        """Changes metadata."""
        patch = requests.patch(request, await self._limits(request.namespace))
        revision = request.revision if request.HasField("revision") else None
        registration = await self._coordinator.update(request.namespace, request.identity, patch, revision=revision)
        answer = pb.UpdateResponse(metadata_json=registration.metadata_json)
        fill_identity(answer.identity, registration, include_metadata=False)
        return answer

    async def _limits(self, namespace: str) -> Limits:
        return (await self._coordinator.namespace(namespace)).config.limits


def _ttl(request: pb.RegisterRequest | pb.RegisterManyRequest | pb.HeartbeatRequest) -> int | None:
    return request.ttl_seconds if request.HasField("ttl_seconds") else None


def _item_errors(outcomes: Sequence[Any]) -> Iterable[pb.ItemError]:
    """The failed items, with less said about each where many failed."""
    failed = [(i, outcome) for i, outcome in enumerate(outcomes) if isinstance(outcome, PrismError)]
    room = max(_LEAST_STATUS, min(STATUS_BYTES, _ERRORS_BYTES // max(1, len(failed))))
    return [pb.ItemError(index=i, status=to_status(error, room)) for i, error in failed]


def _check_answer(found: Sequence[Registration]) -> None:
    size = sum(row_bytes(r.identity, r.metadata_json) for r in found)
    if size > ANSWER_BYTES:
        raise _too_large(size)


def _too_large(size: int) -> LimitExceeded:
    text = f"the answer would take {size:,} bytes, over the limit of {ANSWER_BYTES:,}; ask for fewer at a time"
    return LimitExceeded(f"identities: {text}", violations=(Violation("identities", text),))
