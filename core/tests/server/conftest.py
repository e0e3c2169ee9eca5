"""A proxy on a port of its own, and stubs that are nothing but generated code."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from prism.config import load_config
from prism.server.app import OFF, Proxy
from prism.v1.registry_pb2_grpc import MulticastRegistryServiceStub


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with Proxy(load_config(None), listen="127.0.0.1:0", http_listen=OFF) as proxy:
        yield proxy


@pytest.fixture
async def channel(proxy: Proxy) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(proxy.address) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> MulticastRegistryServiceStub:
    return MulticastRegistryServiceStub(channel)
