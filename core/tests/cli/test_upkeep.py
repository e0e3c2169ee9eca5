"""`prism migrate` and `prism audit`, over a memory registry that is prepared, and audits, for the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prism.cli.upkeep import _print
from prism.coordinator.upkeep import Fit, Misfits
from prism.memory.registry import MemoryRegistry
from prism.slots import optional

Cli = Callable[..., Any]


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "prism.yaml"
    path.write_text("namespaces: [{name: presence}]\n")
    return str(path)


class Audited(MemoryRegistry, optional.Auditable):
    async def record(self, entries: Any) -> None:
        """Nothing is kept."""

    async def audit(self, query: Any) -> list[Any]:
        return []


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism.coordinator.upkeep._make", lambda config, slot, looking=False: made(config))


def made(config: Any) -> MemoryRegistry:
    return Audited(config.registry.config, config.slot_context())


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: MemoryRegistry) -> None:
        raise ConnectionRefusedError("nobody there")

    monkeypatch.setattr(MemoryRegistry, "open", refuse)


@pytest.mark.usefixtures("unreachable", "audited")
def test_a_backend_that_cannot_be_reached_is_looked_for_here_and_not_in_a_proxy(cli: Cli, config: str) -> None:
    done = cli("audit", "--config", config, "--namespace", "presence")
    assert done.code == 5
    assert "in the configuration, check backend_slots.registry of namespace 'presence'" in done.err
    assert "the proxy" not in done.err


@pytest.mark.usefixtures("audited")
def test_a_namespace_without_audit_says_so(cli: Cli, config: str) -> None:
    done = cli("audit", "--config", config, env={"PRISM_NAMESPACE": "presence"})
    assert done.code == 1
    assert done.err.splitlines()[0] == "error: namespace 'presence' records no audit; set needs: {audit: true}"


@pytest.mark.parametrize(("count", "shown"), [(2, "(a, b)"), (3, "(a, b ...)")])
def test_misfits_end_in_dots_only_where_more_follow(count: int, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    _print("presence", [], Fit(9, count, (Misfits("room", "is missing", count, ["a", "b"]),)), done=False)
    assert capsys.readouterr().out.splitlines()[-1] == f"  {count} with room: is missing {shown}"
