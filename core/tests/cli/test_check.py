"""`prism check`: what it finds in a configuration, and in the slots behind it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prism.coordinator import checking
from prism.memory.durability import MemoryDurability
from prism.memory.messaging import MemoryMessaging
from prism.memory.registry import MemoryRegistry

Cli = Callable[..., Any]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "prism.yaml"
    path.write_text("namespaces:\n  - name: presence\n  - name: fleet\n")
    return path


def test_a_right_configuration_is_listed_slot_by_slot(cli: Cli, config: Path) -> None:
    done = cli("check", "--config", str(config))
    assert done.code == 0
    header, *rows, last = done.out.splitlines()
    assert header.split() == ["namespace", "slot", "type", "found", "can", "do"]
    assert [row.split()[:3] for row in rows] == [
        [name, slot, "memory"] for name in ("presence", "fleet") for slot in ("registry", "messaging", "durability")
    ]
    assert last == "6 slots, no mistakes; --connect asks the servers, too"


def test_every_mistake_is_told_with_its_line(cli: Cli, config: Path) -> None:
    config.write_text("namespaces:\n  - name: a\n    patern: x\n    backend_slots: {registry: {type: memry}}\n")
    done = cli("check", "--config", str(config))
    assert done.code == 2
    assert f'{config}:3: namespaces[0].patern: unknown key; did you mean "pattern"?' in done.err
    assert f"{config}:4: namespaces[0].backend_slots.registry.type" in done.err


def test_connecting_asks_every_slot(cli: Cli, config: Path) -> None:
    done = cli("check", "--config", str(config), "-n", "fleet", "--connect", "--json")
    assert done.code == 0
    assert [(each["slot"], each["ok"]) for each in done.json["slots"]] == [
        ("registry", True),
        ("messaging", True),
        ("durability", True),
    ]
    assert all(each["seconds"] >= 0 and each["namespace"] == "fleet" for each in done.json["slots"])


def test_slots_that_do_not_answer_are_named_and_the_others_asked(
    cli: Cli, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: object) -> None:
        raise ConnectionRefusedError("nobody there")

    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(MemoryMessaging, "open", refuse)
    monkeypatch.setattr(MemoryDurability, "check", hang)
    monkeypatch.setattr(checking, "CHECK_TIMEOUT", 0.05)
    done = cli("check", "--config", str(config), "-n", "presence", "--connect")
    assert done.code == 5
    registry, messaging, durability = done.out.splitlines()[1:]
    assert "answers in" in registry
    assert messaging.split(maxsplit=3)[3].startswith("failed to open: nobody there")
    assert durability.split(maxsplit=3)[3].startswith("failed to answer a health check: no answer within 0.05 s")
    assert "error: 2 of 3 can't be used" in done.err
    assert "check backend_slots.messaging of namespace 'presence'" in done.err


def test_slots_that_can_do_less_than_declared_fail_what_is_needed(
    cli: Cli, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("namespaces: [{name: presence, needs: {consistency: strong}}]\n")
    monkeypatch.setattr(MemoryRegistry, "capabilities", frozenset())
    done = cli("check", "--config", str(config), "--connect")
    assert done.code == 2
    assert "strong" in done.out


def test_an_unknown_namespace_is_not_found(cli: Cli, config: Path) -> None:
    done = cli("check", "--config", str(config), "-n", "presense")
    assert done.code == 3
    assert 'did you mean "presence"' in done.err


def test_drivers_do_not_talk_over_what_is_said() -> None:
    talk = """
import logging
from prism.cli.connection import quiet_drivers
quiet_drivers()
logging.getLogger("aiokafka").error("no connection")
logging.getLogger("prism_kafka.link").warning("waiting for a broker")
"""
    done = subprocess.run([sys.executable, "-c", talk], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == "waiting for a broker\n"
