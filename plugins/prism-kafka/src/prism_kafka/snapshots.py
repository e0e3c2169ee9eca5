"""Snapshots in their topic: written in pieces, found again, and the records they replace removed.

A record holds one piece: a line of JSON (the claim's offset, who wrote it, which piece of how many), then the piece.
Each partition of the log has its snapshots in the partition of the same number.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import orjson
from aiokafka.errors import OffsetOutOfRangeError, for_code
from aiokafka.protocol.admin import DeleteRecordsRequest

from prism_kafka.fetching import BEGINNING, END, PIECE_BYTES, offsets, read
from prism_kafka.link import Link, answered, patiently
from prism_kafka.machine.commands import Malformed
from prism_kafka.machine.snapshot import restore
from prism_kafka.machine.state import State

logger = logging.getLogger(__name__)


async def write(link: Link, topic: str, partition: int, claim: tuple[int, str], parts: Sequence[bytes]) -> int:
    """Stores all pieces of a snapshot; the offset of the first. Raises aiokafka's errors or NoAnswer."""
    first = -1
    for i, part in enumerate(parts):
        head = orjson.dumps([*claim, i, len(parts)])
        stored = await link.store(topic, partition, head + b"\n" + part, key=str(claim[0]).encode())
        metadata = await answered(stored, link.config.request_timeout, "a piece of a snapshot")
        if i == 0:
            first = metadata.offset
    return first


async def load(link: Link, topic: str, partition: int) -> State:
    """The state of the newest whole snapshot, or an empty one. Raises aiokafka's errors.

    Reading begins anew where a newer snapshot has the one removed that is being read.
    """
    while True:
        try:
            return await _load(link, topic, partition)
        except OffsetOutOfRangeError:
            logger.info("snapshots of %s/%d were removed while they were read", topic, partition)


async def remove(link: Link, topic: str, partition: int, before: int) -> None:
    """Removes the records of a partition before an offset. Raises aiokafka's errors."""
    seconds = link.config.request_timeout

    async def call() -> None:
        request = DeleteRecordsRequest([(topic, [(partition, before)])], round(seconds * 1000))
        answer = await link.ask(topic, partition, request)
        for code in (code for _, partitions, *_ in answer.topics for _, _, code, *_ in partitions):
            if code:
                raise for_code(code)(f"partition {partition} of {topic}")

    await patiently(link, call)


async def _load(link: Link, topic: str, partition: int) -> State:
    start = (await offsets(link, topic, [partition], BEGINNING))[partition]
    end = (await offsets(link, topic, [partition], END))[partition]
    found: dict[tuple[int, str], dict[int, bytes]] = {}
    counts: dict[tuple[int, str], int] = {}
    while start < end:
        records, after = await read(link, topic, partition, start, PIECE_BYTES)
        for record in records:
            piece = _piece(record.value)
            if piece is not None:
                claim, number, pieces, part = piece
                found.setdefault(claim, {})[number] = part
                counts[claim] = pieces
        if after == start:
            break
        start = after
    for claim in sorted(found, reverse=True):
        parts = found[claim]
        if len(parts) == counts[claim]:
            try:
                return restore(parts[i] for i in range(len(parts)))
            except (Malformed, LookupError) as error:
                logger.error("the snapshot of %s/%d at %s is passed over: %s", topic, partition, claim, error)  # noqa: TRY400
    return State()


def _piece(value: bytes | None) -> tuple[tuple[int, str], int, int, bytes] | None:
    """A claim's offset and writer, the number of the piece and of all pieces, the piece; None for anything else."""
    head, found, part = (value or b"").partition(b"\n")
    try:
        fields: Any = orjson.loads(head)
        offset, writer, number, pieces = fields
    except (orjson.JSONDecodeError, TypeError, ValueError):
        return None
    whole = all(isinstance(number, int) for number in (offset, number, pieces)) and isinstance(writer, str)
    return ((offset, writer), number, pieces, part) if found and whole else None
