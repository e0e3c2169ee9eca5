"""What the servers say of themselves: version, and whether what they acknowledge survives their restart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prism_redis.errors import ReplyError, raise_errors
from prism_redis.servers import Servers


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Of several servers, the oldest version, and the first reason why not all are durable (None: all are)."""

    version: tuple[int, int]
    why_not_durable: str | None


async def read_info(servers: Servers) -> ServerInfo:
    """Asks every server. What it won't tell (CONFIG is often forbidden) doesn't count as durable."""
    versions: list[tuple[int, int]] = []
    reasons: list[str] = []
    for info, fsync in await servers.each([("INFO",), ("CONFIG", "GET", "appendfsync")]):
        raise_errors(info)
        facts = dict(re.findall(r"^(\w+):(.*?)\r?$", info.decode(errors="replace"), re.MULTILINE))
        major, minor, *_ = (int(part) for part in re.findall(r"\d+", facts.get("redis_version", "0.0")))
        versions.append((major, minor))
        setting = None if isinstance(fsync, ReplyError) or len(fsync) < 2 else fsync[1].decode()
        reasons += _reasons(facts, setting)
    return ServerInfo(min(versions), reasons[0] if reasons else None)


def _reasons(facts: dict[str, str], fsync: str | None) -> list[str]:
    if facts.get("aof_enabled") != "1":
        return ["the server keeps no append-only file (appendonly is off)"]
    if facts.get("aof_last_write_status", "ok") != "ok":
        return ["the server's last write to its append-only file failed"]
    if fsync not in {"always", "everysec"}:
        said = "is not told to us" if fsync is None else f"is {fsync}"
        return [f"the server's appendfsync {said}; it must be everysec or always"]
    if facts.get("maxmemory", "0") != "0" and facts.get("maxmemory_policy") != "noeviction":
        return [f"the server evicts keys when memory is short ({facts.get('maxmemory_policy')})"]
    return []
