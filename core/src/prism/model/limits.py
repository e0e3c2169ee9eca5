"""What is bounded, and by how much unless a configuration says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from prism.model.errors import LimitExceeded, Violation


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one namespace. Sizes are bytes, the rest are counts."""

    identity_bytes: int = 512
    metadata_bytes: int = 64 * 1024
    payload_bytes: int = 1024 * 1024
    filter_depth: int = 5
    filter_clauses: int = 20
    filter_bytes: int = 64 * 1024
    sort_keys: int = 8
    page_size: int = 5_000
    batch_items: int = 10_000
    """Items in one batch request (register_many, heartbeat, get ...)."""
    registrations: int | None = None
    """Registrations a namespace may hold; None is without bound."""
    inbox_messages: int = 1_000
    """Messages waiting for one attached identity before the inbox overflows."""
    inbox_bytes: int = 64 * 1024 * 1024
    """Payload bytes waiting for one session before its inboxes overflow."""
    unacked_messages: int = 256
    """At-least-once messages handed to one attached identity and not yet acked."""
    identities_per_stream: int = 10_000
    reported_statuses: int = 100_000
    """Per-identity delivery statuses kept for one multicast; beyond it only the counts are kept."""


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """Bounds of one proxy, over all its namespaces."""

    streams: int = 50_000
    namespaces: int = 1_000
    pending_requests: int = 20_000


def check_size(field: str, size: int, limit: int, unit: str, fix: str) -> None:
    """Raises LimitExceeded naming field, value, limit and fix when `size` is over `limit`."""
    if size > limit:
        text = f"{size:,} {unit} is over the limit of {limit:,}; {fix}"
        raise LimitExceeded(f"{field}: {text}", violations=(Violation(field, text),))
