"""A coordinator in this process, as the client's transport. Its namespace's slots are those of the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from os import PathLike
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar

from prism.client.identity import Columns, Registered
from prism.client.link import Link
from prism.client.session_link import SessionLink
from prism.client.transport import ColumnPage, Entry
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model import json
from prism.model.deadline import answering_within
from prism.model.delivery import MulticastResult
from prism.model.errors import DeadlineExceeded, InvalidMetadata, PrismError
from prism.model.message import DeadLetter
from prism.model.operations import Beat, EnumerateQuery, Explanation, MulticastCommand, NewIdentity, Ttl
from prism.model.pages import RecordPage
from prism.model.time import SECOND, Micros
from prism.sessions.hub import Hub

Result = TypeVar("Result")

ConfigSource: TypeAlias = "Mapping[str, Any] | PathLike[str] | str | None"


class Embedded:
    """A `Transport` over a coordinator of its own; see `prism.client.transport` for its methods."""

    def __init__(
        self, coordinator: Coordinator, hub: Hub, namespace: str, timeout: float, stack: AsyncExitStack
    ) -> None:
        self._coordinator = coordinator
        self._hub = hub
        self._namespace = namespace
        self._timeout = timeout
        self._stack = stack

    @classmethod
    async def open(cls, namespace: str, config: ConfigSource, timeout: float) -> Self:  # noqa: ASYNC109
        """Reads the configuration and opens its slots. Raises InvalidConfig, PluginError, Unavailable."""
        source = config if config is None or isinstance(config, (Mapping, str)) else Path(config)
        settings = load_config(source)
        async with AsyncExitStack() as stack:
            coordinator = await stack.enter_async_context(Coordinator(settings))
            hub = await stack.enter_async_context(Hub(coordinator))
            return cls(coordinator, hub, namespace, timeout, stack.pop_all())
        raise AssertionError("an exit stack swallows nothing")

    @property
    def reached(self) -> bool:
        """There is nothing to be reached."""
        return True

    async def register(self, entry: Entry, *, ttl: Ttl, replace: bool) -> Registered:
        """See Transport."""
        (outcome,) = await self.register_many((entry,), ttl=ttl, replace=replace)
        if isinstance(outcome, PrismError):
            raise outcome
        return outcome

    async def register_many(
        self, entries: Sequence[Entry], *, ttl: Ttl, replace: bool
    ) -> list[Registered | PrismError]:
        """See Transport."""
        items = [NewIdentity(entry.identity, entry.metadata_json, entry.ttl) for entry in entries]
        outcomes = await self._within(
            self._coordinator.register(self._namespace, items, ttl=ttl, replace=replace), "register"
        )
        return [
            r
            if isinstance(r, PrismError)
            else Registered.at(r.identity, r.registration_id, r.revision, r.registered_at, r.expires_at)
            for r in outcomes
        ]

    async def get(self, identities: Sequence[str]) -> Columns:
        """See Transport."""
        found = await self._within(self._coordinator.get(self._namespace, identities), "get")
        return Columns.of(RecordPage.of([registration for registration in found if registration is not None]))

    async def pages(self, query: EnumerateQuery) -> AsyncGenerator[ColumnPage]:
        """See Transport."""
        async with aclosing(self._coordinator.enumerate(self._namespace, query)) as pages:
            while True:
                page = await self._within(anext(pages, None), "enumerate")
                if page is None:
                    return
                yield ColumnPage(Columns.of(page.records, metadata=query.include_metadata), page.next_cursor)

    async def count(self, filter: object) -> int:  # noqa: A002 - the field's word
        """See Transport."""
        return await self._within(self._coordinator.count(self._namespace, filter), "count")

    async def explain(self, query: EnumerateQuery) -> Explanation:
        """See Transport."""
        return await self._within(self._coordinator.explain(self._namespace, query), "explain")

    async def multicast(self, command: MulticastCommand) -> MulticastResult:
        """See Transport."""
        wait = (command.timeout or 0) / SECOND
        return await self._within(self._coordinator.multicast(self._namespace, command), "multicast", wait)

    async def get_multicast(self, message_id: str) -> MulticastResult:
        """See Transport."""
        return await self._within(self._coordinator.get_multicast(self._namespace, message_id), "get_multicast")

    async def unregister(self, beats: Sequence[Beat]) -> list[bool | PrismError]:
        """See Transport."""
        return await self._within(self._coordinator.unregister(self._namespace, beats), "unregister")

    async def heartbeat(self, beats: Sequence[Beat], *, ttl: Ttl) -> list[Micros | PrismError | None]:
        """See Transport."""
        return await self._within(self._coordinator.heartbeat(self._namespace, beats, ttl=ttl), "heartbeat")

    async def update(self, identity: str, patch_json: bytes, *, revision: int | None) -> Columns:
        """See Transport."""
        patch = _decode_patch(patch_json)
        updated = await self._within(
            self._coordinator.update(self._namespace, identity, patch, revision=revision), "update"
        )
        return Columns.of(RecordPage.of((updated,)))

    async def dead_letters(self, identity: str, limit: int) -> Sequence[DeadLetter]:
        """See Transport."""
        return await self._within(self._coordinator.dead_letters(self._namespace, identity, limit), "dead_letters")

    async def replay(self, identity: str, message_ids: Sequence[str]) -> int:
        """See Transport."""
        return await self._within(self._coordinator.replay(self._namespace, identity, message_ids), "replay")

    def link(self) -> Link:
        """A session of the hub."""
        return SessionLink(self._hub, self._namespace)

    async def close(self) -> None:
        """Closes sessions, coordinator and slots."""
        await self._stack.aclose()

    async def _within(self, call: Awaitable[Result], name: str, extra: float = 0.0) -> Result:
        seconds = self._timeout + extra
        try:
            async with asyncio.timeout(seconds) as deadline:
                with answering_within(seconds):
                    return await call
        except TimeoutError as error:
            if not deadline.expired():
                raise
            text = f"{name} did not end within {seconds:g} s; whether it took effect is unknown"
            raise DeadlineExceeded(text) from error


def _decode_patch(data: bytes) -> Mapping[str, Any]:
    try:
        patch = json.decode(data)
    except ValueError as error:
        raise InvalidMetadata.at("patch", f"is not valid JSON: {error}") from error
    if not isinstance(patch, dict):
        raise InvalidMetadata.at("patch", f"expected an object, got {json.describe(patch)}")
    return patch
