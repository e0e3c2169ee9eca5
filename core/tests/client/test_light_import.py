"""What an import costs, asked of a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import prism
import pytest

HEAVY = ("grpc", "google.protobuf", "pydantic", "re2", "aiohttp", "yaml", "structlog", "prism.coordinator", "prism.v1")


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import prism",
        "from prism import Client, Filter, F",
        "from prism import Client; Client('x').registry.enumerate({'a': 1})",
        "from prism import Client; Client.embedded('x')",
        "from prism.sync import Client; Client('x')",
    ],
)
def test_nothing_heavy_is_loaded_before_a_connection_is_needed(code: str) -> None:
    assert loaded_after(code).isdisjoint(HEAVY)


def test_importing_prism_loads_no_asyncio() -> None:
    assert "asyncio" not in loaded_after("import prism")


@pytest.mark.parametrize("name", prism.__all__)
def test_every_exported_name_is_there(name: str) -> None:
    assert getattr(prism, name) is not None


def test_every_error_is_exported() -> None:
    from prism.model.errors import BY_REASON

    assert {kind.__name__ for kind in BY_REASON.values()} - {"InternalError"} < set(prism.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Cleint'"):
        prism.Cleint  # type: ignore[attr-defined]  # noqa: B018
