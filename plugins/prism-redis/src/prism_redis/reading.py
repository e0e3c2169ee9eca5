"""Reading one partition: pages of the order and of the indexes, and records as of one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prism.filters.ast import Node
from prism.model.identity import Registration
from prism.model.pages import RecordPage, TargetPage, at

from prism_redis.errors import raise_errors
from prism_redis.fields import Fields, FieldsChanged
from prism_redis.keys import Partition
from prism_redis.records import moment, record_page, target_page_of
from prism_redis.scripts import script
from prism_redis.servers import Servers
from prism_redis.terms import Stretch, Where, answerable
from prism_redis.wire import Command, Reply

LOOK: Final = script("look", "partition", "registrations")

Member = bytes
"""An entry of the order, or of an index: value (of an index), identity, registration id, address."""


@dataclass(frozen=True, slots=True)
class Look:
    """Where a partition stands. `revision` is that of the latest write; `stored` counts the expired as well.

    `now` is the server's clock, in microseconds.
    """

    version: bytes
    revision: int
    stored: int
    expired: int
    now: int

    @classmethod
    def of(cls, reply: Sequence[Reply]) -> Look:
        """What the script answered."""
        version, revision, stored, expired, now = reply
        return cls(version, int(revision), stored, expired, int(now))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Records as of one moment, in the order asked; None for what isn't stored."""

    look: Look
    identities: Sequence[bytes]
    heads: list[bytes | None]
    expiries: list[bytes | None]
    terms: list[bytes | None]
    documents: list[bytes | None]

    def live(self) -> list[int]:
        """The positions of records that are there and haven't expired."""
        if not self.look.expired:  # nobody has, as nearly always
            return [i for i, head in enumerate(self.heads) if head is not None]
        return [i for i in range(len(self.heads)) if self.is_live(i)]

    def is_live(self, i: int) -> bool:
        """Whether a record is there and hasn't expired."""
        if self.heads[i] is None:
            return False
        expiry = self.expiries[i]
        return expiry is None or (moment(expiry) or 0) > self.look.now

    def records(self, positions: Sequence[int]) -> RecordPage:
        """The registrations at some positions, which are live. Needs the metadata."""
        return record_page(
            at(self.identities, positions),
            at(self.heads, positions),  # type: ignore[arg-type]
            at(self.documents, positions),  # type: ignore[arg-type]
            at(self.expiries, positions),
        )

    def targets(self, positions: Sequence[int]) -> TargetPage:
        """The targets at some positions, which are live."""
        return target_page_of(at(self.identities, positions), at(self.heads, positions))  # type: ignore[arg-type]


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

    def answers(self, node: Node) -> bool:
        """Whether complete indexes decide a part of a filter."""
        return answerable(node, self.fields.ready)

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

    async def documents(self, identities: Sequence[bytes]) -> tuple[Look, list[bytes | None]]:
        """Where the partition stands, and the metadata of records as of that moment."""
        command: Command = ("HMGET", self._where.tag + b":r:docs", *identities)
        look, [documents] = await self._looking([command], at_once=True)
        return look, documents

    async def snapshot(self, identities: Sequence[bytes], *, terms: bool = False, documents: bool = False) -> Snapshot:
        """Heads and expiries of records, and on demand the encoded values of their fields, and metadata."""
        base, names = self._where.tag, tuple(identities)
        commands: list[Command] = [
            ("HMGET", base + b":r:heads", *names),
            ("ZMSCORE", base + b":r:expiry", *names),
        ]
        if terms:
            commands.append(("HMGET", base + b":r:terms", *names))
        if documents:
            commands.append(("HMGET", base + b":r:docs", *names))
        look, (heads, expiries, *more) = await self._looking(commands, at_once=True)
        none: list[bytes | None] = [None] * len(names)
        their_terms = more.pop(0) if terms else none
        their_documents = more.pop(0) if documents else none
        if documents and None in their_documents:  # a record without metadata is none: the server let it go
            heads = [head if text is not None else None for head, text in zip(heads, their_documents, strict=True)]
        return Snapshot(look, identities, heads, expiries, their_terms, their_documents)

    async def _looking(self, commands: list[Command], *, at_once: bool = False) -> tuple[Look, list[Reply]]:
        """Looks where the partition stands and then does the rest, in one round trip.

        `at_once` makes it one transaction: what is read is as of the moment of the look.
        """
        replies = await self._after(("EVALSHA", LOOK.digest, 1, self._where.tag), commands, at_once=at_once)
        if getattr(replies[0], "code", "") == "NOSCRIPT":
            replies = await self._after(("EVAL", LOOK.body, 1, self._where.tag), commands, at_once=at_once)
        for reply in replies:
            raise_errors(reply)
        look = Look.of(replies[0])
        if not self._verified and self.fields.version != look.version:
            raise FieldsChanged
        self._verified = True
        return look, replies[1:]

    async def _after(self, first: Command, commands: list[Command], *, at_once: bool) -> list[Reply]:
        slot = self._where.slot
        if not at_once:
            return await self._servers.call(slot, [first, *commands], harmless=True)
        whole = [("MULTI",), first, *commands, ("EXEC",)]
        replies = await self._servers.call(slot, whole, harmless=True, atomic=True)
        for reply in replies:
            raise_errors(reply)
        answers: list[Reply] = replies[-1]
        return answers

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
    found: list[Registration | None] = [None] * len(identities)
    live = shot.live()
    for i, registration in zip(live, shot.records(live).registrations(), strict=True):
        found[i] = registration
    return found


def after_identity(identity: bytes) -> bytes:
    """The start of the order's entries past an identity: its own go on with 00, all later ones are above 01."""
    return identity + b"\x01"


def identities_of(members: Sequence[Member], start: int | None = None) -> list[bytes]:
    """The identities of entries. `start` is the length of their value, if it's the same for all; 0 for the order."""
    if start == 0:
        parts = b"\0".join(members).split(b"\0")
        if len(parts) == 3 * len(members):
            return parts[::3]
    return [member.rsplit(b"\0", 3)[-3] for member in members]


def _range(key: bytes, stretch: Stretch, size: int) -> Command:
    return ("ZRANGEBYLEX", key, *_bounds(key, stretch), "LIMIT", 0, size)


def _bounds(key: bytes, stretch: Stretch) -> tuple[bytes, bytes]:
    """Lexicographic bounds. In the order an identity's entries go on with 00, so a bound after it is 01."""
    low, high = stretch.low, stretch.high
    if key.endswith(b":r:order"):
        low = low[:-1] + b"\x01" if low.endswith(b"\x00") else low
        high = high[:-1] + b"\x01" if high.endswith(b"\x00") else high
    return b"[" + low, b"(" + high
