"""Reading one partition: pages of the order and of the indexes, and records as of one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prism.model.identity import Registration
from prism.model.pages import RecordPage, TargetPage

from prism_redis.errors import raise_errors
from prism_redis.fields import Fields, FieldsChanged
from prism_redis.keys import Partition
from prism_redis.records import identity_of, live_records, moment, registration, target_page_of
from prism_redis.scripts import script
from prism_redis.servers import Servers
from prism_redis.terms import Keys, Stretch, Where
from prism_redis.wire import Command, Reply

LOOK: Final = script("look", "partition", "registrations")

Member = bytes
"""An entry of the order, or of an index: value (of an index), identity, registration id, address."""


@dataclass(frozen=True, slots=True)
class Look:
    """Where a partition stands. `revision` is that of the latest write; `stored` counts the expired as well."""

    version: bytes
    revision: int
    stored: int
    expired: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Records as of one moment, in the order asked; None for what isn't stored. `now` by the server's clock."""

    now: int
    identities: Sequence[bytes]
    heads: list[bytes | None]
    expiries: list[bytes | None]
    terms: list[bytes | None]
    documents: list[bytes | None]

    def records(self, positions: Sequence[int] | None = None) -> RecordPage:
        """The live ones of some positions, or of all. Needs the metadata."""
        if positions is None:
            return live_records(self.identities, self.heads, self.documents, self.expiries, self.now)
        return live_records(
            [self.identities[i] for i in positions],
            [self.heads[i] for i in positions],
            [self.documents[i] for i in positions],
            [self.expiries[i] for i in positions],
            self.now,
        )

    def targets(self, positions: Sequence[int]) -> TargetPage:
        """The targets of some positions, which are live."""
        return target_page_of([self.identities[i] for i in positions], [self.heads[i] or b"" for i in positions])

    def is_live(self, i: int) -> bool:
        """Whether a record is there and hasn't expired."""
        if self.heads[i] is None:
            return False
        expiry = self.expiries[i]
        return expiry is None or (moment(expiry) or 0) > self.now


