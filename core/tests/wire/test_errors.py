"""Errors: each class crosses the wire and comes out as itself, with message, details and places."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from prism.model.errors import (
    BY_REASON,
    DeadlineExceeded,
    InternalError,
    InvalidFilter,
    InvalidMetadata,
    LimitExceeded,
    NotFound,
    PrismError,
    QuotaExceeded,
    Unavailable,
    Unsupported,
    Violation,
)
from prism.wire.errors import STATUS_BYTES, Code, code_of, cut, from_parts, from_status, to_status
from prism.wire.rpc import DETAILS_KEY, STATUS_CODES, from_rpc_error, trailers

CODES = {
    "INVALID_ARGUMENT": Code.INVALID_ARGUMENT,
    "INVALID_FILTER": Code.INVALID_ARGUMENT,
    "INVALID_METADATA": Code.INVALID_ARGUMENT,
    "INVALID_SCHEMA": Code.INVALID_ARGUMENT,
    "INVALID_CONFIG": Code.FAILED_PRECONDITION,
    "LIMIT_EXCEEDED": Code.INVALID_ARGUMENT,
    "NOT_FOUND": Code.NOT_FOUND,
    "ALREADY_EXISTS": Code.ALREADY_EXISTS,
    "REVISION_CONFLICT": Code.ABORTED,
    "STALE_REGISTRATION": Code.FAILED_PRECONDITION,
    "SESSION_LOST": Code.FAILED_PRECONDITION,
    "SUPERSEDED": Code.FAILED_PRECONDITION,
    "EXPIRED": Code.FAILED_PRECONDITION,
    "UNREGISTERED": Code.FAILED_PRECONDITION,
    "QUOTA_EXCEEDED": Code.RESOURCE_EXHAUSTED,
    "UNSUPPORTED": Code.UNIMPLEMENTED,
    "UNAVAILABLE": Code.UNAVAILABLE,
    "DEADLINE_EXCEEDED": Code.DEADLINE_EXCEEDED,
    "PLUGIN_ERROR": Code.FAILED_PRECONDITION,
    "INTERNAL": Code.INTERNAL,
}


def rpc_error(code: grpc.StatusCode, text: str, trailing: tuple[tuple[str, bytes], ...] = ()) -> grpc.RpcError:
    empty = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, empty, grpc.aio.Metadata(*trailing), text)


def test_every_error_has_a_code():
    assert CODES.keys() == BY_REASON.keys()


@pytest.mark.parametrize("reason", sorted(CODES))
def test_an_error_comes_back_as_its_own_class(reason):
    kind = BY_REASON[reason]
    error = kind("what went wrong", violations=[Violation("a.b", "is wrong")], details={"identity": "x"})
    back = from_status(to_status(error))
    assert type(back) is kind
    assert back.message == error.message
    assert back.violations == error.violations
    assert back.details == error.details
    assert code_of(error) == CODES[reason]


@pytest.mark.parametrize("reason", sorted(CODES))
def test_an_error_survives_the_trailers_of_a_call(reason):
    code, text, trailing = trailers(to_status(BY_REASON[reason]("what went wrong", details={"a": "b"})))
    back = from_rpc_error(rpc_error(code, text, trailing))
    assert type(back) is BY_REASON[reason]
    assert back.details == {"a": "b"}


def test_a_subclass_from_a_plugin_has_its_parents_code():
    class Odd(NotFound):
        pass

    assert code_of(Odd("x")) == Code.NOT_FOUND


def test_only_what_may_be_tried_again_has_retry_info():
    def has_retry(error: PrismError) -> bool:
        return any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in to_status(error).details)

    assert has_retry(Unavailable("x"))
    assert not has_retry(NotFound("x"))


def test_a_status_with_many_long_violations_stays_small_enough_for_trailers():
    violations = [Violation(f"metadata.field{i}", "ü" * 2_000) for i in range(500)]
    status = to_status(InvalidMetadata("ü" * 100_000, violations=violations, details={"x": "y" * 100_000}))
    assert status.ByteSize() < STATUS_BYTES + 512
    back = from_status(status)
    assert back.violations[0].field == "metadata.field0"
    assert "more" in back.violations[-1].description


def test_a_smaller_bound_cuts_more():
    error = InvalidFilter("x" * 5_000, violations=[Violation("$", "y" * 5_000)] * 50)
    assert to_status(error, 256).ByteSize() < 1_024


def test_the_text_of_a_call_is_bounded():
    _, text, _ = trailers(to_status(NotFound("x" * 50_000)))
    assert len(text) <= 1_024


def test_lone_surrogates_do_not_break_an_error():
    assert from_status(to_status(NotFound("no \ud800"))).message


@pytest.mark.parametrize("text", ["short", "é" * 100, "a" * 10])
def test_cut_keeps_within_bytes(text):
    assert len(cut(text, 12).encode()) <= 12


def test_an_unreachable_proxy_is_unavailable_and_named():
    error = from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE, "connection refused"), "127.0.0.1:1")
    assert type(error) is Unavailable
    assert "127.0.0.1:1" in error.message


def test_a_deadline_says_that_the_effect_is_unknown():
    error = from_rpc_error(rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
    assert type(error) is DeadlineExceeded
    assert "unknown" in error.message


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "CLIENT: Sent message larger than max (9 vs. 8)", LimitExceeded),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many pending requests", QuotaExceeded),
        (grpc.StatusCode.UNIMPLEMENTED, "Method not found!", Unsupported),
        (grpc.StatusCode.CANCELLED, "CANCELLED", Unavailable),
        (grpc.StatusCode.UNKNOWN, "Stream removed", InternalError),
        (grpc.StatusCode.INTERNAL, "oh", InternalError),
        (grpc.StatusCode.NOT_FOUND, "proxy page", NotFound),
        (grpc.StatusCode.PERMISSION_DENIED, "no", InternalError),
    ],
)
def test_statuses_that_are_not_prisms_get_the_nearest_class(code, text, kind):
    error = from_rpc_error(rpc_error(code, text))
    assert type(error) is kind
    assert error.message


def test_trailers_that_cannot_be_read_are_passed_over():
    error = from_rpc_error(rpc_error(grpc.StatusCode.NOT_FOUND, "x", ((DETAILS_KEY, b"\xff\xff"),)))
    assert type(error) is NotFound


def test_details_of_another_domain_are_not_taken_for_prisms():
    info = error_details_pb2.ErrorInfo(reason="ALREADY_EXISTS", domain="example")
    status = status_pb2.Status(code=Code.NOT_FOUND, message="x")
    status.details.add().Pack(info)
    assert type(from_status(status)) is NotFound


def test_a_refused_attach_comes_out_as_its_class():
    error = from_parts(Code.INVALID_ARGUMENT, "m", "INVALID_METADATA", (Violation("a", "b"),))
    assert type(error) is InvalidMetadata
    assert error.violations == (Violation("a", "b"),)


def test_every_code_has_grpcs_own_object():
    assert {code.name for code in STATUS_CODES.values()} == {code.name for code in Code}
