"""What a run says of its checks: on a failure what was promised, at the end a summary, on request a JSON file.

Imports nothing of `prism`: pytest loads it in every run.
"""

from __future__ import annotations

import json
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

PROPERTY: Final = "prism_check"
"""The user property of a report that says which check it is of. A plain dictionary: it crosses processes."""

EXCUSED: Final = pytest.StashKey[bool]()
"""Of a check: whether `known_failures` lets it fail."""

_SKIPPED: Final = "the check was skipped"
_INSTEAD: Final = "name it in known_failures if the backend can't pass it, or leave it out with -k"

_SEEN: Final = 1_500
"""Characters of what was seen that are repeated in the explanation and the JSON file."""


def describe(item: pytest.Function, call: pytest.CallInfo[None], report: pytest.TestReport, seed: int) -> None:
    """Says in a report which check it is of, and of a failed one what was promised, seen, and how to replay it."""
    from prism_conformance.checks import check_of, checks_of  # noqa: PLC0415 - see the module's docstring

    if check_of(item.obj) is None or item.cls is None:
        return
    check = checks_of(item.cls)[item.originalname]
    described = {
        "id": check.id,
        "promise": check.promise,
        "source": check.source,
        "replaced_because": check.replaced_because,
        "contract": item.cls.__name__,
        "slot": str(item.cls.kind),
        **_backend(item),
    }
    report.user_properties.append((PROPERTY, described))
    if not report.failed:
        return
    described["seen"] = _seen(call, report)[:_SEEN]
    described["replay"] = f"pytest {item.nodeid.partition('::')[0]} -k '{item.cls.__name__} and {check.id}'"
    if hasattr(item.obj, "hypothesis"):
        described["replay"] += f" --hypothesis-seed={seed}"
    lines = [
        f"promised: {check.promise}",
        f"source:   {check.source}",
        f"backend:  {described['type']}, slot {described['slot']}",
        f"seen:     {described['seen']}",
        f"replay:   {described['replay']}",
    ]
    report.sections.append((f"conformance: {check.id} does not hold", "\n".join(lines)))


def refuse_skip(item: pytest.Function, report: pytest.TestReport) -> None:
    """Fails a check that was skipped, or that was let fail by anything but `known_failures`."""
    excused = hasattr(report, "wasxfail") and item.stash.get(EXCUSED, False)
    if not report.skipped or excused:
        return
    why = getattr(report, "wasxfail", "") or (report.longrepr[2] if isinstance(report.longrepr, tuple) else "")
    report.outcome = "failed"
    if hasattr(report, "wasxfail"):
        del report.wasxfail
    report.longrepr = f"{_SKIPPED}{': ' if why else ''}{why}; {_INSTEAD}"


def _seen(call: pytest.CallInfo[None], report: pytest.TestReport) -> str:
    """What a failed check saw: the errors themselves, where groups of tasks wrap them."""
    if isinstance(report.longrepr, str) and report.longrepr.startswith(_SKIPPED):
        return report.longrepr
    if call.excinfo is None:
        return "it passed, though it is a known failure"
    if isinstance(call.excinfo.value, BaseExceptionGroup):
        causes = dict.fromkeys(
            "".join(traceback.format_exception_only(error)).strip() for error in _causes(call.excinfo.value)
        )
        return "\n".join(causes)
    return call.excinfo.exconly()


def _causes(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _causes(inner)


def _backend(item: pytest.Function) -> dict[str, Any]:
    """The type of the backend that a check ran on and what it declares, as far as it got."""
    from prism.model.errors import PluginError  # noqa: PLC0415

    subject: Any = item.funcargs.get("subject")
    name = getattr(subject, "type", None) or getattr(item.cls, "type", "")
    try:
        declared = subject.spec(item.cls.kind).capabilities
    except (AttributeError, PluginError):
        declared = ()
    return {"type": name, "capabilities": sorted(map(str, declared))}


@dataclass
class Outcome:
    """How one check fared over all of its cases."""

    check: dict[str, Any]
    passed: int = 0
    failed: int = 0
    known: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """`failed`, `known failure` or `passed`; a check none of whose cases ended is `failed` too."""
        if self.failed or not (self.passed or self.known):
            return "failed"
        return "known failure" if self.known else "passed"


class Summary:
    """A pytest plugin that collects the outcomes of all checks in the process that reports."""

    def __init__(self, seed: int, json_file: str | None) -> None:
        self.seed = seed
        self.json_file = json_file
        self.outcomes: dict[tuple[str, str], dict[str, Outcome]] = {}
        """By contract class (its node id) and type, then by the id of the check."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts one phase of one case."""
        check = dict(report.user_properties).get(PROPERTY)
        if not isinstance(check, dict) or not (report.when == "call" or report.failed or hasattr(report, "wasxfail")):
            return
        where = report.nodeid.rpartition("::")[0]
        outcomes = self.outcomes.setdefault((where, check["type"]), {})
        outcome = outcomes.setdefault(check["id"], Outcome(check))
        if report.failed:
            outcome.failed += 1
            outcome.failures.append({"case": report.nodeid, "seen": check["seen"], "replay": check["replay"]})
        elif report.skipped:
            outcome.known += hasattr(report, "wasxfail")
        else:
            outcome.passed += 1

    def pytest_sessionfinish(self) -> None:
        """Writes the JSON file."""
        if self.json_file is not None:
            Path(self.json_file).write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Writes a line for each contract, one for each check that didn't pass (with -v for each), and the seed."""
        if not self.outcomes:
            return
        terminalreporter.section("prism conformance")
        for (where, kind), outcomes in self.outcomes.items():
            counts = Counter(outcome.verdict for outcome in outcomes.values())
            told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("passed", "failed", "known failure"))
            terminalreporter.line(f"{where.rpartition('::')[2]} ({kind}): {len(outcomes)} checks, {told}")
            for id_, outcome in sorted(outcomes.items()):
                replaced = outcome.check["replaced_because"]
                if outcome.verdict != "passed" or replaced or terminalreporter.verbosity > 0:
                    more = f" (replaced: {replaced})" if replaced else ""
                    terminalreporter.line(f"  {outcome.verdict:13} {id_:8} {outcome.check['promise']}{more}")
        terminalreporter.line(f"seed: {self.seed}; the same cases again: pytest --hypothesis-seed={self.seed}")

    def as_json(self) -> dict[str, Any]:
        """All outcomes: a list of contracts, each with its checks by id."""
        contracts = [
            {
                "where": where,
                "type": kind,
                "slot": next(iter(outcomes.values())).check["slot"],
                "capabilities": sorted({name for item in outcomes.values() for name in item.check["capabilities"]}),
                "checks": {id_: self._check(outcome) for id_, outcome in sorted(outcomes.items())},
            }
            for (where, kind), outcomes in self.outcomes.items()
        ]
        return {"seed": self.seed, "contracts": contracts}

    @staticmethod
    def _check(outcome: Outcome) -> dict[str, Any]:
        kept = {key: outcome.check[key] for key in ("promise", "source", "replaced_because")}
        return {
            "verdict": outcome.verdict,
            "cases": {"passed": outcome.passed, "failed": outcome.failed, "known failure": outcome.known},
            **kept,
            "failures": outcome.failures,
        }
