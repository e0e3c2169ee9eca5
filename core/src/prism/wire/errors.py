"""Errors as `google.rpc.Status` and back: one table of reasons and codes (RFC: errors).

The reason travels in ErrorInfo (domain "prism"), the places at fault in BadRequest, so that an error comes out of
the client as the class it was raised as.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from google.protobuf import any_pb2
from google.rpc import error_details_pb2 as details_pb2
from google.rpc import status_pb2

from prism.model import errors
from prism.model.errors import BY_REASON, PrismError, Violation

DOMAIN = "prism"
RETRY_SECONDS = 1
"""What RetryInfo asks for when a proxy or backend is unavailable."""

STATUS_BYTES = 4_096
"""How large a status gets: it travels in HTTP/2 trailers, of which gRPC takes 8 KiB unless told otherwise."""

_MESSAGE_BYTES = 1_024
_VIOLATION_BYTES = 512


class Code(IntEnum):
    """The gRPC status codes (google.rpc.Code)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_CODES: dict[type[PrismError], Code] = {
    errors.InvalidArgument: Code.INVALID_ARGUMENT,
    errors.InvalidFilter: Code.INVALID_ARGUMENT,
    errors.InvalidMetadata: Code.INVALID_ARGUMENT,
    errors.InvalidSchema: Code.INVALID_ARGUMENT,
    errors.InvalidConfig: Code.FAILED_PRECONDITION,
    errors.LimitExceeded: Code.INVALID_ARGUMENT,
    errors.NotFound: Code.NOT_FOUND,
    errors.AlreadyExists: Code.ALREADY_EXISTS,
    errors.RevisionConflict: Code.ABORTED,
    errors.StaleRegistration: Code.FAILED_PRECONDITION,
    errors.SessionLost: Code.FAILED_PRECONDITION,
    errors.Superseded: Code.FAILED_PRECONDITION,
    errors.Expired: Code.FAILED_PRECONDITION,
    errors.Unregistered: Code.FAILED_PRECONDITION,
    errors.QuotaExceeded: Code.RESOURCE_EXHAUSTED,
    errors.Unsupported: Code.UNIMPLEMENTED,
    errors.Unavailable: Code.UNAVAILABLE,
    errors.DeadlineExceeded: Code.DEADLINE_EXCEEDED,
    errors.PluginError: Code.FAILED_PRECONDITION,
    errors.InternalError: Code.INTERNAL,
}

_UNLABELLED: dict[int, type[PrismError]] = {
    Code.INVALID_ARGUMENT: errors.InvalidArgument,
    Code.OUT_OF_RANGE: errors.InvalidArgument,
    Code.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    Code.NOT_FOUND: errors.NotFound,
    Code.ALREADY_EXISTS: errors.AlreadyExists,
    Code.ABORTED: errors.RevisionConflict,
    Code.RESOURCE_EXHAUSTED: errors.QuotaExceeded,
    Code.UNIMPLEMENTED: errors.Unsupported,
    Code.UNAVAILABLE: errors.Unavailable,
}
"""What a status without ErrorInfo means; it comes from gRPC itself or from something in between."""


_WIRE_FIELDS = {"ttl": "ttl_seconds", "message_ttl": "message_ttl_seconds", "timeout": "timeout_ms"}
"""Arguments of an operation that have another name as fields of a request."""
_ARGUMENTS = {field: argument for argument, field in _WIRE_FIELDS.items()}


def code_of(error: PrismError) -> Code:
    """The status code of an error; of a subclass that isn't in the table, its parent's."""
    for kind in type(error).__mro__:
        code = _CODES.get(kind)
        if code is not None:
            return code
    return Code.INTERNAL


def to_status(error: PrismError, limit: int = STATUS_BYTES) -> status_pb2.Status:
    """The status of an error: ErrorInfo, BadRequest where fields are at fault, RetryInfo where it is retryable.

    Message, details and violations are cut so that it stays below about `limit` bytes.
    """
    status = status_pb2.Status(code=code_of(error), message=cut(error.message, min(_MESSAGE_BYTES, limit // 2)))
    info = details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    for key, value in error.details.items():
        info.metadata[cut(key, 64)] = cut(value, _VIOLATION_BYTES)
    if info.ByteSize() > limit // 2:
        info.metadata.clear()
    _add(status, info)
    if error.retryable:
        retry = details_pb2.RetryInfo()
        retry.retry_delay.seconds = RETRY_SECONDS
        _add(status, retry)
    if error.violations:
        _add(status, _bad_request(wire_violations(error), limit - status.ByteSize()))
    return status


def from_status(status: status_pb2.Status) -> PrismError:
    """The error of a status; without a reason that is known, the class its code stands for."""
    info = details_pb2.ErrorInfo()
    bad = details_pb2.BadRequest()
    for detail in status.details:
        for message in (info, bad):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    violations = [Violation(v.field, v.description) for v in bad.field_violations]
    kind = BY_REASON.get(info.reason) if info.domain == DOMAIN else None
    if kind is None:
        kind = _UNLABELLED.get(status.code, errors.InternalError)
    return kind(status.message, violations=violations, details=dict(info.metadata))


def from_parts(
    code: int,
    message: str,
    reason: str,
    violations: tuple[Violation, ...] = (),
    details: Mapping[str, str] | None = None,
) -> PrismError:
    """The error of an AttachRefused frame."""
    kind = BY_REASON.get(reason) or _UNLABELLED.get(code, errors.InternalError)
    return kind(message, violations=violations, details=details)


def wire_violations(error: PrismError) -> tuple[Violation, ...]:
    """What is wrong with which field of the request."""
    return _renamed(error, _WIRE_FIELDS)


def in_arguments(error: PrismError) -> PrismError:
    """The error of a request, with its fields called as the client's arguments are."""
    violations = _renamed(error, _ARGUMENTS)
    if violations == error.violations:
        return error
    return type(error)(error.message, violations=violations, details=error.details)


def _renamed(error: PrismError, names: Mapping[str, str]) -> tuple[Violation, ...]:
    """The violations, fields renamed; the places of a filter or a document have one name only."""
    if type(error) is not errors.InvalidArgument:
        return error.violations
    return tuple(Violation(names.get(each.field, each.field), each.description) for each in error.violations)


def cut(text: str, limit: int) -> str:
    """The text as valid Unicode, shortened to `limit` bytes of UTF-8 with an ellipsis where it is longer."""
    data = text.encode(errors="replace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode(errors="ignore") + "..."


def _bad_request(violations: tuple[Violation, ...], room: int) -> details_pb2.BadRequest:
    bad = details_pb2.BadRequest()
    for i, violation in enumerate(violations):
        place, text = cut(violation.field, 256), cut(violation.description, _VIOLATION_BYTES)
        room -= len(place.encode()) + len(text.encode(errors="replace")) + 8
        if room < 64 and i:
            bad.field_violations.add(description=f"and {len(violations) - i} more")
            break
        bad.field_violations.add(field=place, description=text)
    return bad


def _add(
    status: status_pb2.Status, message: details_pb2.ErrorInfo | details_pb2.BadRequest | details_pb2.RetryInfo
) -> None:
    packed = any_pb2.Any()
    packed.Pack(message)
    status.details.append(packed)
