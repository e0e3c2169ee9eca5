"""Errors at the gRPC boundary: the one module of `prism.wire` that needs grpc."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from prism.model.actor import current_actor
from prism.model.errors import DeadlineExceeded, InternalError, LimitExceeded, PrismError, Unavailable
from prism.wire.errors import Code, cut, from_status

DETAILS_KEY = "grpc-status-details-bin"
"""The trailer that carries the google.rpc.Status."""

STATUS_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
"""gRPC's own objects for the codes."""

ACTOR_HEADER = "prism-actor"
"""The header that says, percent-encoded, for whom a call is made; see `prism.model.actor`."""

TIMEOUT_HEADER = "prism-timeout-ms"
"""The header of a stream that says how long the client waits for each answer on it, milliseconds."""

_DETAILS_BYTES = 1_024


def actor_headers() -> tuple[tuple[str, str], ...] | None:
    """The headers of a call that is made now."""
    actor = current_actor()
    return ((ACTOR_HEADER, quote(actor, safe=" /:@")),) if actor else None


def stream_headers(timeout: float) -> tuple[tuple[str, str], ...]:
    """The headers of a stream that is opened now, by a client that waits `timeout` seconds for an answer on it."""
    return (*(actor_headers() or ()), (TIMEOUT_HEADER, str(min(round(timeout * 1_000), 10**9 - 1))))


def trailers(status: status_pb2.Status) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """Code, text and trailing metadata to end a call with."""
    return (
        STATUS_CODES[status.code],
        cut(status.message, _DETAILS_BYTES),
        ((DETAILS_KEY, status.SerializeToString()),),
    )


def from_rpc_error(error: grpc.RpcError, target: str = "") -> PrismError:
    """The error that a call failed with, as the class the server raised.

    `target` is named where the proxy can't be reached or doesn't answer.
    """
    call: Any = error
    code = Code(call.code().value[0])
    text = call.details() or ""
    status = _details(call)
    if status is not None and status.code == code:
        return from_status(status)
    where = f" ({target})" if target else ""
    if code is Code.UNAVAILABLE:
        return Unavailable(f"the proxy{where} can't be reached: {text}")
    if code is Code.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"the proxy{where} did not answer in time; whether the call took effect is unknown")
    if code is Code.RESOURCE_EXHAUSTED and "larger than max" in text:
        return LimitExceeded(f"the request or its answer is too large for one gRPC message: {text}")
    if code is Code.CANCELLED:
        return Unavailable(f"the proxy{where} ended the call: {text}")
    if code in (Code.UNKNOWN, Code.INTERNAL, Code.OK, Code.DATA_LOSS):
        return InternalError(f"{code.name}: {text}")
    return from_status(status_pb2.Status(code=code, message=text or code.name))


def _details(call: Any) -> status_pb2.Status | None:
    """The Status in the trailers, None where there is none that can be read."""
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS_KEY:
            status = status_pb2.Status()
            try:
                status.ParseFromString(value)
            except DecodeError:
                return None
            return status
    return None
