"""A run's servers are shared by its processes, and gone when it is, however it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from prism_conformance.servers.resp import Resp
from prism_conformance.servers.run import OWNER_VARIABLE, Run, SupervisorLease, started_at

HOLD = """
import json, sys
from prism_conformance.servers import Run, shared, start
server, run = start(sys.argv[1]), Run.current()
print(json.dumps({"pids": [server.pid(node=i) for i in range(len(server.nodes))], "shared": shared("valkey").port,
                  "folder": str(run.folder)}), flush=True)
sys.stdin.read()
"""

SHARE = """
import sys
from prism_conformance.servers import shared
sys.stdin.readline()
print(shared("valkey").port, flush=True)
"""

SUPERVISOR_PID = """
import os, sys
from prism_conformance.servers import start
server = start("valkey")
print(server.pid(), open(f"/proc/{server.pid()}/stat").read().rpartition(")")[2].split()[1], flush=True)
sys.stdin.readline()
try:
    start("valkey")
except Exception as error:
    print(type(error).__name__, flush=True)
"""


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("kind", ["redis", "postgres", "kafka"])
def test_run_killed_with_signal_9_leaves_no_server_and_no_folder(kind, python, wait_dead, eventually):
    process = python(HOLD, kind)
    held = json.loads(process.stdout.readline())
    process.kill()
    for pid in held["pids"]:
        wait_dead(pid)
    eventually(lambda: refuses(held["shared"]))
    eventually(lambda: not Path(held["folder"]).exists())


def test_run_that_ends_by_itself_leaves_nothing(python, eventually):
    process = python(HOLD, "valkey")
    held = json.loads(process.stdout.readline())
    process.communicate()
    assert process.returncode == 0
    assert all(not Path(f"/proc/{pid}").exists() for pid in held["pids"])
    assert refuses(held["shared"])
    assert not Path(held["folder"]).exists()


def test_paused_server_of_a_killed_run_ends_too(python, wait_dead):
    process = python(HOLD.replace("sys.stdin", "server.pause(); sys.stdin"), "valkey")
    held = json.loads(process.stdout.readline())
    process.kill()
    wait_dead(held["pids"][0])


def test_killed_supervisor_takes_its_servers_along_and_the_run_says_so(python, wait_dead):
    process = python(SUPERVISOR_PID)
    server, supervisor = (int(word) for word in process.stdout.readline().split())
    os.kill(supervisor, signal.SIGKILL)
    wait_dead(server)
    out, _ = process.communicate("\n", timeout=20)
    assert out == "SupervisorGone\n"


def test_parallel_processes_of_one_run_share_one_server(python):
    owner = {OWNER_VARIABLE: f"{os.getpid()}:{started_at(os.getpid())}"}
    processes = [python(SHARE, **owner) for _ in range(4)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    ports = {process.communicate(timeout=60)[0] for process in processes}
    assert len(ports) == 1
    with Resp(int(ports.pop())) as redis:  # it outlives the process that started it
        assert redis.call("PING") == "PONG"


def test_other_settings_make_another_shared_server(python):
    code = """
from prism_conformance.servers import shared
small = {"maxmemory": "9mb"}
servers = [shared("valkey"), shared("valkey", durable=True), shared("valkey", config=small), shared("valkey")]
print([len({s.port for s in servers}), len({s.scope for s in servers})])
"""
    assert python(code).communicate(timeout=30)[0] == "[3, 4]\n"


def test_run_can_begin_anew_after_it_was_closed(python):
    code = """
from prism_conformance.servers import Run, shared
from prism_conformance.servers.resp import Resp
shared("valkey")
Run.current().close()
with Resp(shared("valkey").port) as redis:
    print(redis.call("PING"))
"""
    assert python(code).communicate(timeout=30)[0] == "PONG\n"


def test_run_whose_owner_is_dead_is_not_joined(python):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    identity = f"{ended.pid}:{started_at(ended.pid)}"
    ended.wait()
    code = "import os; from prism_conformance.servers import Run; print(Run.current().pid == os.getpid())"
    assert python(code, **{OWNER_VARIABLE: identity}).communicate(timeout=30)[0] == "True\n"


def test_process_with_a_reused_number_is_not_taken_for_the_owner():
    assert not Run(os.getpid(), started_at(os.getpid()) + 1).is_alive()


def test_folder_of_a_run_that_was_killed_with_its_supervisor_is_swept(python, tmp_path):
    dead = tmp_path / f"prism-servers-{os.geteuid()}-{2**22 + 1}-1"  # above the largest process id
    dead.mkdir()
    code = "from prism_conformance.servers import start; start('valkey').stop()"
    assert python(code, TMPDIR=str(tmp_path)).communicate(timeout=30)[0] == ""
    assert not dead.exists()


def test_folder_name_longer_than_a_socket_may_have_works(python, tmp_path):
    long = tmp_path / ("x" * 150)
    long.mkdir()
    code = "from prism_conformance.servers import start; server = start('valkey'); server.stop(); print('stopped')"
    assert python(code, TMPDIR=str(long)).communicate(timeout=30)[0] == "stopped\n"


def test_supervisor_is_nobodys_child(python):
    code = """
import os
from prism_conformance.servers import shared
shared("valkey")
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child")
"""
    assert python(code).communicate(timeout=30)[0] == "no child\n"


def test_folder_that_others_may_write_is_refused(python, tmp_path):
    code = """
import os
from prism_conformance.servers import Run, ServerError, start
folder = Run.current().folder
folder.mkdir()
folder.chmod(0o777)
try:
    start("valkey")
except ServerError as error:
    print("mode 40777: remove it" in str(error))
"""
    assert python(code, TMPDIR=str(tmp_path)).communicate(timeout=30)[0] == "True\n"


def test_supervisor_refuses_what_it_does_not_know(lease: SupervisorLease):
    with pytest.raises(Exception, match="unknown operation 'dance'; use one of"):
        lease.request("dance")


def test_program_that_is_not_there_is_an_error_of_the_request(lease: SupervisorLease, tmp_path):
    with pytest.raises(Exception, match="spawn: FileNotFoundError"):
        lease.request("spawn", name="n", argv=["/no/such"], env={}, cwd=str(tmp_path), log=str(tmp_path / "log"))


def test_server_is_in_a_process_group_of_its_own(start_server):
    pid = start_server("valkey").pid()
    assert os.getpgid(pid) == pid != os.getpgrp()


@pytest.fixture
def lease():
    with Run.current().lease() as lease:
        yield lease
