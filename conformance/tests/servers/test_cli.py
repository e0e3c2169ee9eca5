"""`python -m prism_conformance.servers`."""

from __future__ import annotations

import signal

import pytest
from prism_conformance.servers import KINDS
from prism_conformance.servers.__main__ import main
from prism_conformance.servers.resp import Resp

CLI = "import runpy, sys; runpy.run_module('prism_conformance.servers', run_name='__main__')"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_start_prints_the_url_and_runs_until_interrupted(number, python):
    process = python(CLI, "start", "valkey", "--set", "maxmemory=50mb")
    url = process.stdout.readline().strip()
    port = int(url.rpartition(":")[2])
    with Resp(port) as redis:
        assert redis.call("CONFIG", "GET", "maxmemory") == ["maxmemory", str(50 * 2**20)]
    process.send_signal(number)
    assert process.wait(timeout=20) == 0
    with pytest.raises(ConnectionRefusedError):
        Resp(port)


def test_list_names_every_kind(capsys):
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert all(kind in said for kind in KINDS)


def test_install_prints_where_the_program_is(capsys):
    assert main(["install", "valkey"]) == 0
    assert "valkey-server" in capsys.readouterr().out


def test_unknown_kind_is_refused_on_the_error_stream(capsys):
    assert main(["start", "postgers"]) == 1
    assert "no such server" in capsys.readouterr().err


def test_entry_without_a_value_is_refused(capsys):
    assert main(["start", "valkey", "--set", "maxmemory"]) == 1
    assert "write KEY=VALUE" in capsys.readouterr().err
