"""`import prism` is cheap: what is heavy comes with its first use. In fresh interpreters, since this one has it all."""

import subprocess
import sys

import pytest

HEAVY = (
    "aiohttp",
    "airportsdata",
    "asyncio",
    "google.protobuf",
    "grpc",
    "orjson",
    "pluggy",
    "prometheus_client",
    "pydantic",
    "re2",
    "rich",
    "sortedcontainers",
    "structlog",
    "typer",
    "yaml",
)
TRANSPORT = tuple(
    name for name in HEAVY if name not in {"airportsdata", "asyncio", "orjson", "sortedcontainers", "structlog"}
)
LOADED = "import sys; print(*sorted(set(sys.modules) & set({modules!r})))"


def loaded(statement: str, modules: tuple[str, ...] = HEAVY) -> list[str]:
    code = f"{statement}\n{LOADED.format(modules=modules)}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return run.stdout.split()


def test_the_check_sees_what_is_loaded() -> None:
    assert loaded("import yaml") == ["yaml"]


def test_importing_prism_loads_nothing_heavy() -> None:
    assert loaded("import prism") == []


@pytest.mark.parametrize("statement", ["from prism import Client, Filter, F", "from prism import Client; Client('x')"])
def test_a_client_loads_no_transport_before_it_connects(statement: str) -> None:
    heavier = (
        "aiohttp",
        "google.protobuf",
        "grpc",
        "pluggy",
        "prometheus_client",
        "pydantic",
        "re2",
        "rich",
        "typer",
        "yaml",
    )
    assert loaded(statement, heavier) == []


def test_a_plugin_module_loads_no_driver_and_no_transport() -> None:
    assert loaded("import prism.memory.plugin", ("aiohttp", "grpc", "sortedcontainers", "yaml")) == []
