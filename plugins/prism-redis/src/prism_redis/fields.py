"""Which metadata fields are indexed. The truth is in Redis: every writer files a record under all of them.

A proxy whose schema is older learns of a field by the version that its first write names in vain. A field that is
added to a namespace with data is `building` until every record is filed; until then no query relies on it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from prism_redis.errors import raise_errors
from prism_redis.keys import Partition
from prism_redis.scripts import run, script
from prism_redis.servers import Servers
from prism_redis.terms import Keys

ENSURE: Final = script("ensure_fields", "partition", "registrations")
READY: Final = script("field_ready", "partition", "registrations")


class FieldsChanged(Exception):
    """The indexed fields aren't those that were known."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The indexed fields of one partition at a version."""

    version: bytes
    numbers: tuple[tuple[Keys, int], ...]
    names: dict[int, Keys]
    ready: frozenset[Keys]

    def number(self, keys: Keys) -> int:
        """The number of a field that is indexed."""
        return next(number for known, number in self.numbers if known == keys)

    def building(self) -> list[tuple[Keys, int]]:
        """The fields whose indexes aren't complete."""
        return [(keys, number) for keys, number in self.numbers if keys not in self.ready]


async def ensure(servers: Servers, where: Partition, wanted: list[Keys]) -> Fields:
    """Makes sure that fields are indexed, from now on, and returns all that are."""
    paths = [_path(keys) for keys in wanted]
    [reply] = await run(servers, where, ENSURE, [paths], harmless=True)
    raise_errors(reply)
    version, _, described = reply
    numbers: list[tuple[Keys, int]] = []
    ready: set[Keys] = set()
    for path, description in zip(described[::2], described[1::2], strict=True):
        number, state = description.split()
        keys = tuple(json.loads(path))
        numbers.append((keys, int(number)))
        if state == b"ready":
            ready.add(keys)
    numbers.sort(key=lambda pair: pair[1])
    return Fields(version, tuple(numbers), {number: keys for keys, number in numbers}, frozenset(ready))


async def mark_ready(servers: Servers, where: Partition, keys: Keys, number: int) -> None:
    """Notes that every record is filed under a field."""
    [reply] = await run(servers, where, READY, [[_path(keys), number]], harmless=True)
    raise_errors(reply)


def _path(keys: Keys) -> str:
    return json.dumps(list(keys), ensure_ascii=False, separators=(",", ":"))
