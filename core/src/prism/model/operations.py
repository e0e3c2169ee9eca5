"""What an application asks for and gets, whatever carries it: gRPC, or a coordinator in the same process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from prism.model.message import OCTETS, DeliverySemantics

if TYPE_CHECKING:
    from prism.model.pages import RecordPage
    from prism.model.time import Micros

DEFAULT_NAMESPACE = "default"


class Default(Enum):
    """A sentinel for a TTL that wasn't given: the namespace decides."""

    TTL = "ttl"


Ttl: TypeAlias = "Micros | Default"
"""A time to live in microseconds; 0 asks for no expiry; Default.TTL leaves it to the namespace."""

Metadata: TypeAlias = "Mapping[str, Any] | bytes"
"""A JSON object, as a mapping or as JSON bytes."""


@dataclass(frozen=True, slots=True)
class NewIdentity:
    """One identity to register."""

    identity: str
    metadata: Metadata = field(default_factory=dict)
    ttl: Ttl | None = None
    """Its own; None for the batch's."""


@dataclass(frozen=True, slots=True)
class Beat:
    """One identity to renew or remove; with a registration id, only that registration of it."""

    identity: str
    registration_id: str | None = None


@dataclass(frozen=True, slots=True)
class EnumerateQuery:
    """Which identities, in what order, from where.

    `filter` is anything `prism.filters.parse` takes. `limit` None is all of them. `sort` is the RFC's text form.
    """

    filter: Any = None
    sort: Sequence[str] = ()
    limit: int | None = None
    offset: int = 0
    cursor: str | None = None
    page_size: int = 1_000
    include_metadata: bool = True
    page_bytes: int | None = None
    """Metadata bytes after which a page is cut short (it has at least one entry); None is without bound."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the matching registrations, and where the next page begins (None: this was the last)."""

    records: RecordPage
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One top-level part of an explained filter: its written form and what the backend does with it."""

    filter: Mapping[str, Any]
    support: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a query would be run. `residual` is what the proxy checks itself, None when nothing is."""

    registry: str
    parts: Sequence[Part]
    residual: Mapping[str, Any] | None
    exact: bool
    backend_plan: str = ""


@dataclass(frozen=True, slots=True)
class MulticastCommand:
    """A message and who it is for.

    `timeout` is how long to wait for receipts (microseconds; 0 waits for none, None is the namespace's default);
    `message_ttl` how long an undelivered at-least-once message is kept (None: the namespace's default).
    """

    filter: Any
    payload: bytes
    content_type: str = OCTETS
    delivery: DeliverySemantics | None = None
    timeout: Micros | None = None
    message_id: str | None = None
    message_ttl: Micros | None = None


@dataclass(frozen=True, slots=True)
class AttachItem:
    """One identity to attach to a session.

    `metadata` None takes over the registration that exists. `resume` is the registration id of a session that
    was lost. `only_if_absent` refuses where the identity is registered; otherwise the newer session wins.
    """

    identity: str
    metadata: Metadata | None = None
    ttl: Ttl = Default.TTL
    resume: str | None = None
    only_if_absent: bool = False


@dataclass(frozen=True, slots=True)
class Attachment:
    """An identity is attached: `handle` stands for it on this session."""

    identity: str
    handle: int
    registration_id: str
    revision: int
    expires_at: Micros | None
    resumed: bool = False
