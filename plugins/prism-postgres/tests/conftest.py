"""What the plugin's tests share: a real server, configurations for it, and opened slots."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
from prism.slots.context import Backend, SlotContext
from prism_conformance.servers import AsyncServer, Server, shared
from prism_postgres.config import PostgresConfig

Slot = TypeVar("Slot", bound=Backend)
Open = Callable[..., Awaitable[Any]]


def config_of(server: Server | None = None, **more: Any) -> dict[str, Any]:
    """The configuration for a server, the run's unless given, in a database schema that no other test has."""
    server = server or shared("postgres")
    schema = "t_" + re.sub(r"[^a-z0-9]+", "_", server.scope.lower())[-50:]
    return {"connection": server.url, "schema": schema, "auto_migrate": True, "pool_size": 5, **more}


@pytest.fixture
def config() -> dict[str, Any]:
    """A configuration for the run's server."""
    return config_of()


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """A function that opens a slot: `await opened(PostgresRegistry, config, indexes=...)`; closed after the test."""
    async with AsyncExitStack() as stack:

        async def open_slot(
            kind: Callable[[PostgresConfig, SlotContext], Slot],
            config: Mapping[str, Any],
            namespace: str = "test",
            **context: Any,
        ) -> Slot:
            slot = kind(PostgresConfig(**config), SlotContext(namespace, **context))
            stack.push_async_callback(slot.close)
            await slot.open()
            return slot

        yield open_slot


@pytest.fixture
async def bare(config: Mapping[str, Any]) -> AsyncIterator[asyncpg.Connection]:
    """asyncpg on the server of `config`, in its schema, without anything of ours."""
    connection = await asyncpg.connect(config["connection"], server_settings={"search_path": config["schema"]})
    yield connection
    await connection.close()


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    """A file system of 24 MB. Only root may make one."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "disk"
        folder.mkdir()
        Path(parent).chmod(0o755)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs", str(folder)], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)


async def on_disk(server: AsyncServer, disk: Path) -> Path:
    """Has tables that are made from now on lie on a disk. Removing the file that is returned makes room there."""
    admin = await asyncpg.connect(server.url)
    tables = disk / "tables"
    _hand_over(tables, Path(await admin.fetchval("SHOW data_directory")))
    reserve = disk / "reserve"
    reserve.write_bytes(bytes(4 * 1024 * 1024))
    await admin.execute(f"CREATE TABLESPACE tiny LOCATION '{tables}'")
    await admin.execute("ALTER SYSTEM SET default_tablespace = 'tiny'")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.close()
    return reserve


def _hand_over(folder: Path, like: Path) -> None:
    """Makes a folder that belongs to the owner of another."""
    folder.mkdir(mode=0o700)
    owner = like.stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
