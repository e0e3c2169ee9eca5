"""Stores: what the slots of one process share, how long it lives, and how a slot gets at its part."""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from prism.model.errors import InternalError, InvalidConfig, Violation
from prism.model.time import Clock, Micros
from prism.slots.context import Backend, SlotContext

if TYPE_CHECKING:
    from prism.memory.config import MemoryConfig
    from prism.plugins.spec import Capability, SlotSpec

P = TypeVar("P")


def forward_only(clock: Clock) -> Clock:
    """The clock, held still while it is behind a moment it has already shown: a jump back resurrects nothing."""
    latest: Micros = 0

    def now() -> Micros:
        nonlocal latest
        moment = clock()
        latest = max(latest, moment)
        return latest

    return now


class Store:
    """Parts, one for each slot kind and namespace, made by the first slot that asks for them.

    A store belongs to the event loop that opened it: its parts are guarded by that loop's turns, not by locks.
    """

    def __init__(self, name: str | None, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self.loop = loop
        self.users = 0
        self._parts: dict[tuple[type, str], object] = {}

    def part(self, kind: type[P], namespace: str, make: Callable[[], P]) -> P:
        """The namespace's part of the given kind; `make` is called where there is none yet."""
        found = self._parts.get((kind, namespace))
        if found is None:
            found = self._parts[kind, namespace] = make()
        assert isinstance(found, kind)
        return found


_named: dict[str, Store] = {}
_guard = threading.Lock()


def join(name: str | None) -> Store:
    """The store of that name (a fresh one for None), with one user more. Call `leave` when done with it.

    Raises InvalidConfig where the store is in use by an event loop that isn't the running one.
    """
    loop = asyncio.get_running_loop()
    with _guard:
        store = None if name is None else _named.get(name)
        if store is not None and store.loop.is_closed():
            store = None  # its users ended without closing; nobody can reach it any more
        if store is None:
            store = Store(name, loop)
            if name is not None:
                _named[name] = store
        if store.loop is not loop:
            raise InvalidConfig(
                f'store: "{name}" is in use by another event loop of this process; '
                "run all its users in one loop, or give this one a store of its own",
                violations=(Violation("store", f'"{name}" is in use by another event loop of this process'),),
            )
        store.users += 1
        return store


def leave(store: Store) -> None:
    """Ends one use of the store; with its last user the store is gone."""
    with _guard:
        store.users -= 1
        if store.users == 0 and store.name is not None and _named.get(store.name) is store:
            del _named[store.name]


class MemorySlot(Backend, Generic[P]):
    """What the three memory slots share: opening, closing, and the part of the store they work on."""

    spec: ClassVar[SlotSpec]

    def __init__(self, config: MemoryConfig, context: SlotContext) -> None:
        self._config = config
        self._context = context
        self._store: Store | None = None
        self._opened: P | None = None

    @abstractmethod
    def _join_part(self, store: Store, context: SlotContext) -> P:
        """The slot's part of the store for the context's namespace, made where there is none."""

    @property
    def _part(self) -> P:
        if self._opened is None:
            raise InternalError(f"{type(self).__name__} is not open; await open() first and don't use it after close()")
        return self._opened

    async def open(self) -> None:
        """Joins the store. Raises InvalidConfig where another event loop is using it."""
        if self._store is None:
            self._store = join(self._config.store)
            self._opened = self._join_part(self._store, self._context)

    async def close(self) -> None:
        """Leaves the store; a store without users is gone."""
        store, self._store, self._opened = self._store, None, None
        if store is not None:
            leave(store)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All that the plugin declares: nothing depends on how the slot was opened."""
        return self.spec.capabilities

    async def check(self) -> None:
        """Raises when the slot isn't open; memory can't be away."""
        _ = self._part
