"""The suite in pytest: what is collected, what a failure says, and that no check is lost in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., str]

BROKEN = """
class TestIt(OnMemory, MessagingContract):
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch):
        from prism.memory.messaging import Hub
        publish = Hub.publish
        monkeypatch.setattr(Hub, "publish", lambda self, item, topics: publish(self, item, topics)[:2_000])
"""


def test_contract_class_is_collected_whatever_it_is_called(run_pytest: Run) -> None:
    said = run_pytest("class Checks(OnMemory, MessagingContract): pass\n", "-k", "MSG-010 or SLOT-010")
    assert "Checks (memory): 2 checks, 2 passed" in said
    assert "exit code 0" in said


def test_async_checks_run_without_any_setting_of_pytest(run_pytest: Run) -> None:
    said = run_pytest("class TestIt(OnMemory, MessagingContract): pass\n", "-k", "MSG")
    assert "24 passed" in said
    assert "skipped" not in said


def test_failure_says_what_was_promised_seen_and_how_to_replay_it(run_pytest: Run) -> None:
    said = run_pytest(BROKEN, "-k", "MSG-020")
    assert "MSG-020 does not hold" in said
    assert "promised: Publish answers topic by topic, in order." in said
    assert "source:   RFC-017 Slot 2" in said
    assert "seen:     AssertionError: assert 2000 == 2500" in said
    assert "replay:   pytest test_it.py -k 'TestIt and MSG-020'" in said
    assert "1 checks, 0 passed, 1 failed" in said


def test_seed_is_printed_and_can_be_given(run_pytest: Run) -> None:
    code = "class TestIt(OnMemory, MessagingContract): pass\n"
    assert "seed: 42; the same cases again" in run_pytest(code, "-k", "MSG-010", "--hypothesis-seed=42")


def test_known_failure_that_fails_is_no_failure(run_pytest: Run) -> None:
    code = BROKEN + '    known_failures = {"MSG-020": "loses outcomes"}\n'
    said = run_pytest(code, "-k", "MSG-020", "-rx")
    assert "loses outcomes" in said
    assert "1 known failure" in said
    assert "exit code 0" in said


def test_known_failure_that_passes_is_a_failure(run_pytest: Run) -> None:
    code = "class TestIt(OnMemory, MessagingContract):\n    known_failures = {'MSG-010': 'never works'}\n"
    said = run_pytest(code, "-k", "MSG-010")
    assert "XPASS(strict)" in said
    assert "exit code 1" in said


def test_overridden_check_with_a_reason_runs_and_the_reason_is_printed(run_pytest: Run) -> None:
    code = """
class TestIt(OnMemory, MessagingContract):
    @replaces("MSG-032", reason="one namespace per broker")
    async def test_namespaces_never_mix(self, opener):
        assert opener.subject.type == "memory"
"""
    said = run_pytest(code, "-k", "MSG-032")
    assert "Namespaces never mix. (replaced: one namespace per broker)" in said
    assert "exit code 0" in said


def test_deleted_check_is_an_error(run_pytest: Run) -> None:
    said = run_pytest("class TestIt(OnMemory, MessagingContract):\n    test_namespaces_never_mix = None\n")
    assert "TestIt deletes MSG-032" in said
    assert "exit code 2" in said


def test_checks_that_pytest_does_not_collect_are_an_error(run_pytest: Run) -> None:
    code = "class TestIt(OnMemory, MessagingContract): pass\n"
    said = run_pytest(code, "-o", "python_functions=check_*")
    assert "TestIt lacks the checks MSG-010" in said
    assert "exit code 2" in said


def test_run_that_collects_nothing_fails(run_pytest: Run) -> None:
    said = run_pytest("class TestIt(OnMemory, MessagingContract): pass\n", "-k", "MSG-999")
    assert "exit code 5" in said


def test_class_that_names_no_backend_says_what_to_do(run_pytest: Run) -> None:
    assert "set TestIt.type" in run_pytest("class TestIt(MessagingContract): pass\n", "-k", "MSG-010")


def test_workers_of_one_run_share_its_seed_and_one_summary(run_pytest: Run, tmp_path: Path) -> None:
    code = "class TestIt(OnMemory, MessagingContract): pass\n"
    said = run_pytest(code, "-n", "2", "--conformance-json", str(tmp_path / "out.json"), "-k", "MSG-01")
    assert "TestIt (memory): 8 checks, 8 passed" in said
    [contract] = json.loads((tmp_path / "out.json").read_text())["contracts"]
    assert (contract["type"], contract["slot"], len(contract["checks"])) == ("memory", "messaging", 8)
    assert contract["checks"]["MSG-010"]["verdict"] == "passed"
