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


def test_known_failure_of_a_case_that_there_is_not_is_an_error(run_pytest: Run) -> None:
    code = "class TestIt(OnMemory, MessagingContract):\n    known_failures = {'MSG-030[nope]': 'x'}\n"
    said = run_pytest(code, "-k", "MSG-010")
    assert "TestIt.known_failures names MSG-030[nope], which is no case of a check" in said
    assert "it has MSG-030[inbox], MSG-030[identity]" in said
    assert "exit code 2" in said
    said = run_pytest(code.replace("MSG-030", "MSG-010"), "-k", "MSG-010")
    assert "names MSG-010[nope], which is no case of a check; MSG-010 has no cases" in said
    said = run_pytest(code.replace("[nope]", "[inbox"), "-k", "MSG-010")
    assert "exit code 2" in said


def test_known_failure_of_one_case_excuses_no_other(run_pytest: Run) -> None:
    broken = """
class TestIt(OnMemory, MessagingContract):
    known_failures = {"MSG-030[inbox]": "hears nothing"}

    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch):
        from prism.memory.messaging import Hub
        monkeypatch.setattr(Hub, "publish", lambda self, item, topics: [])
"""
    said = run_pytest(broken, "-k", "MSG-030")
    assert "1 failed" in said
    assert "1 xfailed" in said
    assert "exit code 1" in said


def test_check_marked_to_be_skipped_is_an_error(run_pytest: Run) -> None:
    code = "class TestIt(OnMemory, MessagingContract):\n    pytestmark = pytest.mark.{}\n"
    for mark in ("skip", "skipif(True, reason='x')", "xfail"):
        said = run_pytest(code.format(mark), "-k", "MSG-010")
        assert f"is marked {mark.partition('(')[0]}; no check may be skipped" in said
        assert "exit code 2" in said


def test_module_of_contracts_that_is_skipped_by_a_mark_is_an_error(run_pytest: Run) -> None:
    said = run_pytest("pytestmark = pytest.mark.skip\nclass TestIt(OnMemory, MessagingContract): pass\n")
    assert "is marked skip" in said
    assert "exit code 2" in said


def test_check_that_skips_itself_has_failed(run_pytest: Run) -> None:
    code = """
class TestIt(MessagingContract):
    @pytest.fixture
    def subject(self):
        pytest.{}("no server here")
"""
    for way in ("skip", "xfail"):
        said = run_pytest(code.format(way), "-k", "MSG-010 or SLOT-010")
        assert "seen:     the check was skipped" in said
        assert "no server here" in said
        assert "2 checks, 0 passed, 2 failed" in said
        assert "exit code 1" in said


def test_mark_that_comes_after_the_collection_excuses_nothing(run_pytest: Run, tmp_path: Path) -> None:
    conftest = "import pytest\ndef pytest_collection_modifyitems(items):\n    for i in items: i.add_marker('{}')\n"
    for mark in ("skip", "xfail"):
        (tmp_path / "conftest.py").write_text(conftest.format(mark))
        said = run_pytest(BROKEN, "-k", "MSG-020")
        assert "1 checks, 0 passed, 1 failed" in said
        assert "exit code 1" in said


def test_failures_of_tasks_are_seen_without_their_groups(run_pytest: Run) -> None:
    code = """
class TestIt(OnMemory, MessagingContract):
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch):
        from prism.memory.messaging import MemorySubscription
        async def anext_(self):
            raise OSError("the socket is gone")
        monkeypatch.setattr(MemorySubscription, "__anext__", anext_)
"""
    said = run_pytest(code, "-k", "MSG-040")
    assert "seen:     OSError: the socket is gone" in said
    assert "seen:     ExceptionGroup" not in said


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
