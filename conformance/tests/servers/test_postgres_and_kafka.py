"""PostgreSQL and Kafka: they work, and keep what they acknowledged."""

from __future__ import annotations

import os
import pwd
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from prism_conformance.servers.account import is_reachable_by_others
from prism_conformance.servers.errors import NotReady
from prism_conformance.servers.kafka_protocol import Kafka, _crc32c
from prism_conformance.servers.pg_protocol import Pg


def connect(port: int) -> Pg:
    return Pg(port, user="prism", database="postgres")


def test_postgres_is_the_pinned_version_and_trusts_its_superuser(postgres_server):
    with connect(postgres_server.port) as pg:
        assert pg.query("SHOW server_version; SELECT current_user") == [["18.6"], ["prism"]]
    assert postgres_server.url == f"postgresql://prism@127.0.0.1:{postgres_server.port}/postgres"


@pytest.mark.parametrize(("durable", "fsync"), [(False, "off"), (True, "on")])
def test_killed_postgres_keeps_its_commits(durable, fsync, start_server):
    server = start_server("postgres", durable=durable)
    with connect(server.port) as pg:
        assert pg.query("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1); SHOW fsync") == [[fsync]]
    server.kill()
    server.restart()
    with connect(server.port) as pg:
        assert pg.query("SELECT n FROM kept") == [["1"]]


def test_postgres_is_killed_and_paused_with_all_its_sessions(start_server):
    server = start_server("postgres")
    with ExitStack() as stack:
        busy = [stack.enter_context(connect(server.port)) for _ in range(3)]
        pids = [int(pg.query("SELECT pg_backend_pid()")[0][0]) for pg in busy]
        server.pause()
        deadline = time.monotonic() + 10
        while {state(pid) for pid in pids} != {"T"}:  # a running process stops when the kernel gets to it
            assert time.monotonic() < deadline
            os.sched_yield()
        server.kill()
        assert {state(pid) for pid in pids} <= {"", "Z"}
        server.restart()


def state(pid: int) -> str:
    """The letter that the kernel has for a process: T stopped, Z ended; "" where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def test_postgres_does_not_run_as_root(start_server):
    status = Path(f"/proc/{start_server('postgres').pid()}").stat()
    assert status.st_uid == (pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid())


def test_postgres_leaves_no_shared_memory_behind(start_server):
    def segments() -> set[str]:
        return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}

    server = start_server("postgres")
    pid = server.pid()
    owned = {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines() if f" {pid} " in line}
    assert owned
    server.stop()
    assert not owned & segments()


def test_port_without_postgres_is_refused():
    with pytest.raises(OSError, match="refused"):
        connect(1)


def test_refused_statement_names_the_reason(postgres_server):
    with connect(postgres_server.port) as pg, pytest.raises(NotReady, match='relation "nothing" does not exist'):
        pg.query("SELECT * FROM nothing")


def test_kafka_stores_records_and_comes_back_when_killed(start_server, eventually):
    server = start_server("kafka")

    def stored() -> bool:
        try:
            with Kafka(server.port) as kafka:
                kafka.produce("kept", b"record")
        except NotReady:
            return False  # a topic has no leader yet just after it was created, or its broker started
        return True

    with Kafka(server.port) as kafka:
        with pytest.raises(NotReady, match=r"could not create the topic: .* 17"):
            kafka.create_topic("not a topic's name")
        kafka.create_topic("kept")
    eventually(stored)
    server.kill()
    server.restart()
    eventually(stored)


def test_crc32c_is_the_castagnoli_one():
    assert _crc32c(b"123456789") == 0xE3069283


def test_folder_under_a_private_one_is_not_reachable_by_others(tmp_path):
    private = tmp_path / "private"
    (private / "inner").mkdir(parents=True)
    private.chmod(0o700)
    assert not is_reachable_by_others(private / "inner")
