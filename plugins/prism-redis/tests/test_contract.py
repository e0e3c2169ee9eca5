"""The contract, held on real servers: Redis, Valkey, and a cluster of three nodes.

On the cluster `make test` asks what spreading over partitions and nodes could break; `make soak` asks everything.
"""

from __future__ import annotations

import pytest
from prism_conformance import DurabilityContract, MessagingContract, RegistryContract, Subject

from .conftest import config_of


class OnServers:
    """Runs every check on each server."""

    @pytest.fixture(params=["redis", "valkey", "cluster"])
    def subject(self, request: pytest.FixtureRequest) -> Subject:
        return Subject("redis", config_of(request.param))


class TestRedisRegistry(OnServers, RegistryContract):
    pass


class TestRedisMessaging(OnServers, MessagingContract):
    pass


class TestRedisDurability(OnServers, DurabilityContract):
    pass
