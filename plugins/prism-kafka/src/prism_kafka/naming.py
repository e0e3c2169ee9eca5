"""What the topics of a namespace are called, and which partition a name belongs to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final
from zlib import crc32

LONGEST: Final = 249
"""Characters of a topic's name that Kafka allows."""

_PLAIN: Final = re.compile(r"[^A-Za-z0-9-]")
_DIGEST: Final = 32


class Part(StrEnum):
    """The topics of a namespace."""

    INBOX = "inbox"
    """Publications to proxies, keyed by address."""
    IDENTITY = "identity"
    """Publications to identities that registered without attaching, keyed by identity."""
    LOG = "log"
    """What was done to the queues, and the payloads in them."""
    SNAPSHOTS = "snapshots"
    """The state that the log has come to, so that its beginning can go."""
    REFUSED = "refused"
    """Records in the log or the snapshots that nobody of ours can have written."""


def topic_of(prefix: str, namespace: str, part: Part) -> str:
    """The topic's name: prefix, namespace, part.

    Characters of the namespace that a topic can't have are written `_hex_`, and so are dots and underscores, which
    Kafka takes for the same in names of metrics. One that is too long then is cut and ends in a digest.
    """
    name = _PLAIN.sub(lambda found: f"_{ord(found[0]):x}_", namespace)
    room = LONGEST - len(prefix) - 1 - max(map(len, Part))
    if len(name) > room:
        digest = hashlib.sha256(namespace.encode()).hexdigest()[:_DIGEST]
        name = f"{name[: room - _DIGEST - 2]}__{digest}"
    return f"{prefix}{name}.{part}"


def partition_of(name: str, partitions: int) -> int:
    """The partition of a queue, an identity or an inbox: CRC-32 of its UTF-8 modulo their number."""
    return crc32(name.encode()) % partitions


def by_partition(names: Iterable[str], partitions: int) -> dict[int, list[str]]:
    """Names by their partition, each in the order given."""
    found: dict[int, list[str]] = {}
    for name in names:
        partition = crc32(name.encode()) % partitions
        if partition in found:
            found[partition].append(name)
        else:
            found[partition] = [name]
    return found
