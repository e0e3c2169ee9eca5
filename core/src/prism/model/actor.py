"""Who a call is made for, as audit records it: carried beside the call, so that no operation has to pass it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

MAX_ACTOR: Final = 256
"""Characters of a name that are kept."""

_actor: ContextVar[Callable[[], str] | str] = ContextVar("prism_actor", default="")


def current_actor() -> str:
    """Who this call is made for, "" where nobody said."""
    actor = _actor.get()
    return (actor if isinstance(actor, str) else actor())[:MAX_ACTOR]


def set_actor(actor: Callable[[], str] | str) -> None:
    """Says for whom everything is done that this task does from now on; a function is asked when it's needed."""
    _actor.set(actor)


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Calls within are made for this name: `with acting_as("billing"): await client.registry.unregister("alice")`.

    It's a claim that goes into the audit as it is, with the peer's address where it comes over the network.
    """
    token = _actor.set(name)
    try:
        yield
    finally:
        _actor.reset(token)
