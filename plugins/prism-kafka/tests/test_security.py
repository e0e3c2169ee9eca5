"""Login and encryption, on a broker that asks for them."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.admin import CreateAclsRequest_v1, CreateAclsResponse_v1
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactBytes, CompactString, Int8, Int16, Int32, Schema, TaggedFields
from prism.model.errors import InvalidConfig
from prism.slots.context import Code, SlotContext
from prism.slots.durability import Enqueued
from prism.slots.messaging import Publication, Published, Topic, TopicKind
from prism_conformance.servers import AsyncServer
from prism_kafka.config import KafkaConfig
from prism_kafka.durability import KafkaDurability
from prism_kafka.errors import classify
from prism_kafka.messaging import KafkaMessaging

from .conftest import Open, message

USER = {"username": "app", "password": "right"}
PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_app="right";'
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class AlteredScram(Response):
    """Kafka's AlterUserScramCredentials, which aiokafka doesn't have."""

    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class AlterScramStruct(RequestStruct):
    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = AlteredScram
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class AlterScram(Request[AlterScramStruct]):
    API_KEY = 51

    def __init__(self, user: str, password: str, mechanism: int) -> None:
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac({1: "sha256", 2: "sha512"}[mechanism], password.encode(), salt, 4096)
        self._row = (user, mechanism, 4096, salt, salted, {})

    def build(self, request_struct_class: type[AlterScramStruct]) -> AlterScramStruct:
        return request_struct_class([], [self._row], {})


class AllowStruct(RequestStruct):
    API_KEY = 30
    API_VERSION = 1
    RESPONSE_TYPE = CreateAclsResponse_v1
    SCHEMA = CreateAclsRequest_v1.SCHEMA


class Allow(Request[AllowStruct]):
    """Allows a user operations on all topics; aiokafka's own request for this can't be sent."""

    API_KEY = 30

    def __init__(self, user: str, operations: Mapping[str, int]) -> None:
        self._rows = [(2, "*", 3, f"User:{user}", "*", operation, 3) for operation in operations.values()]

    def build(self, request_struct_class: type[AllowStruct]) -> AllowStruct:
        return request_struct_class(self._rows)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate for 127.0.0.1 that signs itself; `both` holds it with its key, as the broker wants them."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -keyout {key} -out {cert}"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True, cwd=folder
    )
    both.write_text(key.read_text() + cert.read_text())
    return {"key": str(key), "cert": str(cert), "both": str(both)}


@pytest.fixture
async def ports(unused_tcp_port_factory: Any) -> dict[str, int]:
    return {name: unused_tcp_port_factory() for name in ("sasl", "sasl_ssl", "ssl")}


@pytest.fixture
async def server(certificates: dict[str, str], ports: dict[str, int]) -> AsyncIterator[AsyncServer]:
    """A broker with a listener of each kind beside its usual one."""
    listeners = {"SASL_PLAINTEXT": ports["sasl"], "SASL_SSL": ports["sasl_ssl"], "SSL": ports["ssl"]}
    secure = ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items())
    config = {
        "listeners": f"PLAINTEXT://127.0.0.1:{{client}},CONTROLLER://127.0.0.1:{{controller}},{secure}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{{client}},{secure}",
        "listener.security.protocol.map": ",".join(
            ["CONTROLLER:PLAINTEXT", *(f"{name}:{name}" for name in ("PLAINTEXT", *listeners))]
        ),
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": certificates["both"],
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": certificates["cert"],
        "listener.name.ssl.ssl.client.auth": "required",
    }
    for listener in ("sasl_plaintext", "sasl_ssl"):
        config[f"listener.name.{listener}.plain.sasl.jaas.config"] = PLAIN
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            config[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = SCRAM
    async with await AsyncServer.start("kafka", config=config) as server:
        client = AIOKafkaClient(bootstrap_servers=server.url)
        await client.bootstrap()
        for mechanism in (1, 2):
            answer = await client.send(client.get_random_node(), AlterScram("app", "right", mechanism))
            assert [code for _, code, *_ in answer.results] == [0], answer
        await client.close()
        yield server


async def works(opened: Open, config: dict[str, Any], namespace: str) -> None:
    """Stores, takes and publishes."""
    queues = await opened(KafkaDurability, config, namespace)
    await queues.create(["alice"])
    assert await queues.enqueue(message("m1"), ["alice"]) == [Enqueued()]
    assert len(await queues.dequeue(["alice"], 1, 1_000_000)) == 1
    topics = await opened(KafkaMessaging, config, namespace)
    assert await topics.publish(Publication(b"x"), [Topic(TopicKind.IDENTITY, "alice")]) == [Published()]


async def refused(config: dict[str, Any], text: str) -> None:
    """Opening fails as a mistake in the configuration, and long before it would give up connecting."""
    slot = KafkaDurability(KafkaConfig(**config, connect_timeout=60.0), SlotContext("test"))
    with pytest.raises(Exception, match=text) as caught:
        await slot.open()
    await slot.close()
    assert classify(caught.value) is Code.INVALID_CONFIG or isinstance(caught.value, InvalidConfig)


async def test_login_and_encryption_work_and_mistakes_in_them_are_named(
    server: AsyncServer, opened: Open, certificates: dict[str, str], ports: dict[str, int]
) -> None:
    del server
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        plain = {"brokers": [f"127.0.0.1:{ports['sasl']}"], "sasl_mechanism": mechanism, "partitions": 1}
        await works(opened, plain | USER, mechanism)
        await refused(plain | {"username": "app", "password": "wrong"}, "(?i)authentication|credentials|invalid")
    tls = {"brokers": [f"127.0.0.1:{ports['sasl_ssl']}"], "sasl_mechanism": "SCRAM-SHA-512", "tls": True, **USER}
    await works(opened, tls | {"tls_ca": certificates["cert"], "partitions": 1}, "tls")
    await works(opened, tls | {"tls_verify": False, "partitions": 1}, "unverified")
    await refused(tls, "(?i)certificate")
    mutual = {"brokers": [f"127.0.0.1:{ports['ssl']}"], "tls": True, "tls_ca": certificates["cert"], "partitions": 1}
    ours = {"tls_cert": certificates["cert"], "tls_key": certificates["key"]}
    await works(opened, mutual | ours, "mutual")


async def test_user_who_may_not_read_is_refused(unused_tcp_port: int) -> None:
    listener = f"SASL_PLAINTEXT://127.0.0.1:{unused_tcp_port}"
    config = {
        "listeners": f"PLAINTEXT://127.0.0.1:{{client}},CONTROLLER://127.0.0.1:{{controller}},{listener}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{{client}},{listener}",
        "listener.security.protocol.map": ",".join(
            f"{name}:{kind}"
            for name, kind in [("CONTROLLER", "PLAINTEXT"), *[(k, k) for k in ("PLAINTEXT", "SASL_PLAINTEXT")]]
        ),
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": PLAIN,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    operations = {"WRITE": 4, "CREATE": 5, "DESCRIBE": 8, "DESCRIBE_CONFIGS": 10}
    async with await AsyncServer.start("kafka", config=config) as server:
        client = AIOKafkaClient(bootstrap_servers=server.url)
        await client.bootstrap()
        await client.send(client.get_random_node(), Allow("app", operations))
        await client.close()
        options = KafkaConfig(brokers=[f"127.0.0.1:{unused_tcp_port}"], sasl_mechanism="PLAIN", **USER)
        for kind in (KafkaDurability, KafkaMessaging):
            slot = kind(options, SlotContext("test"))
            with pytest.raises(TopicAuthorizationFailedError) as caught:
                await slot.open()
            assert slot.classify(caught.value) is Code.INVALID_CONFIG
            await slot.close()


async def test_certificate_that_cannot_be_read_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("not a certificate")
    for path in (broken, tmp_path / "missing.pem"):
        await refused({"tls": True, "tls_ca": str(path)}, f"tls: the certificates .*{path.name}.* can't be used")
