"""Server-side scripts: loaded from this package, called by their digest, sent in full where a server lacks them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from prism_redis.errors import ReplyError
from prism_redis.keys import Partition
from prism_redis.servers import Servers
from prism_redis.wire import Arg, Command, Reply


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script. Its one key is a partition's tag, from which it makes the names of the keys it uses."""

    body: bytes
    digest: str


@cache
def script(name: str, *preludes: str) -> Script:
    """The script of this name, after the preludes that it builds on."""
    folder = files("prism_redis") / "lua"
    body = b"\n".join((folder / f"{part}.lua").read_bytes() for part in (*preludes, name))
    return Script(body, hashlib.sha1(body, usedforsecurity=False).hexdigest())


async def run(
    servers: Servers, where: Partition, code: Script, calls: Sequence[Sequence[Arg]], *, harmless: bool = False
) -> list[Reply]:
    """Runs a script once for each list of arguments, in one round trip; the replies, ReplyErrors in their places.

    A server that lacks the script gets it with the first call, and the others again.
    """
    commands: list[Command] = [("EVALSHA", code.digest, 1, where.tag, *arguments) for arguments in calls]
    replies = await servers.call(where.slot, commands, harmless=harmless)
    missing = [i for i, reply in enumerate(replies) if isinstance(reply, ReplyError) and reply.code == "NOSCRIPT"]
    if missing:
        first, *rest = missing
        again: list[Command] = [("EVAL", code.body, 1, where.tag, *calls[first]), *(commands[i] for i in rest)]
        found = await servers.call(where.slot, again, harmless=harmless)
        for i, reply in zip(missing, found, strict=True):
            replies[i] = reply
    return replies
