"""The fixtures, in test runs of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest
from prism_conformance.servers.resp import Resp

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(6))
def test_shares(number, valkey_server, worker_id):
    with open({out!r}, "a") as out:
        out.write(f"{{valkey_server.port}} {{valkey_server.scope}} {{worker_id}}\\n")
"""


@pytest.fixture
def run_pytest(tmp_path, own_run_env):
    """Runs pytest on one module in an environment; returns what it printed."""

    def run(code: str, *arguments: str, **environment: str) -> str:
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        (tmp_path / "test_it.py").write_text(code)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "prism_servers", *arguments, str(tmp_path / "test_it.py")],
            env={**own_run_env, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},  # the others are slow to load
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        return done.stdout + done.stderr

    return run


def test_all_workers_share_one_server_and_each_test_has_its_own_scope(run_pytest, tmp_path):
    out = tmp_path / "out"
    said = run_pytest(TESTS.format(out=str(out)), "-p", "xdist", "-n", "2")
    assert "6 passed" in said
    rows = [line.split() for line in out.read_text().splitlines()]
    assert len({port for port, _, _ in rows}) == 1
    assert len({scope for _, scope, _ in rows}) == 6
    assert len({worker for _, _, worker in rows}) == 2


def test_missing_server_fails_the_test_and_says_what_to_do(run_pytest, tmp_path):
    code = "def test_needs_it(nats_server): pass\ndef test_other(): pass\n"
    said = run_pytest(code, PRISM_NATS_SERVER="/no/such/program")
    assert "1 passed, 1 error" in said
    assert "skipped" not in said
    assert "Correct it, or unset it to install 2.15.1" in said


def test_fixture_for_both_runs_the_test_on_redis_and_on_valkey(run_pytest):
    said = run_pytest("def test_both(redis_or_valkey_server): print('on', redis_or_valkey_server.kind)\n", "-s")
    assert "on redis" in said
    assert "on valkey" in said
    assert "2 passed" in said


def test_started_server_is_stopped_after_its_test(run_pytest):
    code = """

folders = []

def test_first(start_server):
    folders.append(start_server("valkey").nodes[0].log.parent)
    assert folders[0].exists()

def test_second():
    assert not folders[0].exists()
"""
    assert "2 passed" in run_pytest(code)


def test_run_without_servers_makes_no_folder_and_imports_nothing_heavy(run_pytest):
    code = """
import sys
from prism_conformance.servers.run import Run

def test_nothing():
    assert not Run.current().folder.exists()
    assert not {"prism", "grpc", "asyncio", "prism_conformance.servers.launch"} & set(sys.modules)
"""
    assert "1 passed" in run_pytest(code)


def test_fault_proxy_fixture_stands_in_front_of_a_server(valkey_server, fault_proxy):
    proxy = fault_proxy(valkey_server)
    with Resp(proxy.port) as redis:
        assert redis.call("PING") == "PONG"
    assert proxy.url(valkey_server.url) == f"redis://127.0.0.1:{proxy.port}"


def test_scopes_are_plain_names(valkey_server):
    assert valkey_server.scope.isidentifier()
    assert valkey_server.scope == valkey_server.scope.lower()


def test_plugin_is_registered_by_its_entry_point(pytestconfig):
    assert pytestconfig.pluginmanager.has_plugin("prism_servers")
