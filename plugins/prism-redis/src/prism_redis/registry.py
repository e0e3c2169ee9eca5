"""The registry slot: batches of writes by scripts, reads by pages, expiry by Redis's clock (design section 5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar

from prism.filters.ast import Node, Support
from prism.model.errors import InvalidConfig, PrismError, Unavailable, Violation
from prism.model.identity import Registration
from prism.slots.context import Failure
from prism.slots.optional import Explains
from prism.slots.registry import (
    DeleteOutcome,
    Fence,
    Projection,
    Query,
    RegistryBackend,
    Renewal,
    RenewOutcome,
    ScanPage,
    SetOutcome,
    Write,
)

from prism_redis.batches import Batch, chunked, is_error, repeats, through
from prism_redis.concurrency import together
from prism_redis.errors import failure, raise_errors
from prism_redis.fields import Fields, FieldsChanged, ensure
from prism_redis.indexing import build
from prism_redis.keys import Partition, grouped
from prism_redis.plugin import REGISTRY
from prism_redis.reading import Reader, fetch_registrations
from prism_redis.records import (
    bad_ttl,
    check,
    delete_outcome,
    fence_argument,
    registration,
    renew_outcome,
    set_outcome,
    write_arguments,
)
from prism_redis.scanning import Scan
from prism_redis.scripts import run, script
from prism_redis.slot import RedisSlot
from prism_redis.terms import Keys, answerable, fields_of, sources, write_terms
from prism_redis.wire import Arg, Reply

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

SET: Final = script("set", "partition", "registrations")
RENEW: Final = script("renew", "partition", "registrations")
DELETE: Final = script("delete", "partition", "registrations")
POP: Final = script("pop_expired", "partition", "registrations")

WRITES: Final = 100
"""Writes in one call of a script: well under a millisecond of the server's time."""
WRITE_BYTES: Final = 512 * 1024
RENEWALS: Final = 500
READS: Final = 500
POPS: Final = 100
_FIELD_CHANGES: Final = 5
"""How often in one call the indexed fields may change before it gives up."""


