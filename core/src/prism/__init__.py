"""Prism: register identities, find them by filter, and multicast to exactly the ones that match (RFC-017).

    from prism import Client, Filter

    async with Client(namespace="presence") as client:
        await client.registry.register("alice", {"room": "engineering"}, ttl=300)
        await client.registry.multicast(Filter(room="engineering"), {"text": "Hello!"})

Everything here is loaded when it is first used: `import prism` costs next to nothing. Code without `async` uses
`prism.sync.Client`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from prism._version import __version__

if TYPE_CHECKING:
    from prism import sync
    from prism.client.client import Client
    from prism.client.dead_letter import DeadLetter
    from prism.client.enumeration import Enumeration
    from prism.client.events import Disconnected, Draining, InboxEvent, Lost, MessageGap, Reattached
    from prism.client.identity import Identity, IdentityPage, Registered
    from prism.client.inbox import Inbox
    from prism.client.message import Message
    from prism.filters.build import F, Filter
    from prism.model.delivery import DeliveryStatus, MulticastResult, Status
    from prism.model.errors import (
        AlreadyExists,
        DeadlineExceeded,
        Expired,
        InternalError,
        InvalidArgument,
        InvalidConfig,
        InvalidFilter,
        InvalidMetadata,
        InvalidSchema,
        LimitExceeded,
        NotFound,
        PluginError,
        PrismError,
        QuotaExceeded,
        RevisionConflict,
        SessionLost,
        StaleRegistration,
        Superseded,
        Unavailable,
        Unregistered,
        Unsupported,
        Violation,
    )
    from prism.model.message import DeliverySemantics
    from prism.model.operations import Explanation

__all__ = [
    "AlreadyExists",
    "Client",
    "DeadLetter",
    "DeadlineExceeded",
    "DeliverySemantics",
    "DeliveryStatus",
    "Disconnected",
    "Draining",
    "Enumeration",
    "Expired",
    "Explanation",
    "F",
    "Filter",
    "Identity",
    "IdentityPage",
    "Inbox",
    "InboxEvent",
    "InternalError",
    "InvalidArgument",
    "InvalidConfig",
    "InvalidFilter",
    "InvalidMetadata",
    "InvalidSchema",
    "LimitExceeded",
    "Lost",
    "Message",
    "MessageGap",
    "MulticastResult",
    "NotFound",
    "PluginError",
    "PrismError",
    "QuotaExceeded",
    "Reattached",
    "Registered",
    "RevisionConflict",
    "SessionLost",
    "StaleRegistration",
    "Status",
    "Superseded",
    "Unavailable",
    "Unregistered",
    "Unsupported",
    "Violation",
    "__version__",
    "acting_as",
    "sync",
]

_MODULES = {
    "Client": "prism.client.client",
    "acting_as": "prism.model.actor",
    "DeadLetter": "prism.client.dead_letter",
    "Enumeration": "prism.client.enumeration",
    "Disconnected": "prism.client.events",
    "Draining": "prism.client.events",
    "InboxEvent": "prism.client.events",
    "Lost": "prism.client.events",
    "MessageGap": "prism.client.events",
    "Reattached": "prism.client.events",
    "Identity": "prism.client.identity",
    "IdentityPage": "prism.client.identity",
    "Registered": "prism.client.identity",
    "Inbox": "prism.client.inbox",
    "Message": "prism.client.message",
    "F": "prism.filters.build",
    "Filter": "prism.filters.build",
    "DeliveryStatus": "prism.model.delivery",
    "MulticastResult": "prism.model.delivery",
    "Status": "prism.model.delivery",
    "DeliverySemantics": "prism.model.message",
    "Explanation": "prism.model.operations",
}
"""Where what is exported comes from; the errors, which are most of it, from `prism.model.errors`."""


def __getattr__(name: str) -> object:
    """Loads an export when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'prism' has no attribute {name!r}")
    if name == "sync":
        return importlib.import_module("prism.sync")
    value: object = getattr(importlib.import_module(_MODULES.get(name, "prism.model.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
