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


@pytest.fixture(params=["one proxy", "two proxies"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Proxy, Proxy]]:
    """The sender's proxy and the receiver's: every delivery works the same whether they are one or two."""
    number = 1 if request.param == "one proxy" else 2
    async with opened_proxies(number) as proxies:
        yield proxies[0], proxies[-1]
