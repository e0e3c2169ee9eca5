"""What a coordinator counts. Plain integers; the proxy exports them, and nothing here knows how."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Metrics:
    """Totals since start. `deliveries` is keyed by (namespace, lower-case status name)."""

    registered: Counter[str] = field(default_factory=Counter)
    """Registrations stored, by namespace."""
    unregistered: Counter[str] = field(default_factory=Counter)
    """Registrations removed by request, by namespace."""
    expired: Counter[str] = field(default_factory=Counter)
    """Registrations whose TTL ran out and that this proxy removed, by namespace."""
    renewed: Counter[str] = field(default_factory=Counter)
    """Registrations renewed, by namespace."""
    multicasts: Counter[str] = field(default_factory=Counter)
    """Multicasts sent, by namespace."""
    deliveries: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Delivery statuses reported to senders, by namespace and status."""
    overflows: Counter[str] = field(default_factory=Counter)
    """At-most-once messages dropped because an inbox was full, by namespace."""
    frames_sent: Counter[str] = field(default_factory=Counter)
    """Frames published to other proxies, by namespace."""
    frames_received: Counter[str] = field(default_factory=Counter)
    """Frames that came in from other proxies, by namespace."""
    redelivered: Counter[str] = field(default_factory=Counter)
    """At-least-once messages handed out more than once, by namespace."""
    background_failures: Counter[str] = field(default_factory=Counter)
    """Failures of background work that was then tried again, by task."""
