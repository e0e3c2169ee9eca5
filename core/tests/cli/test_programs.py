"""`prism` as a program: help, version, serve, plugins, completion, missing parts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prism._version import __version__
from prism.cli.exits import ExitCode

Cli = Callable[..., Any]

COMMANDS = (
    "demo", "serve", "plugins", "register", "ls", "get", "send", "attach", "unregister", "explain", "import", "export",
)  # fmt: skip


def program(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prism", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


def test_help_lists_every_command_and_exit_code(cli: Cli) -> None:
    shown = cli("--help")
    assert shown.code == 0
    assert [name for name in COMMANDS if re.search(rf"^  {name} ", shown.out, re.MULTILINE)] == list(COMMANDS)
    epilogue = " ".join(shown.out.split("Exit codes: ")[1].split())
    assert [code for code in ExitCode if not re.search(rf"\b{code.value} ", epilogue)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    shown = cli(command, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: prism {command}")


def test_version_is_shown(cli: Cli) -> None:
    assert cli("--version").out == f"prism {__version__}\n"


def test_unknown_command_is_a_usage_error(cli: Cli) -> None:
    assert cli("lsit").code == 2


def test_module_runs_as_a_program() -> None:
    assert program("--version").stdout == f"prism {__version__}\n"


def test_shell_completion_is_offered() -> None:
    shown = program("--show-completion", "bash")
    assert "_PRISM_COMPLETE" in shown.stdout + program("--show-completion").stdout


def test_missing_command_line_parts_are_named() -> None:
    code = "import sys; sys.modules['typer'] = None; from prism.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "pip install 'prism-multicast[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_loads_no_grpc() -> None:
    code = "import sys, prism.cli.app; print(sorted({'grpc', 'aiohttp', 'yaml', 'airportsdata'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_plugins_lists_what_memory_fills(cli: Cli) -> None:
    [memory] = [plugin for plugin in cli("plugins", "--json").json if plugin["type"] == "memory"]
    assert sorted(memory["slots"]) == ["durability", "messaging", "registry"]
    assert "ordered" in memory["slots"]["messaging"]["capabilities"]
    assert memory["error"] is None
    assert "memory" in cli("plugins").out


def test_broken_plugin_is_listed_with_its_error(tmp_path: Path) -> None:
    folder = tmp_path / "prism_broken-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: prism-broken\nVersion: 1.2\n")
    (folder / "entry_points.txt").write_text("[prism.backends.v1]\nbroken = prism_no_such_module\n")
    done = program("plugins", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0
    [line] = [line for line in done.stdout.splitlines() if line.startswith("broken")]
    assert "prism-broken 1.2" in line
    assert "prism_no_such_module" in done.stdout
    assert "memory" in done.stdout


def test_serve_says_where_it_listens_and_drains_on_sigterm() -> None:
    command = [sys.executable, "-m", "prism", "serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert re.search(r"gRPC on 127\.0\.0\.1:[1-9]\d+, HTTP on http://127\.0\.0\.1:[1-9]\d+", line)
    assert process.returncode == 0, err


def test_serve_on_a_port_in_use_says_how_to_choose_another(proxy_address: str) -> None:
    done = program("serve", "--listen", proxy_address, "--http", "off")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "--listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_reports_every_mistake_of_its_configuration(tmp_path: Path) -> None:
    config = tmp_path / "prism.yaml"
    config.write_text("namespaces:\n  - name: a\n    patern: x\nserver:\n  listen: nowhere\n")
    done = program("serve", "--config", str(config))
    assert done.returncode == 2
    assert "patern" in done.stderr
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_without_its_configuration_file_is_a_usage_error(tmp_path: Path) -> None:
    done = program("serve", "--config", str(tmp_path / "no-such.yaml"))
    assert done.returncode == 2
    assert "no-such.yaml" in done.stderr
