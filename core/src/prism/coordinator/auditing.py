"""The audit of what isn't the registry's own (RFC: `needs: audit`): of a multicast its intent before anything is sent
and its outcome after, of dead letters that they are about to be put back.

Registrations are audited by the registry itself, in the transactions that change them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prism.coordinator.namespace import Namespace
from prism.filters import to_mapping
from prism.model.actor import current_actor
from prism.model.audit import AuditEntry, AuditKind
from prism.model.delivery import MulticastResult
from prism.model.message import Message
from prism.plugins.spec import SlotKind
from prism.slots.optional import Auditable

logger = logging.getLogger(__name__)

NAMED = 20
"""Message ids of a replay that its entry names."""
PATIENCE = 10.0
"""Seconds that recording an outcome may take: the message is sent, and its sender waits."""


@dataclass(slots=True)
class Trail:
    """One multicast under way. `result` is what became of it, None while that isn't known."""

    result: MulticastResult | None = None


@asynccontextmanager
async def audited(ns: Namespace, auditor: Auditable, message: Message, filter: Any) -> AsyncIterator[Trail]:  # noqa: A002
    """Records a multicast before the body sends it, and afterwards what became of it.

    Raises where the intent can't be recorded: nothing is then sent. An outcome that can't be recorded is logged; the
    intent without an outcome says that it isn't known.
    """
    intent = AuditEntry(
        AuditKind.MULTICAST,
        current_actor(),
        message_id=message.id,
        filter=to_mapping(ns.parse(filter)),
        detail=message.delivery.value,
    )
    with ns.guard(SlotKind.REGISTRY)("record a multicast in the audit"):
        await auditor.record([intent])
    trail = Trail()
    try:
        yield trail
    except BaseException as error:
        await _conclude(
            ns, auditor, intent, AuditEntry(AuditKind.MULTICAST_RESULT, detail=f"cut short: {_why(error)}"[:500])
        )
        raise
    result = trail.result
    assert result is not None
    outcomes = {
        "delivered": result.delivered_count,
        "pending": result.pending_count,
        "failed": result.failed_count,
        "timeout": result.timeout_count,
    }
    ended = AuditEntry(AuditKind.MULTICAST_RESULT, targets=result.target_count, outcomes=outcomes)
    await _conclude(ns, auditor, intent, ended)


async def audit_replay(ns: Namespace, identity: str, message_ids: Sequence[str]) -> None:
    """Records that dead letters are about to be put back, where audit is needed. Raises where it can't be."""
    if ns.auditor is None:
        return
    more = f" and {len(message_ids) - NAMED:,} more" if len(message_ids) > NAMED else ""
    detail = f"dead letters {', '.join(message_ids[:NAMED])}{more}"
    message_id = message_ids[0] if len(message_ids) == 1 else ""
    entry = AuditEntry(AuditKind.REPLAY, current_actor(), identity=identity, message_id=message_id, detail=detail)
    with ns.guard(SlotKind.REGISTRY)("record a replay in the audit"):
        await ns.auditor.record([entry])


def _why(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "the caller went away"
    return str(error) or type(error).__name__


async def _conclude(ns: Namespace, auditor: Auditable, intent: AuditEntry, ended: AuditEntry) -> None:
    """Records an outcome beside its intent."""
    entry = AuditEntry(
        ended.kind,
        intent.actor,
        message_id=intent.message_id,
        filter=intent.filter,
        targets=ended.targets,
        outcomes=ended.outcomes,
        detail=ended.detail,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            await auditor.record([entry])
    except Exception:
        logger.exception("the outcome of multicast %s of namespace %r isn't in the audit", intent.message_id, ns.name)
