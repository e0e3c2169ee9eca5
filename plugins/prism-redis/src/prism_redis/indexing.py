"""Building the index of a field that was added to a namespace with data."""

from __future__ import annotations

from typing import Final

import orjson

from prism_redis.errors import raise_errors
from prism_redis.fields import Fields, ensure, mark_ready
from prism_redis.keys import Partition
from prism_redis.reading import Reader, after_identity, identities_of
from prism_redis.scripts import run, script
from prism_redis.servers import Servers
from prism_redis.terms import Keys, Stretch, Where, read_terms, write_terms
from prism_redis.wire import Arg

BUILD: Final = script("build_field", "partition", "registrations")
PAGE: Final = 100
_ORDER: Final = Where(None, ())


async def build(servers: Servers, where: Partition, building: list[tuple[Keys, int]], wanted: list[Keys]) -> Fields:
    """Files every record under the fields, and says that they are ready. Several may do it at a time.

    Whoever writes meanwhile files under these fields already: they were added before this began. When it is
    interrupted, the next one to open the namespace starts again.
    """
    reader = Reader(servers, where, Fields(b"", (), {}, frozenset()))
    key = reader.key(_ORDER)
    assert key is not None
    start = b""
    while True:
        _, members = await reader.page(key, Stretch(start, b"\xff"), PAGE)
        identities = identities_of(members)
        if not identities:
            break
        shot = await reader.snapshot(identities, documents=True)
        calls: list[list[Arg]] = []
        for keys, number in building:
            call: list[Arg] = [number]
            for identity, head, document in zip(identities, shot.heads, shot.documents, strict=True):
                if head is None or document is None:
                    continue
                blob = write_terms(orjson.loads(document), [(keys, number)])
                if blob:
                    call += (identity, head.split(b"\0")[3], read_terms(blob, {number: keys})[keys])
            if len(call) > 1:
                calls.append(call)
        if calls:
            for reply in await run(servers, where, BUILD, calls, harmless=True):
                raise_errors(reply)
        start = after_identity(identities[-1])
    for keys, number in building:
        await mark_ready(servers, where, keys, number)
    return await ensure(servers, where, wanted)
