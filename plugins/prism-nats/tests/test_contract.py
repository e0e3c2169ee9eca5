"""The contract, held on a real server and on a cluster of three."""

from __future__ import annotations

import pytest
from prism_conformance import DurabilityContract, MessagingContract, Subject
from prism_conformance.servers import Server


class TestNatsMessaging(MessagingContract):
    @pytest.fixture
    def subject(self, nats_server: Server) -> Subject:
        return Subject("nats", {"servers": nats_server.url.split(","), "subject_prefix": nats_server.scope})


class TestNatsDurability(DurabilityContract):
    @pytest.fixture
    def subject(self, nats_server: Server) -> Subject:
        return Subject("nats", {"servers": nats_server.url.split(","), "subject_prefix": nats_server.scope})


class TestNatsClusterMessaging(MessagingContract):
    @pytest.fixture
    def subject(self, nats_cluster: Server) -> Subject:
        return Subject("nats", {"servers": nats_cluster.url.split(","), "subject_prefix": nats_cluster.scope})


class TestNatsClusterDurability(DurabilityContract):
    @pytest.fixture
    def subject(self, nats_cluster: Server) -> Subject:
        config = {
            "servers": nats_cluster.url.split(","),
            "subject_prefix": nats_cluster.scope,
            "stream": {"replicas": 3},
            "timeout": 15,
        }
        return Subject("nats", config)
