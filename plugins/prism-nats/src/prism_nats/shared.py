"""Connections that slots of one process share: those with equal options, in one event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from prism_nats.config import NatsConfig
from prism_nats.link import Link


@dataclass(slots=True)
class _Lent:
    link: Link
    users: int = 0
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_open: bool = False


_lent: dict[tuple[asyncio.AbstractEventLoop, NatsConfig], _Lent] = {}


async def borrow(config: NatsConfig) -> Link:
    """An open connection with these options; give it back by `give_back`."""
    key = (asyncio.get_running_loop(), config)
    lent = _lent.get(key)
    if lent is None or (lent.is_open and lent.link.is_over):
        lent = _lent[key] = _Lent(Link(config))
    lent.users += 1
    try:
        async with lent.opening:
            if not lent.is_open:
                await lent.link.open()
                lent.is_open = True
    except BaseException:
        await _leave(key, lent)
        raise
    return lent.link


async def give_back(link: Link) -> None:
    """Ends the use of a borrowed connection; the last user closes it."""
    key = (asyncio.get_running_loop(), link.config)
    lent = _lent.get(key)
    if lent is not None and lent.link is link:
        await _leave(key, lent)
    elif link.is_over:  # another has taken its place
        await link.close()


async def _leave(key: tuple[asyncio.AbstractEventLoop, NatsConfig], lent: _Lent) -> None:
    lent.users -= 1
    if lent.users == 0:
        if _lent.get(key) is lent:
            del _lent[key]
        await lent.link.close()
