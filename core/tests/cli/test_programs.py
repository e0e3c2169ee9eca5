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
from prism.memory.registry import MemoryRegistry
from prism.model.errors import DeadlineExceeded, PrismError, Unavailable

Cli = Callable[..., Any]

COMMANDS = (
    "demo", "serve", "plugins", "register", "ls", "get", "send", "attach", "unregister", "explain", "import", "export",
    "check", "migrate", "audit", "dead-letters", "conformance",
)  # fmt: skip


def program(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs it as a shell does; the test process's own clients have set gRPC's verbosity for their children."""
    fresh = {name: value for name, value in (env or os.environ).items() if name != "GRPC_VERBOSITY"}
    command = [sys.executable, "-m", "prism", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=fresh)


def test_help_lists_every_command_and_exit_code(cli: Cli) -> None:
    shown = cli("--help")
    assert shown.code == 0
    assert [name for name in COMMANDS if re.search(rf"^  {name} ", shown.out, re.MULTILINE)] == list(COMMANDS)
    epilogue = " ".join(shown.out.split("Exit codes: ")[1].split())
    assert [code for code in ExitCode if not re.search(rf"\b{code.value} ", epilogue)] == []


def test_help_cuts_no_summary_off(cli: Cli) -> None:
    assert "..." not in cli("--help").out.split("Commands:")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    shown = cli(command, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: prism {command}")


def test_version_is_shown(cli: Cli) -> None:
    assert cli("--version").out == f"prism {__version__}\n"


def test_unknown_command_is_a_usage_error(cli: Cli) -> None:
    assert cli("lsit").code == 2


def test_text_that_the_output_cannot_encode_is_escaped(target: tuple[str, str]) -> None:
    address, namespace = target
    ascii_only = {
        **os.environ,
        "PYTHONIOENCODING": "ascii:strict",
        "PRISM_ADDRESS": address,
        "PRISM_NAMESPACE": namespace,
    }
    done = program("register", "z\u00fcrich", env=ascii_only)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("registered z\\xfcrich ")


def test_module_runs_as_a_program() -> None:
    assert program("--version").stdout == f"prism {__version__}\n"


def test_shell_completes_commands_and_options() -> None:
    asked = {**os.environ, "_PRISM_COMPLETE": "complete_bash", "COMP_CWORD": "1", "COMP_WORDS": "prism un"}
    assert program(env=asked).stdout.split() == ["unregister"]
    asked |= {"COMP_CWORD": "2", "COMP_WORDS": "prism ls --colu"}
    assert program(env=asked).stdout.split() == ["--columns"]


def test_missing_command_line_parts_are_named() -> None:
    code = "import sys; sys.modules['typer'] = None; from prism.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "pip install './core[server]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "module", "extra"), [("serve", "aiohttp", "server"), ("demo", "airportsdata", "cli")]
)
def test_missing_part_of_a_command_is_named_with_its_extra(command: str, module: str, extra: str) -> None:
    start = "from prism.cli import main; main()"
    code = f"import sys; sys.modules[{module!r}] = None; sys.argv[1:] = [{command!r}]; {start}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert module in done.stderr
    assert f"pip install './core[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_reader_that_leaves_early_gets_no_traceback(target: tuple[str, str], prism: Cli) -> None:
    address, namespace = target
    lines = b"".join(b'{"identity": "i-%d", "note": "%s"}\n' % (n, b"x" * 200) for n in range(2_000))
    assert prism("import", "-", stdin=lines).code == 0
    command = [sys.executable, "-m", "prism", "ls", "--json", "-a", address, "-n", namespace]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "[\n"
        process.stdout.close()
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    "arguments",
    [("ls",), ("ls", "--json"), ("export",), ("export", "--format", "csv"), ("get", "a", "--json"), ("plugins",)],
    ids=" ".join,
)
def test_output_that_cannot_be_written_is_one_line(
    target: tuple[str, str], prism: Cli, arguments: tuple[str, ...]
) -> None:
    address, namespace = target
    prism("register", "a", "room=x")
    env = {**os.environ, "PRISM_ADDRESS": address, "PRISM_NAMESPACE": namespace}
    command = [sys.executable, "-m", "prism", *arguments]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=env)
    assert done.returncode == 1
    assert done.stderr == "error: the output can't be written: No space left on device\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_attach_leaves_when_a_signal_ends_it(prism: Cli, attached: Cli, number: signal.Signals) -> None:
    process = attached("lamp-1", "--set", "room=kitchen")
    assert prism("ls", "--count").out == "1\n"
    process.send_signal(number)
    assert process.wait(20) == ExitCode.INTERRUPTED
    assert prism("ls", "--count").out == "0\n"


def test_attach_leaves_on_sigterm_where_ctrl_c_is_ignored(prism: Cli, target: tuple[str, str]) -> None:
    address, namespace = target
    env = {**os.environ, "PRISM_ADDRESS": address, "PRISM_NAMESPACE": namespace}
    ignoring = "trap '' INT HUP; exec \"$0\" -m prism attach lamp-1 --set room=kitchen"  # as under nohup, or after &
    command = ["sh", "-c", ignoring, sys.executable]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("attached ")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == ExitCode.INTERRUPTED
    assert prism("ls", "--count").out == "0\n"


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_serve_says_where_it_listens_and_drains_on_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "prism", "serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert re.search(r"gRPC on 127\.0\.0\.1:[1-9]\d+, HTTP on http://127\.0\.0\.1:[1-9]\d+", line)
    assert process.returncode == 0, err


def test_serve_on_a_port_in_use_says_how_to_choose_another(proxy_address: str) -> None:
    done = program("serve", "--listen", proxy_address, "--http", "off")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Address already in use" in done.stderr
    assert "--listen" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--http", "5"), 2, 'error: --http: expected HOST:PORT such as "127.0.0.1:7070", got "5"'),
        (("--listen", "5"), 2, 'error: --listen: expected HOST:PORT such as "127.0.0.1:7070", got "5"'),
        (("--listen", "no-such.invalid:1"), 1, 'error: can\'t listen on no-such.invalid:1: the host "no-such.invalid"'),
        (("--listen", "192.0.2.1:1"), 1, "error: can't listen on 192.0.2.1:1: Cannot assign requested address"),
        (("--http", "192.0.2.1:1"), 1, "error: can't listen on 192.0.2.1:1 for HTTP: Cannot assign requested address"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_serve_says_what_is_wrong_with_an_address(arguments: tuple[str, ...], code: int, said: str) -> None:
    free = () if "--listen" in arguments else ("--listen", "127.0.0.1:0")
    done = program("serve", *arguments, *free)
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", [Unavailable, DeadlineExceeded])
def test_serve_hints_at_the_backend_that_does_not_answer(
    kind: type[PrismError], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(_: MemoryRegistry) -> None:
        raise ConnectionRefusedError("nobody there") if kind is Unavailable else TimeoutError("no answer")

    monkeypatch.setattr(MemoryRegistry, "open", unreachable)
    monkeypatch.setattr("prism.server.app.configure_logs", lambda _: None)
    config = tmp_path / "prism.yaml"
    config.write_text("namespaces: [{name: presence}]\n")
    done = cli("serve", "--config", str(config), "--listen", "127.0.0.1:0", "--http", "off")
    assert done.code == 5
    problem, hint = done.err.splitlines()[-2:]
    assert "the registry slot (memory) of namespace 'presence' failed to open" in problem
    assert "backend_slots.registry of namespace 'presence'" in hint
    assert "--listen" not in hint


def test_wrong_choice_is_told_in_plain_words(cli: Cli) -> None:
    told = cli("serve", "--log-level", "loud").err
    assert told.endswith("Invalid value for '--log-level': 'loud' is not one of 'debug', 'info', 'warning', 'error'.\n")


def test_serve_reports_every_mistake_of_its_configuration(tmp_path: Path) -> None:
    config = tmp_path / "prism.yaml"
    config.write_text("namespaces:\n  - name: a\n    patern: x\nserver:\n  listen: nowhere\n")
    done = program("serve", "--config", str(config))
    assert done.returncode == 2
    first, patern, listen, *_ = done.stderr.splitlines()
    assert first == "error: 2 problems"
    assert patern.startswith(f'{config}:3: namespaces[0].patern: unknown key; did you mean "pattern"?')
    assert listen.startswith(f"{config}:5: server.listen: expected host:port")


def test_serve_without_its_configuration_file_is_a_usage_error(tmp_path: Path) -> None:
    done = program("serve", "--config", str(tmp_path / "no-such.yaml"))
    assert done.returncode == 2
    assert "no-such.yaml" in done.stderr
