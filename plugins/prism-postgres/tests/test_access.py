"""Encrypted connections, and a role that may do no more than it must."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from prism.model.audit import AuditQuery
from prism.slots.context import SlotContext
from prism.slots.registry import Absent, Deleted, Fence, Renewal, Renewed, Stored, Write
from prism_conformance.servers import AsyncServer, Server, shared
from prism_postgres.config import PostgresConfig
from prism_postgres.errors import NoConnection
from prism_postgres.registry import PostgresRegistry

from .conftest import Open, config_of

RIGHTS = """
    CREATE ROLE proxy LOGIN;
    GRANT USAGE ON SCHEMA {schema} TO proxy;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO proxy;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO proxy;
    GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO proxy;
"""


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


async def test_role_that_owns_nothing_can_serve(opened: Open) -> None:
    async with await AsyncServer.start("postgres") as server:
        admin = await asyncpg.connect(server.url)
        config = config_of(server.server)
        await PostgresRegistry(PostgresConfig(**config), SlotContext("test", audit=True)).migrate(prune=False)
        await admin.execute(RIGHTS.format(schema=config["schema"]))
        for table in await admin.fetch("SELECT tablename AS name FROM pg_tables WHERE tablename ~ '^audit_2'"):
            await admin.execute(f"DROP TABLE {config['schema']}.{table['name']}")
        url = server.url.replace("prism@", "proxy@")
        proxy = await opened(PostgresRegistry, {**config, "connection": url, "auto_migrate": False}, audit=True)
        [stored] = await proxy.set([Write("alice", b"{}", "r1", 10**9, Absent())])
        assert isinstance(stored, Stored)
        assert isinstance((await proxy.expire([Renewal("alice", "r1", 10**9)]))[0], Renewed)
        assert await proxy.pop_expired(10) == []
        assert isinstance((await proxy.delete([Fence("alice")]))[0], Deleted)
        # Without the right to make partitions, its entries are in the default one.
        assert len(await proxy.audit(AuditQuery())) == 2
        for change in ("DELETE FROM audit", "UPDATE audit SET actor = ''", "TRUNCATE audit", "DROP TABLE audit"):
            connection = await asyncpg.connect(url, server_settings={"search_path": config["schema"]})
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(change)
            await connection.close()
        await admin.close()
        await proxy.close()
