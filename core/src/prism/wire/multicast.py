"""Delivery semantics and the result of a multicast, with its statuses as messages or as columns."""

from __future__ import annotations

from prism.model.delivery import DeliveryStatus, MulticastResult, Status, Statuses
from prism.model.errors import InvalidArgument
from prism.model.message import DeliverySemantics
from prism.v1 import registry_pb2 as pb
from prism.wire.identities import PAGE_BYTES

_SEMANTICS = {
    DeliverySemantics.AT_MOST_ONCE: pb.AT_MOST_ONCE,
    DeliverySemantics.AT_LEAST_ONCE: pb.AT_LEAST_ONCE,
    DeliverySemantics.EXACTLY_ONCE: pb.EXACTLY_ONCE,
}
_BY_NUMBER: dict[int, DeliverySemantics | None] = {number: word for word, number in _SEMANTICS.items()}
_BY_NUMBER[pb.DELIVERY_SEMANTICS_UNSPECIFIED] = None

_COLUMN_BYTES = 9
_MESSAGE_BYTES = 14


def semantics_to_wire(delivery: DeliverySemantics | None) -> pb.DeliverySemantics:
    """The enum's number; None is the namespace's default."""
    return pb.DELIVERY_SEMANTICS_UNSPECIFIED if delivery is None else _SEMANTICS[delivery]


def semantics_from_wire(number: int, field: str = "delivery") -> DeliverySemantics | None:
    """The semantics of an enum number, None for unspecified. Raises InvalidArgument for an unknown number."""
    if number not in _BY_NUMBER:
        known = ", ".join(f"{name} ({value})" for name, value in pb.DeliverySemantics.items())
        raise InvalidArgument.at(field, f"{number} is no DeliverySemantics; use one of {known}")
    return _BY_NUMBER[number]


def to_response(
    result: MulticastResult, *, offset: int = 0, columnar: bool = False, limit: int = PAGE_BYTES
) -> pb.MulticastResponse:
    """The answer with the statuses from `offset` on, as many as fit into `limit` bytes.

    `next_offset` is set when there are more. Raises InvalidArgument when `offset` is outside the statuses.
    """
    statuses = result.statuses
    if not 0 <= offset <= len(statuses):
        raise InvalidArgument.at("offset", f"{offset} is not between 0 and the {len(statuses)} statuses there are")
    response = pb.MulticastResponse(
        target_count=result.target_count,
        delivered_count=result.delivered_count,
        message_id=result.message_id,
        pending_count=result.pending_count,
        failed_count=result.failed_count,
        timeout_count=result.timeout_count,
        statuses_truncated=result.statuses_truncated,
    )
    end = _end(statuses, offset, limit, columnar=columnar)
    if columnar:
        _fill_columns(response.columns, statuses, offset, end)
    else:
        response.statuses.extend(_message(status) for status in statuses[offset:end])
    if end < len(statuses):
        response.next_offset = end
    return response


def to_result(response: pb.MulticastResponse) -> MulticastResult:
    """The result in an answer; further statuses (`next_offset`) go on by `append_statuses`."""
    statuses = Statuses()
    append_statuses(statuses, response)
    return MulticastResult(
        response.message_id,
        response.target_count,
        response.delivered_count,
        response.pending_count,
        response.failed_count,
        response.timeout_count,
        statuses,
        response.statuses_truncated,
    )


def append_statuses(statuses: Statuses, response: pb.MulticastResponse) -> None:
    """Adds the statuses of an answer, columns or messages, to those read so far."""
    columns = response.columns
    if columns.identities:
        base = len(statuses.reasons)
        statuses.reasons.extend(columns.reasons)
        statuses.reason_index.extend([index + base if index else 0 for index in columns.reason_index])
        statuses.identities.extend(columns.identities)
        statuses.codes.extend(columns.statuses)
    known = {reason: i + 1 for i, reason in enumerate(statuses.reasons)}
    for message in response.statuses:
        statuses.identities.append(message.identity)
        statuses.codes.append(message.status)
        index = 0
        if message.HasField("error"):
            index = known.setdefault(message.error, len(known) + 1)
            if index > len(statuses.reasons):
                statuses.reasons.append(message.error)
        statuses.reason_index.append(index)


def status_from_message(message: pb.DeliveryStatus) -> DeliveryStatus:
    """One identity's status."""
    return DeliveryStatus(
        message.identity, Status(message.status), message.error if message.HasField("error") else None
    )


def _message(status: DeliveryStatus) -> pb.DeliveryStatus:
    return pb.DeliveryStatus(identity=status.identity, status=int(status.status), error=status.error)  # type: ignore[arg-type]


def _fill_columns(columns: pb.StatusColumns, statuses: Statuses, start: int, end: int) -> None:
    columns.identities.extend(statuses.identities[start:end])
    columns.statuses = bytes(statuses.codes[start:end])
    indexes = statuses.reason_index[start:end]
    used = sorted(set(indexes) - {0})
    renumbered = {0: 0} | {index: i for i, index in enumerate(used, 1)}
    columns.reason_index.extend([renumbered[index] for index in indexes])
    columns.reasons.extend([statuses.reasons[index - 1] for index in used])


def _end(statuses: Statuses, start: int, limit: int, *, columnar: bool) -> int:
    """Where the statuses that fit into `limit` bytes end; at least one fits."""
    overhead = _COLUMN_BYTES if columnar else _MESSAGE_BYTES
    reasons = [0, *(len(reason.encode()) + overhead for reason in statuses.reasons)]
    size = 0
    for i in range(start, len(statuses)):
        identity, reason = statuses.identities[i], statuses.reason_index[i]
        size += overhead + (len(identity) if identity.isascii() else len(identity.encode())) + reasons[reason]
        if columnar:
            reasons[reason] = 0  # a column page holds each reason once
        if size > limit and i > start:
            return i
    return len(statuses)
