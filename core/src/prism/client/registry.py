"""The operations of an application: register, enumerate, multicast, unregister, and what goes with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, overload

from prism.client import arguments
from prism.client.arguments import AttachWhat, Beats
from prism.client.batching import Items, apart, batches, in_batches, registrations
from prism.client.content import metadata_bytes
from prism.client.dead_letter import DeadLetter
from prism.client.enumeration import Enumeration
from prism.client.identity import Identity, Registered, views
from prism.client.inbox import DEFAULT_PREFETCH, AttachOptions, Inbox
from prism.client.transport import Entry
from prism.client.ttl import Seconds, to_message_ttl, to_ttl, to_wait
from prism.model.errors import InvalidArgument, NotFound, PrismError
from prism.model.message import DeliverySemantics, encode_content, new_message_id
from prism.model.operations import Beat, EnumerateQuery, Explanation, MulticastCommand
from prism.model.time import to_datetime

if TYPE_CHECKING:
    from prism.client.notices import OnEvent
    from prism.client.transport import Transport
    from prism.filters.parse import Source
    from prism.model.delivery import MulticastResult
    from prism.model.message import Content


class Registry:
    """The registry of one namespace. Made by `Client`, as `client.registry`.

    A filter is anything the RFC writes: None (everyone), a dictionary (`{"battery_level.lt": 0.2}`), `Filter(...)`
    or `F.battery_level < 0.2`. Everything raises a `PrismError`: InvalidArgument and what is below it when the call
    is wrong, Unavailable when no proxy can be reached, DeadlineExceeded when no answer came in the client's time.
    """

    def __init__(self, connect: Callable[[], Awaitable[Transport]], timeout: float, inboxes: set[Inbox]) -> None:
        self._connect = connect
        self._timeout = timeout
        self._inboxes = inboxes

    async def register(
        self,
        identity: str,
        metadata: Mapping[str, Any] | bytes | None = None,
        *,
        ttl: Seconds | None = None,
        replace: bool = False,
    ) -> Registered:
        """Stores an identity with its metadata (RFC: Register).

        Args:
            identity: its name, unique in the namespace; 1 to 512 bytes of UTF-8.
            metadata: any JSON object, as a mapping (copied at once) or as JSON bytes.
            ttl: whole seconds until it expires unless renewed; 0 is never, None the namespace's default.
            replace: replace a registration that exists.

        Raises:
            AlreadyExists: it is registered and `replace` is False.
            InvalidMetadata: the metadata isn't JSON or doesn't match the namespace's schema.
            QuotaExceeded: the namespace is full.
        """
        entry = Entry(arguments.identity(identity), metadata_bytes(metadata))
        lifetime = to_ttl(ttl)
        arguments.flag(replace, "replace")
        transport = await self._connect()
        return await transport.register(entry, ttl=lifetime, replace=replace)

    async def register_many(
        self,
        items: Items,
        *,
        ttl: Seconds | Mapping[str, Seconds | None] | None = None,
        replace: bool = False,
        raise_on_error: bool = False,
    ) -> list[Registered | PrismError]:
        """Stores many identities, in batches under way at the same time; each succeeds or fails alone.

        Args:
            items: a mapping of identity to metadata, or (identity, metadata) pairs; any number.
            ttl: as in `register`, for all; or a mapping of identity to its own. Those that it doesn't name have the
                namespace's.
            replace: as in `register`, for all.
            raise_on_error: raise the first error instead of returning it in its place. The others are stored.

        Returns:
            For each item, in order, what was registered or why it wasn't.
        """
        ttls = ttl if isinstance(ttl, Mapping) else None
        lifetime = to_ttl(None if isinstance(ttl, Mapping) else ttl)
        arguments.flag(replace, "replace")
        arguments.flag(raise_on_error, "raise_on_error")
        transport = await self._connect()

        async def store(entries: list[Entry]) -> Sequence[Registered | PrismError]:
            return await transport.register_many(entries, ttl=lifetime, replace=replace)

        async def send(batch: list[Entry | PrismError]) -> Sequence[Registered | PrismError]:
            return await apart(batch, store)

        outcomes = await in_batches(registrations(items, ttls), send)
        if raise_on_error:
            _raise_first(outcomes)
        return outcomes

    async def get(self, identity: str) -> Identity:
        """Reads one identity. Raises NotFound where it isn't registered or has expired."""
        arguments.identity(identity)
        found = await (await self._connect()).get((identity,))
        if not len(found):
            text = f"identity {identity!r} is not registered (or has expired)"
            raise NotFound(text, details={"identity": identity})
        return Identity(found, 0)

    async def get_many(self, identities: Iterable[str]) -> list[Identity]:
        """Reads identities by name, in the order given; those that aren't registered are left out."""
        wanted = arguments.identities(identities)
        transport = await self._connect()

        async def ask(batch: list[str]) -> Sequence[Identity]:
            return views(await transport.get(batch))

        return await in_batches(batches(wanted), ask)

    def enumerate(
        self,
        filter: Source = None,  # noqa: A002 - the RFC's word
        *,
        sort_by: Sequence[str] | str = (),
        limit: int | None = None,
        offset: int = 0,
        cursor: str | None = None,
        include_metadata: bool = True,
    ) -> Enumeration:
        """The identities that match (RFC: Enumerate): await it for a list, or iterate over it, or over its `pages()`.

        Args:
            filter: which; None is everyone.
            sort_by: `"battery_level"`, `"metadata.created_at desc"`; missing values come last, ties by identity.
            limit: at most so many; None is all.
            offset: how many to skip. Not together with a cursor.
            cursor: where an earlier page of the same query said the next one begins.
            include_metadata: False reads names and times only.
        """
        query = EnumerateQuery(
            filter=filter,
            sort=arguments.sort_keys(sort_by),
            limit=arguments.optional_count(limit, "limit", 1, arguments.LARGEST_COUNT),
            offset=arguments.count(offset, "offset"),
            cursor=arguments.optional_text(cursor, "cursor"),
            include_metadata=arguments.flag(include_metadata, "include_metadata"),
        )
        return Enumeration(self._connect, query)

    async def count(self, filter: Source = None) -> int:  # noqa: A002 - the RFC's word
        """How many identities match now."""
        return await (await self._connect()).count(filter)

    async def explain(
        self,
        filter: Source = None,  # noqa: A002 - the RFC's word
        *,
        sort_by: Sequence[str] | str = (),
    ) -> Explanation:
        """How an enumeration would be run: what the backend does, and what the proxy checks itself."""
        query = EnumerateQuery(filter=filter, sort=arguments.sort_keys(sort_by))
        return await (await self._connect()).explain(query)

    async def multicast(
        self,
        filter: Source = None,  # noqa: A002 - the RFC's word
        message: Content | None = None,
        *,
        content_type: str | None = None,
        delivery: DeliverySemantics | str | None = None,
        timeout: Seconds | None = None,  # noqa: ASYNC109 - how long the proxy waits, not how long this call may take
        message_id: str | None = None,
        message_ttl: Seconds | None = None,
    ) -> MulticastResult:
        """Sends a message to every identity that matches (RFC: Multicast).

        Args:
            filter: who; None is everyone in the namespace.
            message: bytes as they are, text as UTF-8, anything else as JSON; at most 1 MiB.
            content_type: its MIME type, where the one that follows from the message isn't right.
            delivery: at-most-once, at-least-once or exactly-once; None is the namespace's default.
            timeout: how long to wait for receipts, seconds; 0 for none, None the namespace's default (1).
            message_id: an id of your own: repeating an at-least-once multicast with it stores nothing twice.
            message_ttl: how long an undelivered at-least-once message is kept, whole seconds.

        Returns:
            What became of it, identity by identity: `result.delivered_count`, `result.statuses`.
        """
        if message is None:
            raise InvalidArgument.at("message", "is missing; give bytes, text, or anything JSON")
        payload, kind = encode_content(message, arguments.optional_text(content_type, "content_type"))
        semantics = arguments.semantics(delivery)
        arguments.optional_text(message_id, "message_id")
        if message_id is None and semantics not in (None, DeliverySemantics.AT_MOST_ONCE):
            message_id = new_message_id()  # so that it can be sent again when the answer is lost
        command = MulticastCommand(
            filter=filter,
            payload=payload,
            content_type=kind,
            delivery=semantics,
            timeout=to_wait(timeout),
            message_id=message_id,
            message_ttl=to_message_ttl(message_ttl),
        )
        return await (await self._connect()).multicast(command)

    async def get_multicast(self, message_id: str) -> MulticastResult:
        """What has become of a multicast by now. NotFound when it is too long ago, or from a proxy that didn't send it.

        PENDING at-least-once: stored when it was sent, and no acknowledgement has come. The reason says who isn't
        registered any more; it may also have run out of time, been dropped from a full queue or become a dead letter.
        """
        arguments.message_id(message_id)
        return await (await self._connect()).get_multicast(message_id)

    async def dead_letters(self, identity: str, limit: int = 100) -> list[DeadLetter]:
        """The messages of an identity that were given up after too many attempts without an ack, the oldest first.

        Args:
            identity: whose.
            limit: at most so many; 1 to 10,000 unless the namespace says otherwise.

        Raises:
            NotFound: it isn't registered; its queue and dead letters go with it.
            Unsupported: the namespace has no durability slot.
        """
        arguments.identity(identity)
        arguments.count(limit, "limit", 1, arguments.LARGEST_COUNT)
        return [DeadLetter.of(letter) for letter in await (await self._connect()).dead_letters(identity, limit)]

    async def replay(self, identity: str, message_ids: Iterable[str]) -> int:
        """Puts dead letters back at the end of the identity's queue, to be delivered as new messages.

        Args:
            identity: whose.
            message_ids: which, by `DeadLetter.id`; those that are no dead letters (any more) are left out.

        Returns:
            How many were put back.

        Raises:
            NotFound, Unsupported: as `dead_letters`.
        """
        arguments.identity(identity)
        wanted = arguments.message_ids(message_ids)
        return await (await self._connect()).replay(identity, wanted)

    async def unregister(self, identity: str, registration_id: str | None = None) -> bool:
        """Removes an identity (RFC: Unregister); whether it was registered. Idempotent.

        Raises:
            StaleRegistration: `registration_id` was given, and a newer registration has taken its place.
        """
        beat = Beat(arguments.identity(identity), arguments.registration_id(registration_id))
        (outcome,) = await (await self._connect()).unregister((beat,))
        if isinstance(outcome, PrismError):
            raise outcome
        return outcome

    async def unregister_many(self, identities: Beats) -> list[bool | PrismError]:
        """Removes many; for each, in order, whether it was registered, or why it could not be removed."""
        beats = arguments.beats(identities)
        transport = await self._connect()

        async def remove(batch: list[Beat | PrismError]) -> Sequence[bool | PrismError]:
            return await apart(batch, transport.unregister)

        return await in_batches(batches(beats), remove)

    @overload
    async def heartbeat(  # type: ignore[overload-overlap]  # a string is an iterable of strings, too
        self, identity: str, ttl: Seconds | None = None, *, registration_id: str | None = None
    ) -> datetime | None: ...
    @overload
    async def heartbeat(self, identity: Beats, ttl: Seconds | None = None) -> list[datetime | PrismError | None]: ...
    async def heartbeat(
        self, identity: str | Beats, ttl: Seconds | None = None, *, registration_id: str | None = None
    ) -> datetime | list[datetime | PrismError | None] | None:
        """Renews the TTL of an identity, or of many, without writing their metadata again.

        Args:
            identity: one, or many; a mapping gives the registration id that is meant for each.
            ttl: whole seconds from now; 0 is never, None the namespace's default.
            registration_id: renew only this registration.

        Returns:
            When it expires now, UTC, None for never; for many a list in order, errors in their places.

        Raises:
            NotFound: it isn't registered (one identity).
            StaleRegistration: a newer registration has taken its place (one identity).
        """
        lifetime = to_ttl(ttl)
        if isinstance(identity, str):
            beat = Beat(arguments.identity(identity), arguments.registration_id(registration_id))
            (outcome,) = await (await self._connect()).heartbeat((beat,), ttl=lifetime)
            if isinstance(outcome, PrismError):
                raise outcome
            return _moment(outcome)
        if registration_id is not None:
            raise InvalidArgument.at("registration_id", "is for one identity; for many, give a mapping to their ids")
        beats = arguments.beats(identity, "identity")
        transport = await self._connect()

        async def renew(sound: list[Beat]) -> Sequence[datetime | PrismError | None]:
            outcomes = await transport.heartbeat(sound, ttl=lifetime)
            return [outcome if isinstance(outcome, PrismError) else _moment(outcome) for outcome in outcomes]

        async def send(batch: list[Beat | PrismError]) -> Sequence[datetime | PrismError | None]:
            return await apart(batch, renew)

        return await in_batches(batches(beats), send)

    async def update(self, identity: str, patch: Mapping[str, Any] | bytes, *, revision: int | None = None) -> Identity:
        """Changes metadata by a JSON merge patch (RFC 7396): keys are set, a None removes one.

        Args:
            identity: who.
            patch: a mapping, or JSON bytes.
            revision: change only this revision of it.

        Returns:
            The identity as it is then.

        Raises:
            NotFound: it isn't registered.
            RevisionConflict: it was changed meanwhile.
        """
        arguments.identity(identity)
        data = metadata_bytes(patch, "patch")
        arguments.optional_count(revision, "revision")
        return Identity(await (await self._connect()).update(identity, data, revision=revision), 0)

    def attach(
        self,
        identity: AttachWhat,
        metadata: Mapping[str, Any] | bytes | None = None,
        *,
        ttl: Seconds | None = None,
        keep: bool = False,
        only_if_absent: bool = False,
        partial: bool = False,
        on_event: OnEvent | None = None,
        prefetch: int = DEFAULT_PREFETCH,
    ) -> Inbox:
        """Registers an identity and receives what is multicast to it (design: Attach).

            async with registry.attach("id", {"room": "x"}, ttl=30) as inbox:
                async for message in inbox:
                    await message.ack()

        Args:
            identity: one identity, or a mapping of many to their metadata, all on one stream (a gateway).
            metadata: of the one identity; None takes over the registration that exists (NotFound without one), whose
                TTL becomes this session's.
            ttl: whole seconds it stays registered after its stream is lost; None is the namespace's default (30).
            keep: on leaving, leave it registered until its TTL, reachable by its queue; otherwise unregister.
            only_if_absent: AlreadyExists where it is registered; otherwise the newer session wins.
            partial: of many, go on with those that were not refused; see `Inbox.refused`.
            on_event: called with each `InboxEvent` (`Disconnected`, `Reattached`, ...); may be a coroutine function.
            prefetch: messages that may wait here unread before the proxy is held back.
        """
        options = AttachOptions(
            ttl=to_ttl(ttl),
            keep=arguments.flag(keep, "keep"),
            only_if_absent=arguments.flag(only_if_absent, "only_if_absent"),
            partial=arguments.flag(partial, "partial"),
            prefetch=arguments.count(prefetch, "prefetch", 1),
            on_event=arguments.callback(on_event, "on_event"),
            timeout=self._timeout,
        )
        return Inbox(self._connect, arguments.attached(identity, metadata), options, self._inboxes)


def _moment(expiry: int | None) -> datetime | None:
    return to_datetime(expiry) if expiry else None


def _raise_first(outcomes: Sequence[object]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, PrismError):
            raise outcome
