"""Clients of both kinds: over a real proxy in this process, and embedded."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prism import Client
from prism.config import load_config
from prism.server.app import OFF, Proxy
from support.clients import Events, OpenClient, embedded, remote


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture(params=["remote", "embedded"])
def open_client(request: pytest.FixtureRequest) -> OpenClient:
    return {"remote": remote, "embedded": embedded}[request.param]


@pytest.fixture
async def client(open_client: OpenClient) -> AsyncIterator[Client]:
    async with open_client() as client:
        yield client


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with Proxy(load_config(None), listen="127.0.0.1:0", http_listen=OFF) as proxy:
        yield proxy
