"""Encrypted connections, and a role that may do no more than it must."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from prism.model.audit import AuditQuery
from prism.model.errors import InvalidConfig, Unavailable
from prism.model.message import DeliverySemantics, Message
from prism.slots.context import Code, QueuePolicy, SlotContext
from prism.slots.durability import Enqueued, Settled
from prism.slots.messaging import Publication, Published, Topic, TopicKind
from prism.slots.registry import Absent, Deleted, Fence, Renewal, Renewed, Stored, Write
from prism_conformance.servers import AsyncServer, Server, shared
from prism_postgres.config import PostgresConfig
from prism_postgres.durability import PostgresDurability
from prism_postgres.errors import NoConnection
from prism_postgres.messaging import PostgresMessaging
from prism_postgres.registry import PostgresRegistry
from prism_postgres.sweeping import QueueSweep

from .conftest import Open, config_of

README = Path(__file__).parents[1] / "README.md"


def rights(schema: str) -> str:
    """The statements of the README that make a role for proxies."""
    [found] = re.findall(r"```sql\n(CREATE ROLE .*?)```", README.read_text("utf-8"), re.DOTALL)
    return found.replace("iot_registry", schema)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -keyout {key} -out {cert}"
    subprocess.run([*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return str(cert), str(key)


class TlsEdge:
    """Takes encrypted connections for a server that was built without TLS. `encrypted` counts them."""

    def __init__(self, server: Server, certificate: tuple[str, str]) -> None:
        self._server = server
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(*certificate)
        self.encrypted = 0
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TlsEdge]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as edge:
            port = edge.sockets[0].getsockname()[1]
            self.url = self._server.url.replace(f":{self._server.port}", f":{port}")
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up: asyncio.StreamWriter | None = None
        try:
            assert await reader.readexactly(8) == b"\0\0\0\x08\x04\xd2\x16\x2f"  # SSLRequest
            writer.write(b"S")
            await writer.start_tls(self._context)
            self.encrypted += 1
            answers, up = await asyncio.open_connection(self._server.host, self._server.port)
            await asyncio.gather(self._pass(reader, up), self._pass(answers, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # a client that doesn't trust us hangs up
        finally:
            writer.close()
            if up is not None:
                up.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()


async def test_connections_are_encrypted_and_certificates_checked(certificate: tuple[str, str], opened: Open) -> None:
    async with TlsEdge(shared("postgres"), certificate).running() as edge:
        config = config_of(connection=edge.url, tls=True)
        trusting = await opened(PostgresRegistry, {**config, "tls_ca": certificate[0]})
        await trusting.check()
        assert edge.encrypted == 1
        careless = await opened(PostgresRegistry, {**config, "tls_verify": False})
        await careless.check()
        assert edge.encrypted == 2
        stranger = PostgresRegistry(PostgresConfig(**config), SlotContext("test"))
        with pytest.raises(NoConnection, match=r"(?i)certificate") as caught:
            await stranger.open()
        assert stranger.classify(caught.value) == "invalid_config"
        await stranger.close()
        await trusting.close()
        await careless.close()


async def migrated(admin: asyncpg.Connection, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a proxy with its own role, on tables that somebody else made."""
    for kind in (PostgresRegistry, PostgresMessaging, PostgresDurability):
        await kind(PostgresConfig(**config), SlotContext("test", audit=True)).migrate(prune=False)
    await admin.execute(rights(config["schema"]))
    return {**config, "connection": config["connection"].replace("prism@", "prism_proxy@"), "auto_migrate": False}


