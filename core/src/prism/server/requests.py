"""Request messages as what the coordinator takes. Bounds that depend on the namespace are the coordinator's."""

from __future__ import annotations

from collections.abc import Sequence

from prism.filters.ast import Node
from prism.model import json
from prism.model.errors import InvalidArgument
from prism.model.limits import Limits
from prism.model.message import OCTETS
from prism.model.operations import Beat, Default, EnumerateQuery, MulticastCommand, NewIdentity, Ttl
from prism.model.time import SECOND
from prism.schema import prepare_metadata_json
from prism.v1 import registry_pb2 as pb
from prism.wire.filters import from_filter
from prism.wire.multicast import semantics_from_wire
from prism.wire.times import seconds_from_wire, timeout_from_wire
from prism.wire.values import document_from_fields

DEFAULT_PAGE = 1_000
STREAMED_PAGE = 2_000
"""Entries in one page of EnumeratePages."""

PAGE_JSON_BYTES = 1024 * 1024
"""Metadata of one Enumerate page; as `map<string, Value>` it can take three times that."""


def new_identity(request: pb.RegisterRequest) -> NewIdentity:
    """The identity to register, its metadata from whichever field has it."""
    if not request.HasField("metadata_json"):
        return NewIdentity(request.identity, document_from_fields(request.metadata))
    if request.metadata:
        raise InvalidArgument.at("metadata_json", "is given together with metadata; use one of them")
    return NewIdentity(request.identity, request.metadata_json)


def new_identities(request: pb.RegisterManyRequest) -> list[NewIdentity]:
    """The identities to register in one batch."""
    _same_length(request.metadata_json, request.identities, "metadata_json")
    if not request.ttls_seconds:
        return list(map(NewIdentity, request.identities, request.metadata_json))
    if request.HasField("ttl_seconds"):
        raise InvalidArgument.at("ttls_seconds", "is given together with ttl_seconds; use one of them")
    _same_length(request.ttls_seconds, request.identities, "ttls_seconds")
    ttls: list[Ttl] = [Default.TTL if seconds == -1 else seconds * SECOND for seconds in request.ttls_seconds]
    return list(map(NewIdentity, request.identities, request.metadata_json, ttls))


def beats(identities: Sequence[str], registration_ids: Sequence[str]) -> list[Beat]:
    """Identities with the registrations meant, if any are named."""
    if not registration_ids:
        return [Beat(identity) for identity in identities]
    _same_length(registration_ids, identities, "registration_ids")
    return [Beat(identity, wanted or None) for identity, wanted in zip(identities, registration_ids, strict=True)]


def patch(request: pb.UpdateRequest, limits: Limits) -> json.Document:
    """The merge patch of an update, from whichever field has it."""
    if not request.HasField("patch_json"):
        return document_from_fields(request.patch, "patch")
    if request.patch:
        raise InvalidArgument.at("patch_json", "is given together with patch; use one of them")
    checked = prepare_metadata_json(request.identity, request.patch_json, None, limits, 0)
    document: json.Document = json.decode(checked)
    return document


def optional_filter(
    request: pb.EnumerateRequest | pb.CountRequest | pb.MulticastRequest, limits: Limits
) -> Node | None:
    """The request's filter, None for everyone."""
    return from_filter(request.filter, limits) if request.HasField("filter") else None


def page_query(request: pb.EnumerateRequest, limits: Limits) -> EnumerateQuery:
    """The query for one page."""
    page = request.pagination
    size = page.limit or DEFAULT_PAGE
    return EnumerateQuery(
        filter=optional_filter(request, limits),
        sort=list(request.sort_by),
        limit=size,
        offset=page.offset,
        cursor=page.cursor or None,
        page_size=size,
        page_bytes=PAGE_JSON_BYTES,
        include_metadata=include_metadata(request),
    )


def pages_query(request: pb.EnumerateRequest, limits: Limits, page_bytes: int) -> EnumerateQuery:
    """The query for all pages, or as many entries as the pagination's limit asks for."""
    page = request.pagination
    return EnumerateQuery(
        filter=optional_filter(request, limits),
        sort=list(request.sort_by),
        limit=page.limit or None,
        offset=page.offset,
        cursor=page.cursor or None,
        page_size=min(STREAMED_PAGE, limits.page_size),
        page_bytes=page_bytes,
        include_metadata=include_metadata(request),
    )


def include_metadata(request: pb.EnumerateRequest) -> bool:
    """Whether metadata is asked for; unset means it is."""
    return request.include_metadata if request.HasField("include_metadata") else True


def command(request: pb.MulticastRequest, limits: Limits) -> MulticastCommand:
    """What to multicast."""
    timeout = timeout_from_wire(request.timeout_ms) if request.HasField("timeout_ms") else None
    message_ttl = None
    if request.HasField("message_ttl_seconds"):
        message_ttl = seconds_from_wire(request.message_ttl_seconds, "message_ttl_seconds")
    return MulticastCommand(
        filter=optional_filter(request, limits),
        payload=request.payload,
        content_type=request.content_type if request.HasField("content_type") else OCTETS,
        delivery=semantics_from_wire(request.delivery),
        timeout=timeout,
        message_id=request.message_id if request.HasField("message_id") else None,
        message_ttl=message_ttl,
    )


def _same_length(column: Sequence[object], identities: Sequence[str], field: str) -> None:
    if len(column) != len(identities):
        text = f"has {len(column):,} entries for {len(identities):,} identities; give one for each"
        raise InvalidArgument.at(field, text)
