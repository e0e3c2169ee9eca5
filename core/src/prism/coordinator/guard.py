"""The one place where a driver's exceptions become Prism's."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TypeVar

from prism.model.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidConfig,
    LimitExceeded,
    PrismError,
    Unavailable,
    Unsupported,
)
from prism.plugins.spec import SlotKind
from prism.slots.context import Backend, Code

Item = TypeVar("Item")

_ERRORS: dict[Code, type[PrismError]] = {
    Code.UNAVAILABLE: Unavailable,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.INVALID_CONFIG: InvalidConfig,
    Code.LIMIT_EXCEEDED: LimitExceeded,
    Code.UNSUPPORTED: Unsupported,
    Code.INTERNAL: InternalError,
}


class Guard:
    """Wraps calls to one slot: `with guard("scan"): ...`. Cancellation and Prism's own errors pass through."""

    __slots__ = ("_backend", "_namespace", "_slot", "_type")

    def __init__(self, backend: Backend, slot: SlotKind, type_name: str, namespace: str) -> None:
        self._backend = backend
        self._slot = slot
        self._type = type_name
        self._namespace = namespace

    def __call__(self, action: str) -> _Guarded:
        """A context in which the driver's exceptions are translated; `action` completes "failed to ..."."""
        return _Guarded(self, action)

    def translate(self, error: Exception, action: str) -> PrismError:
        """The PrismError for a driver's exception, with the slot, type and namespace in its details."""
        code = self._backend.classify(error)
        if code is None:
            code = _common(error)
        what = str(error) or type(error).__name__
        text = f"the {self._slot} slot ({self._type}) of namespace {self._namespace!r} failed to {action}: {what}"
        details = {"slot": self._slot, "type": self._type, "namespace": self._namespace}
        return _ERRORS[code](text, details=details)

    def matched(self, outcomes: list[Item], asked: Sequence[object], action: str) -> list[Item]:
        """Checks that a batch was answered item by item."""
        if len(outcomes) != len(asked):
            raise InternalError(
                f"the {self._slot} plugin {self._type!r} answered {len(outcomes)} outcomes to {action} of {len(asked)}"
            )
        return outcomes


def _common(error: Exception) -> Code:
    if isinstance(error, TimeoutError):
        return Code.DEADLINE_EXCEEDED
    if isinstance(error, OSError):
        return Code.UNAVAILABLE
    return Code.INTERNAL


class _Guarded:
    __slots__ = ("_action", "_guard")

    def __init__(self, guard: Guard, action: str) -> None:
        self._guard = guard
        self._action = action

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, PrismError):
            raise self._guard.translate(error, self._action) from error