class Reader:
    """One partition, to be read by one scan.

    Its first look raises FieldsChanged where the indexed fields aren't those that the scan was planned with.
    """

    def __init__(self, servers: Servers, where: Partition, fields: Fields) -> None:
        self._servers = servers
        self._where = where
        self.fields = fields
        self._verified = not fields.version

    def key(self, where: Where) -> bytes | None:
        """The sorted set that a field's stretches are in; None where the field has no complete index."""
        if where.keys is None:
            return self._where.tag + b":r:order"
        if where.keys not in self.fields.ready:
            return None
        return self._where.tag + b":r:index:%d" % self.fields.number(where.keys)

    def has(self, keys: set[Keys]) -> bool:
        """Whether all these fields have complete indexes."""
        return keys <= self.fields.ready

    async def look(self) -> Look:
        """Where the partition stands now."""
        return (await self._looking([]))[0]

    async def page(self, key: bytes, stretch: Stretch, size: int) -> tuple[Look, list[Member]]:
        """Where the partition stood, and then up to `size` entries of a stretch, in order."""
        look, [members] = await self._looking([_range(key, stretch, size)])
        return look, members

    async def sizes(self, asked: Sequence[tuple[bytes, Stretch]]) -> list[int]:
        """How many entries each stretch has, the expired included."""
        commands: list[Command] = [("ZLEXCOUNT", key, *_bounds(key, stretch)) for key, stretch in asked]
        return (await self._looking(commands))[1]

    async def entries(self, asked: Sequence[tuple[bytes, Stretch]]) -> list[list[Member]]:
        """All entries of stretches as of one moment: a record that moves from one to another is in one of them."""
        commands = [_range(key, stretch, -1) for key, stretch in asked]
        replies = await self._servers.call(
            self._where.slot, [("MULTI",), *commands, ("EXEC",)], harmless=True, atomic=True
        )
        for reply in [*replies, *(replies[-1] if isinstance(replies[-1], list) else [])]:
            raise_errors(reply)
        found: list[list[Member]] = replies[-1]
        return found

    async def expired(self, identities: Sequence[bytes]) -> set[bytes]:
        """Those of some stored identities that have expired."""
        base = self._where.tag
        [time, scores] = await self._call([("TIME",), ("ZMSCORE", base + b":r:expiry", *identities)])
        now = int(time[0]) * 1_000_000 + int(time[1])
        return {
            identity
            for identity, score in zip(identities, scores, strict=True)
            if score is not None and (moment(score) or 0) <= now
        }

    async def snapshot(self, identities: Sequence[bytes], *, terms: bool = False, documents: bool = False) -> Snapshot:
        """Heads and expiries of records, and on demand the encoded values of their fields, and metadata."""
        base, names = self._where.tag, tuple(identities)
        commands: list[Command] = [
            ("MULTI",),
            ("TIME",),
            ("HMGET", base + b":r:heads", *names),
            ("ZMSCORE", base + b":r:expiry", *names),
        ]
        if terms:
            commands.append(("HMGET", base + b":r:terms", *names))
        if documents:
            commands.append(("HMGET", base + b":r:docs", *names))
        replies = await self._servers.call(self._where.slot, [*commands, ("EXEC",)], harmless=True, atomic=True)
        for reply in [*replies, *(replies[-1] if isinstance(replies[-1], list) else [])]:
            raise_errors(reply)
        time, heads, expiries, *more = replies[-1]
        none: list[bytes | None] = [None] * len(names)
        return Snapshot(
            int(time[0]) * 1_000_000 + int(time[1]),
            identities,
            heads,
            expiries,
            more.pop(0) if terms else none,
            more.pop(0) if documents else none,
        )

    async def _looking(self, commands: list[Command]) -> tuple[Look, list[Reply]]:
        """Looks where the partition stands and then does the rest, in one round trip."""
        code, where = LOOK, self._where
        first: Command = ("EVALSHA", code.digest, 1, where.tag)
        replies = await self._servers.call(where.slot, [first, *commands], harmless=True)
        if getattr(replies[0], "code", "") == "NOSCRIPT":
            first = ("EVAL", code.body, 1, where.tag)
            replies = await self._servers.call(where.slot, [first, *commands], harmless=True)
        for reply in replies:
            raise_errors(reply)
        version, revision, stored, expired = replies[0]
        if not self._verified and self.fields.version != version:
            raise FieldsChanged
        self._verified = True
        return Look(version, int(revision), stored, expired), replies[1:]

    async def _call(self, commands: Sequence[Command]) -> list[Reply]:
        if not commands:
            return []
        replies = await self._servers.call(self._where.slot, commands, harmless=True)
        for reply in replies:
            raise_errors(reply)
        return replies


async def fetch_registrations(
    servers: Servers, where: Partition, identities: Sequence[bytes]
) -> list[Registration | None]:
    """The live registrations of one partition as of one moment."""
    reader = Reader(servers, where, Fields(b"", (), {}, frozenset()))
    shot = await reader.snapshot(identities, documents=True)
    return [registration_at(shot, i, identity) for i, identity in enumerate(identities)]


def registration_at(shot: Snapshot, i: int, identity: bytes) -> Registration | None:
    """A record of a snapshot as a registration, None unless it is live."""
    head, document = shot.heads[i], shot.documents[i]
    if head is None or document is None or not shot.is_live(i):
        return None
    return registration(identity.decode(), head, document, shot.expiries[i])


def after_identity(identity: bytes) -> bytes:
    """The start of the order's entries past an identity: its own go on with 00, all later ones are above 01."""
    return identity + b"\x01"


def identities_of(members: Sequence[Member]) -> list[bytes]:
    """The identities of entries."""
    return [identity_of(member) for member in members]


def _range(key: bytes, stretch: Stretch, size: int) -> Command:
    return ("ZRANGEBYLEX", key, *_bounds(key, stretch), "LIMIT", 0, size)


def _bounds(key: bytes, stretch: Stretch) -> tuple[bytes, bytes]:
    """Lexicographic bounds. In the order an identity's entries go on with 00, so a bound after it is 01."""
    low, high = stretch.low, stretch.high
    if key.endswith(b":r:order"):
        low = low[:-1] + b"\x01" if low.endswith(b"\x00") else low
        high = high[:-1] + b"\x01" if high.endswith(b"\x00") else high
    return b"[" + low, b"(" + high
