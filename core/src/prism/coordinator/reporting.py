"""What has become of a multicast by now. A status says what is known, never what may have changed since."""

from __future__ import annotations

from collections.abc import Collection

from prism.coordinator.namespace import Namespace
from prism.coordinator.receipts import Collector
from prism.model.delivery import MulticastResult, Statuses
from prism.model.errors import PrismError
from prism.plugins.spec import SlotKind

STORED = "stored; no acknowledgement has come"
STORED_OFFLINE = "stored; it was not attached then, and no acknowledgement has come"
GONE = "stored, and not acknowledged; the identity isn't registered any more, and its queue goes with it"


async def report(ns: Namespace, collector: Collector) -> MulticastResult:
    """The report by now. Of those that haven't acknowledged it, says who isn't registered any more.

    That is asked for as many as one batch takes (`limits.batch_items`), and where the registry answers.
    """
    gone = await _gone(ns, collector.result().statuses)
    result = collector.result()  # anew: acks may have come meanwhile
    waiting = gone & _waiting(result.statuses).keys()
    if waiting:
        result.statuses.reasons.append(GONE)
        for position in waiting:
            result.statuses.reason_index[position] = len(result.statuses.reasons)
    return result


async def _gone(ns: Namespace, statuses: Statuses) -> set[int]:
    """The positions of those that wait in a queue and aren't registered now."""
    waiting = list(_waiting(statuses).items())[: ns.config.limits.batch_items]
    if not waiting:
        return set()
    identities = [identity for _, identity in waiting]
    guard = ns.guard(SlotKind.REGISTRY)
    try:
        with guard("get"):
            found = guard.matched(await ns.registry.get(identities), identities, "get")
    except PrismError:
        return set()  # what is known without it stands
    return {position for (position, _), there in zip(waiting, found, strict=True) if there is None}


def _waiting(statuses: Statuses) -> dict[int, str]:
    """The identities by position for which the message was stored, and that haven't acknowledged it."""
    kept: Collection[int] = {i for i, reason in enumerate(statuses.reasons, 1) if reason in (STORED, STORED_OFFLINE)}
    if not kept:
        return {}
    return {i: statuses.identities[i] for i, number in enumerate(statuses.reason_index) if number in kept}