async def test_role_that_owns_nothing_can_serve(opened: Open) -> None:
    async with await AsyncServer.start("postgres") as server:
        admin = await asyncpg.connect(server.url)
        config = config_of(server.server)
        proxys = await migrated(admin, config)
        for table in await admin.fetch("SELECT tablename AS name FROM pg_tables WHERE tablename ~ '^audit_2'"):
            await admin.execute(f"DROP TABLE {config['schema']}.{table['name']}")
        proxy = await opened(PostgresRegistry, proxys, audit=True)
        [stored] = await proxy.set([Write("alice", b"{}", "r1", 10**9, Absent())])
        assert isinstance(stored, Stored)
        assert isinstance((await proxy.expire([Renewal("alice", "r1", 10**9)]))[0], Renewed)
        assert await proxy.pop_expired(10) == []
        assert isinstance((await proxy.delete([Fence("alice")]))[0], Deleted)
        # Without the right to make partitions, its entries are in the default one.
        assert len(await proxy.audit(AuditQuery())) == 2
        for change in ("DELETE FROM audit", "UPDATE audit SET actor = ''", "TRUNCATE audit", "DROP TABLE audit"):
            connection = await asyncpg.connect(proxys["connection"], server_settings={"search_path": config["schema"]})
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(change)
            await connection.close()
        topic = Topic(TopicKind.INBOX, "proxy-1")
        messaging = await opened(PostgresMessaging, proxys)
        assert await messaging.publish(Publication(b"x" * 100_000), [topic]) == [Published()]
        await messaging.clean()
        queues = await opened(PostgresDurability, proxys, queues=QueuePolicy(max_messages=1, max_attempts=1))
        await queues.create(["q"])
        for name in ("m1", "m2"):
            text = Message(name, b"x", "text/plain", 1, DeliverySemantics.AT_LEAST_ONCE)
            assert await queues.enqueue(text, ["q"]) == [Enqueued()]
        [gap, lease] = await queues.dequeue(["q"], 10, 10**6)
        assert await queues.nack([gap, lease]) == [Settled(), Settled()]
        [dead] = await queues.dead_letters("q", 10)
        assert await queues.replay("q", [dead.message.id]) == 1
        await queues.delete(["q"], await queues.mark())
        await QueueSweep(queues.database, config["schema"], 1)()
        for slot in (proxy, messaging, queues):
            await slot.check()
            await slot.close()
        await admin.close()


@pytest.mark.parametrize(
    ("kind", "revoked", "lacks", "grant"),
    [
        (
            PostgresDurability,
            "SELECT ON ALL SEQUENCES IN SCHEMA {schema}",
            "SELECT on sequence queue_positions",
            "GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO prism_proxy;",
        ),
        (
            PostgresRegistry,
            "INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema}",
            "INSERT, UPDATE, DELETE on table audit, counters and 3 more",
            "GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO prism_proxy;",
        ),
        (
            PostgresMessaging,
            "USAGE ON SCHEMA {schema}",
            "USAGE on schema {schema}",
            "GRANT USAGE ON SCHEMA {schema} TO prism_proxy;",
        ),
        (
            PostgresRegistry,
            "EXECUTE ON FUNCTION {schema}.pop_expired FROM PUBLIC; REVOKE SELECT ON {schema}.migrations",
            "SELECT on table migrations, EXECUTE on function pop_expired",
            "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO prism_proxy; "
            "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO prism_proxy;",
        ),
    ],
)
async def test_missing_privilege_is_refused_at_the_start_and_makes_unready(
    opened: Open, kind: Any, revoked: str, lacks: str, grant: str
) -> None:
    async with await AsyncServer.start("postgres") as server:
        admin = await asyncpg.connect(server.url)
        config = config_of(server.server)
        schema = f'"{config["schema"]}"'
        proxys = await migrated(admin, config)
        serving = await opened(kind, proxys)
        await admin.execute(f"REVOKE {revoked.format(schema=schema)} FROM prism_proxy")
        said = re.escape(
            f"role prism_proxy lacks {lacks}; whoever owns the schema can mend that: {grant}".replace(
                "{schema}", schema
            )
        )
        with pytest.raises(Unavailable, match=f"^{said}$"):
            await serving.check()
        with pytest.raises(InvalidConfig, match=f"^connection: {said}$"):
            await opened(kind, proxys)
        await admin.execute(grant.format(schema=schema))
        await serving.check()
        await serving.close()
        await admin.close()


async def test_call_without_its_privilege_is_unavailable_and_migrating_needs_the_owner(opened: Open) -> None:
    async with await AsyncServer.start("postgres") as server:
        admin = await asyncpg.connect(server.url)
        config = config_of(server.server)
        proxys = await migrated(admin, config)
        serving = await opened(PostgresRegistry, proxys)
        await admin.execute(f'REVOKE INSERT ON ALL TABLES IN SCHEMA "{config["schema"]}" FROM prism_proxy')
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as caught:
            await serving.set([Write("alice", b"{}", "r1", None, Absent())])
        assert serving.classify(caught.value) is Code.UNAVAILABLE
        elsewhere = PostgresConfig(**{**proxys, "schema": "another"})
        with pytest.raises(
            InvalidConfig, match=r"permission denied for database .*; to migrate, connect as the owner of"
        ):
            await PostgresRegistry(elsewhere, SlotContext("test")).migrate(prune=False)
        # Who only looks needs no more than to read.
        looking = await opened(PostgresRegistry, proxys, looking=True)
        assert await looking.count(()) == 0
        await looking.close()
        await serving.close()
        await admin.close()
