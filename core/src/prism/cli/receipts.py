"""What became of a multicast, grouped so that thousands of receipts fit a screen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from prism.cli.screen import printable, table
from prism.model.delivery import DeliveryStatus, Status

if TYPE_CHECKING:
    from prism.model.delivery import MulticastResult

NAMED = 3
"""How many identities of a group are named."""

STYLES = {Status.DELIVERED: "green", Status.PENDING: "yellow", Status.FAILED: "red", Status.TIMEOUT: "red"}


@dataclass(slots=True)
class Group:
    """The receipts of one status and reason."""

    status: Status
    reason: str
    identities: list[str] = field(default_factory=list)


def group(statuses: Iterable[DeliveryStatus]) -> list[Group]:
    """Receipts by status and reason, the largest group of each status first."""
    groups: dict[tuple[Status, str], Group] = {}
    for receipt in statuses:
        key = (receipt.status, receipt.error or "")
        groups.setdefault(key, Group(*key)).identities.append(receipt.identity)
    return sorted(groups.values(), key=lambda group: (group.status, -len(group.identities)))


def receipt_table(result: MulticastResult) -> Table:
    """One row for each status and reason, with some of the identities."""
    listing = table("status", "#count", "reason", "who")
    for found in group(result.statuses):
        names = ", ".join(printable(name) for name in found.identities[:NAMED])
        more = "" if len(found.identities) <= NAMED else f" and {len(found.identities) - NAMED:,} more"
        status = Text(found.status.name, style=STYLES.get(found.status, ""))
        listing.add_row(status, f"{len(found.identities):,}", Text(found.reason), Text(names + more))
    return listing


def summary(result: MulticastResult) -> str:
    """One line: how many were meant, and what became of them."""
    if not result.target_count:
        return "matched nobody"
    counts = {
        "delivered": result.delivered_count,
        "pending": result.pending_count,
        "failed": result.failed_count,
        "timed out": result.timeout_count,
    }
    parts = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    return f"{result.target_count:,} matched: {parts}"


def as_json(result: MulticastResult) -> dict[str, Any]:
    """A multicast's outcome as `--json` writes it."""
    return {
        "message_id": result.message_id,
        "target_count": result.target_count,
        "delivered_count": result.delivered_count,
        "pending_count": result.pending_count,
        "failed_count": result.failed_count,
        "timeout_count": result.timeout_count,
        "statuses_truncated": result.statuses_truncated,
        "statuses": [
            {"identity": receipt.identity, "status": receipt.status.name, "error": receipt.error}
            for receipt in result.statuses
        ],
    }
