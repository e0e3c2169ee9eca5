"""The suite in pytest: collects contract classes, seeds them, says what a failed check promised, and sums up.

pytest loads this module in every run of an environment that has the distribution, so it imports nothing of `prism`.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any, Final

import pytest

from prism_conformance.reporting import EXCUSED, Summary, describe, refuse_skip

if TYPE_CHECKING:
    from prism_conformance.checks import Check

pytest.register_assert_rewrite(
    "prism_conformance.durability",
    "prism_conformance.messaging",
    "prism_conformance.registry",
    "prism_conformance.slot",
)

SEED: Final = pytest.StashKey[int]()
_WORKERINPUT: Final = "prism_conformance_seed"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --conformance-json."""
    group = parser.getgroup("prism conformance")
    group.addoption("--conformance-json", metavar="FILE", help="Write the outcome of every check to FILE as JSON.")


def pytest_configure(config: pytest.Config) -> None:
    """Chooses the seed of the run: --hypothesis-seed, else a new one that the summary prints."""
    from_controller = getattr(config, "workerinput", {}).get(_WORKERINPUT)
    given = config.getoption("hypothesis_seed", None)
    if from_controller is not None:
        config.stash[SEED] = from_controller
    elif isinstance(given, int) or (isinstance(given, str) and given.isdecimal()):
        config.stash[SEED] = int(given)
    else:
        config.stash[SEED] = secrets.randbelow(2**32)
    if from_controller is None:
        config.pluginmanager.register(Summary(config.stash[SEED], config.getoption("conformance_json")))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Gives pytest-xdist's workers the seed of the run."""
    node.workerinput[_WORKERINPUT] = node.config.stash[SEED]


@pytest.fixture(scope="session")
def conformance_seed(pytestconfig: pytest.Config) -> int:
    """The seed of the run, for a plugin's own generated tests."""
    return pytestconfig.stash[SEED]


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> pytest.Class | None:
    """Collects the contract classes that a module defines, whatever they are called; a base of another is none."""
    if not isinstance(obj, type) or not getattr(obj, "__prism_contract__", False):
        return None
    if not isinstance(collector, pytest.Module) or obj.__module__ != collector.obj.__name__ or obj.__subclasses__():
        return None
    found: pytest.Class = ContractClass.from_parent(collector, name=name, obj=obj)
    return found


class ContractClass(pytest.Class):
    """A contract class in the collection: all of its checks, or an error."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Collects the checks; known failures have to fail. One that isn't there is an error."""
        from prism_conformance.checks import check_of, checks_of  # noqa: PLC0415 - see the module's docstring

        found = list(super().collect())
        missing = checks_of(self.obj)
        for item in found:
            check = check_of(getattr(item, "obj", None))
            if check is None or not isinstance(item, pytest.Function):
                continue
            missing.pop(item.originalname, None)
            self._prepare(item, check)
        self._verify_cases(found)
        if missing:
            ids = ", ".join(sorted(check.id for check in missing.values()))
            raise self.CollectError(
                f"{self.name} lacks the checks {ids}: pytest did not collect them; "
                "python_functions must let test_* through, and none may be deleted"
            )
        return found

    def _verify_cases(self, found: Iterable[pytest.Item | pytest.Collector]) -> None:
        """Sees to it that every case that is excused is one."""
        from prism_conformance.checks import check_of  # noqa: PLC0415

        cases: dict[str, list[str]] = {}
        for item in found:
            check = check_of(getattr(item, "obj", None))
            if check is not None and isinstance(item, pytest.Function):
                cases.setdefault(check.id, []).append(_case(item))
        for key in self.obj.known_failures:
            id_, bracket, case = key.partition("[")
            if not bracket or (case.endswith("]") and case[:-1] in cases.get(id_, ())):
                continue
            named = ", ".join(f"{id_}[{each}]" for each in cases.get(id_, ()) if each)
            told = f"it has {named}" if named else f"{id_} has no cases"
            raise self.CollectError(f"{self.name}.known_failures names {key}, which is no case of a check; {told}")

    def _prepare(self, item: pytest.Function, check: Check) -> None:
        item.extra_keyword_matches.add(check.id)
        seed_generated(item.obj, self.config.stash[SEED])
        excused = self.obj.known_failures
        reason = excused.get(f"{check.id}[{_case(item)}]", excused.get(check.id))
        for mark in item.iter_markers():
            if mark.name in {"skip", "skipif", "xfail"}:
                raise self.CollectError(
                    f"{self.name}: {check.id} is marked {mark.name}; no check may be skipped or excused in silence: "
                    "name it in known_failures, with the reason"
                )
        if reason is not None:
            item.stash[EXCUSED] = True
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def _case(item: pytest.Function) -> str:
    return item.callspec.id if hasattr(item, "callspec") else ""


def seed_generated(test: Any, number: int) -> None:
    """Makes a property test draw the same cases wherever it runs."""
    function = getattr(test, "__func__", test)
    if hasattr(function, "hypothesis"):
        from hypothesis import seed  # noqa: PLC0415

        seed(number)(function)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to a check's report what it is about, and to a failed one's what was promised and how to replay it.

    A check that was skipped has failed: nobody knows whether the promise is kept.
    """
    report = yield
    if isinstance(item.parent, ContractClass) and isinstance(item, pytest.Function):
        from prism_conformance.checks import check_of  # noqa: PLC0415 - see the module's docstring

        if check_of(item.obj) is not None:
            refuse_skip(item, report)
        describe(item, call, report, item.config.stash[SEED])
    return report
