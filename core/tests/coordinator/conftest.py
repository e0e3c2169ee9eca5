"""Proxies for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.proxies import Proxy, TurnableClock, opened_proxies


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
async def proxy(clock: TurnableClock) -> AsyncIterator[Proxy]:
    async with opened_proxies(1, clock) as (proxy,):
        yield proxy