class RedisRegistry(RedisSlot, RegistryBackend, Explains):
    """Registrations in Redis.

    Every item is atomic in its partition. A chunk of a batch that fails (a node of a cluster is down) fails
    alone; where all do, the call raises.
    """

    spec = REGISTRY

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self._indexed: frozenset[Keys] = frozenset(field.keys for field in context.indexes)
        self._fields: dict[int, Fields] = {}
        self._learning = asyncio.Lock()

    async def open(self) -> None:
        """Connects, and builds the indexes that the schema asks for and the namespace hasn't yet."""
        await super().open()
        limit = self._context.limits.registrations
        if limit is not None and len(self._partitions) > 1:
            text = (
                f"{len(self._partitions)}, but a limit of {limit:,} registrations is exact only in one; set it to 1 "
                "under another key_prefix, or take the limit out"
            )
            raise InvalidConfig(f"partitions: {text}", violations=(Violation("partitions", text),))
        await together(map(self._learn_fields, self._partitions))

    def _default_partitions(self) -> int:
        return 1 if self._context.limits.registrations is not None else super()._default_partitions()

    async def set(self, writes: Sequence[Write]) -> list[SetOutcome]:
        """Stores registrations, 100 or 512 KiB of metadata at a time."""
        documents: list[Any] = []
        for write in writes:
            try:
                documents.append(check(write))
            except PrismError as error:
                documents.append(Failure(error))

        names = [write.identity for write in writes]
        good = [i for i, document in enumerate(documents) if document.__class__ is dict]
        outcomes: list[Any] = list(documents)
        batch = Batch(self._servers, SET, "store the registration", harmless=False)
        groups = grouped([names[i] for i in good], len(self._partitions))
        in_order = repeats(names)

        async def store(where: Partition, positions: Sequence[int]) -> None:
            left = _by_size([good[i] for i in positions], writes)
            for _ in range(_FIELD_CHANGES):
                answers = await through(
                    batch, where, left, lambda chunk: self._set_arguments(where, writes, documents, chunk),
                    in_order=in_order,
                )  # fmt: skip
                left = []
                for chunk, reply in answers:
                    if is_error(reply, "OLDFIELDS"):
                        left.append(chunk)
                    else:
                        _fill(outcomes, chunk, writes, reply, set_outcome, batch)
                if not left:
                    return
                await self._learn_fields(where)
            problem = failure(Unavailable("the indexed fields keep changing"), "store the registration")
            for chunk in left:
                for i in chunk:
                    outcomes[i] = problem

        await self._everywhere(store, groups)
        batch.finish()
        return outcomes

    async def get(self, identities: Sequence[str]) -> list[Registration | None]:
        """The live registrations, 500 at a time, each lot as of one moment."""
        found: list[Registration | None] = [None] * len(identities)

        async def read(where: Partition, positions: Sequence[int]) -> None:
            for chunk in chunked(positions, READS):
                names = [identities[i].encode() for i in chunk]
                for i, item in zip(chunk, await fetch_registrations(self._servers, where, names), strict=True):
                    found[i] = item

        await self._everywhere(read, grouped(identities, len(self._partitions)))
        return found

    def plan(self, conjuncts: Sequence[Node]) -> list[Support]:
        """EXACT for all: what no index decides is evaluated on the metadata, here and not in Redis."""
        return [Support.EXACT] * len(conjuncts)

    async def explain(self, query: Query) -> str:
        """Which indexes are asked, and whether metadata is read."""
        conjuncts = query.conjuncts
        indexed = [node for node in conjuncts if answerable(node, self._indexed)]
        asked = sorted({".".join(keys) for node in indexed if sources(node) is not None for keys in fields_of(node)})
        found = f"the smallest of the indexes of {', '.join(asked)}" if asked else "all identities, in order"
        if len(asked) == 1:
            found = f"the index of {asked[0]}"
        rest = len(conjuncts) - len(indexed)
        return found + (f"; {rest} of {len(conjuncts)} parts on the metadata, read by the proxy" if rest else "")

    async def scan(self, query: Query) -> AsyncIterator[ScanPage]:
        """The matching live records in pages; see `scanning`."""
        for _ in range(_FIELD_CHANGES):
            try:
                async with aclosing(Scan(self._readers(), query).pages()) as pages:
                    async for page in pages:
                        yield page
            except FieldsChanged:  # raised before the first page
                await together(map(self._learn_fields, self._partitions))
            else:
                return
        raise Unavailable("the indexed fields keep changing")

    async def count(self, conjuncts: Sequence[Node]) -> int:
        """How many live records match."""
        for _ in range(_FIELD_CHANGES):
            try:
                return await Scan(self._readers(), Query(tuple(conjuncts), projection=Projection.TARGETS)).count()
            except FieldsChanged:
                await together(map(self._learn_fields, self._partitions))
        raise Unavailable("the indexed fields keep changing")

    async def delete(self, fences: Sequence[Fence]) -> list[DeleteOutcome]:
        """Removes registrations with their index entries."""

        def arguments(chunk: Sequence[int]) -> list[Arg]:
            return [part for i in chunk for part in (fences[i].identity, fence_argument(fences[i].registration_id))]

        batch = Batch(self._servers, DELETE, "delete the registration", harmless=False)
        return await self._batch(batch, fences, WRITES, arguments, delete_outcome)

    async def expire(self, renewals: Sequence[Renewal]) -> list[RenewOutcome]:
        """Renews many in one go, 500 in one call of the script."""
        bad = {i for i, renewal in enumerate(renewals) if renewal.ttl is not None and renewal.ttl <= 0}
        good = [renewal for i, renewal in enumerate(renewals) if i not in bad]

        def arguments(chunk: Sequence[int]) -> list[Arg]:
            out: list[Arg] = []
            for i in chunk:
                renewal = good[i]
                ttl: Arg = b"" if renewal.ttl is None else renewal.ttl
                out += (renewal.identity, fence_argument(renewal.registration_id), ttl)
            return out

        batch = Batch(self._servers, RENEW, "renew the registration", harmless=True)
        renewed = iter(await self._batch(batch, good, RENEWALS, arguments, renew_outcome))
        return [Failure(bad_ttl(renewal.ttl or 0)) if i in bad else next(renewed) for i, renewal in enumerate(renewals)]

    async def pop_expired(self, limit: int) -> list[Registration]:
        """Removes expired registrations, 100 in one call of the script, and returns them."""
        popped: list[Registration] = []
        for where in self._partitions:
            while len(popped) < limit:
                wanted = min(POPS, limit - len(popped))
                [reply] = await run(self._servers, where, POP, [[wanted]])
                raise_errors(reply)
                if not reply:
                    break
                popped += [
                    registration(identity.decode(), head, document, expiry)
                    for identity, head, document, expiry in zip(*reply, strict=True)
                ]
                if len(reply[0]) < wanted:
                    break
        return popped

    async def _batch(
        self,
        batch: Batch,
        items: Sequence[Item],
        size: int,
        arguments: Callable[[Sequence[int]], Sequence[Arg]],
        outcome: Callable[[Item, Reply], Outcome],
    ) -> list[Any]:
        """Sends items that have an identity through a script, and makes an outcome of each answer."""
        names: list[str] = [item.identity for item in items]  # type: ignore[attr-defined]
        outcomes: list[Any] = [None] * len(items)
        in_order = repeats(names)

        async def send(where: Partition, positions: Sequence[int]) -> None:
            chunks = chunked(positions, size)
            for chunk, reply in await through(batch, where, chunks, arguments, in_order=in_order):
                _fill(outcomes, chunk, items, reply, outcome, batch)

        await self._everywhere(send, grouped(names, len(self._partitions)))
        batch.finish()
        return outcomes

    async def _everywhere(
        self, act: Callable[[Partition, Sequence[int]], Any], groups: dict[int, Sequence[int]]
    ) -> None:
        """Acts on the partitions of some positions, at the same time where there are several."""
        await together(act(self._partitions[number], positions) for number, positions in groups.items())

    async def _learn_fields(self, where: Partition) -> None:
        """Learns which fields are indexed, and has those of our schema indexed too."""
        async with self._learning:
            fields = await ensure(self._servers, where, sorted(self._indexed))
            self._fields[where.number] = fields
        building = [(keys, number) for keys, number in fields.building() if keys in self._indexed]
        if building:
            self._fields[where.number] = await build(self._servers, where, building, sorted(self._indexed))

    def _set_arguments(
        self, where: Partition, writes: Sequence[Write], documents: Sequence[Any], chunk: Sequence[int]
    ) -> list[Arg]:
        fields, limit = self._fields[where.number], self._context.limits.registrations
        out: list[Arg] = [fields.version, -1 if limit is None else limit]
        for i in chunk:
            out += write_arguments(writes[i], write_terms(documents[i], fields.numbers))
        return out

    def _readers(self) -> list[Reader]:
        return [Reader(self._servers, where, self._fields[where.number]) for where in self._partitions]


def _by_size(positions: Sequence[int], writes: Sequence[Write]) -> list[Sequence[int]]:
    """Chunks of writes, bounded in number and in bytes of metadata."""
    chunks: list[Sequence[int]] = []
    chunk: list[int] = []
    size = 0
    for i in positions:
        more = len(writes[i].metadata_json)
        if chunk and (len(chunk) >= WRITES or size + more > WRITE_BYTES):
            chunks.append(chunk)
            chunk, size = [], 0
        chunk.append(i)
        size += more
    return [*chunks, chunk] if chunk else chunks


def _fill(
    outcomes: list[Any],
    chunk: Sequence[int],
    items: Sequence[Item],
    reply: Reply | Exception,
    outcome: Callable[[Item, Reply], Outcome],
    batch: Batch,
) -> None:
    """Puts the outcomes of a chunk in their places."""
    if isinstance(reply, Exception):
        problem = batch.outcome(reply)
        for i in chunk:
            outcomes[i] = problem
        return
    for i, answer in zip(chunk, reply, strict=True):
        outcomes[i] = outcome(items[i], answer)
