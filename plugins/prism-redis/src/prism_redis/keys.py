"""Where things are in Redis: partitions, hash tags and names (design section 7, Scale).

All keys of one partition begin with its hash tag, `{prefix:namespace/number}`, so a cluster keeps them on one
node. The namespace is percent-encoded: no namespace's keys can be those of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote
from zlib import crc32

from redis.crc import key_slot


@dataclass(frozen=True, slots=True)
class Partition:
    """One part of a namespace. `tag` is what its keys begin with, `slot` the cluster slot that they are in."""

    number: int
    tag: bytes
    slot: int


def partitions(prefix: str, namespace: str, count: int) -> tuple[Partition, ...]:
    """The partitions of a namespace."""
    tags = [f"{{{prefix}:{quote(namespace, safe='')}/{number}}}".encode() for number in range(count)]
    return tuple(Partition(number, tag, key_slot(tag)) for number, tag in enumerate(tags))


def number_of(name: str, count: int) -> int:
    """The partition that an identity, queue or topic is in: CRC-32 of its UTF-8, modulo the number of partitions."""
    return crc32(name.encode()) % count if count > 1 else 0


def grouped(names: Sequence[str], count: int) -> dict[int, Sequence[int]]:
    """The positions of the names of each partition, ascending; partitions without any are left out."""
    if not names:
        return {}
    if count == 1:
        return {0: range(len(names))}
    groups: dict[int, list[int]] = {}
    for position, name in enumerate(names):
        groups.setdefault(crc32(name.encode()) % count, []).append(position)
    return dict(sorted(groups.items()))
