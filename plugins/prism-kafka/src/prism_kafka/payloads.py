"""The payloads of messages: in memory as far as there is room, else read from the log again."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from aiokafka.errors import OffsetOutOfRangeError
from prism.model.message import Message

from prism_kafka.fetching import read
from prism_kafka.link import Link
from prism_kafka.machine.commands import Kind, Malformed, decode

logger = logging.getLogger(__name__)

OVERHEAD: Final = 400
"""Bytes that a message takes in memory beside its payload, about."""


class Payloads:
    """Messages by partition and offset of the record that brought them."""

    def __init__(self, link: Link, topic: str, room: int) -> None:
        self._link = link
        self._topic = topic
        self._room = room
        self._kept: OrderedDict[tuple[int, int], Message] = OrderedDict()
        self._bytes = 0
        self.fetched = 0
        """Messages that were read again."""

    def keep(self, partition: int, offset: int, message: Message) -> None:
        """Keeps a message while there is room; what wasn't asked for the longest goes first."""
        key = partition, offset
        if key in self._kept:
            self._kept.move_to_end(key)
            return
        self._kept[key] = message
        self._bytes += len(message.payload) + OVERHEAD
        while self._bytes > self._room:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone.payload) + OVERHEAD

    def forget(self, partition: int) -> None:
        """Keeps nothing of a partition, whose records are others now."""
        for key in [key for key in self._kept if key[0] == partition]:
            self._bytes -= len(self._kept.pop(key).payload) + OVERHEAD

    async def find(self, partition: int, offsets: Iterable[int]) -> dict[int, Message]:
        """The messages at offsets; one that is missing was removed from the log by hand.

        Raises aiokafka's errors.
        """
        found: dict[int, Message] = {}
        missing = []
        for offset in sorted(set(offsets)):
            message = self._kept.get((partition, offset))
            if message is None:
                missing.append(offset)
            else:
                self._kept.move_to_end((partition, offset))
                found[offset] = message
        while missing:
            found.update(await self._read(partition, missing))
            missing = [offset for offset in missing[1:] if offset not in found]
        return found

    async def _read(self, partition: int, wanted: list[int]) -> dict[int, Message]:
        """Those of some messages that stand close behind the first of them, which is always looked for."""
        try:
            records, _ = await read(self._link, self._topic, partition, wanted[0])
        except OffsetOutOfRangeError:
            records = []
        found: dict[int, Message] = {}
        asked = set(wanted)
        for record in records:
            if record.offset not in asked:
                continue
            try:
                command = decode(record.value)
            except Malformed:
                continue
            if command.kind is Kind.ENQUEUE:
                found[record.offset] = command.message()
                self.keep(partition, record.offset, found[record.offset])
                self.fetched += 1
        if wanted[0] not in found:
            logger.warning("the message at offset %d of %s/%d is gone", wanted[0], self._topic, partition)
        return found
