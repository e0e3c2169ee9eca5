"""What background work that fails leaves in the log."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
from prism.coordinator import background
from prism.coordinator.background import Background
from prism.coordinator.metrics import Metrics
from prism.model.errors import InternalError, InvalidConfig
from support.proxies import eventually


@pytest.fixture
async def work(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Background]:
    monkeypatch.setattr(background, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(background, "FIRST_PAUSE", 0.001)
    work = Background(Metrics())
    await work.open()
    yield work
    await work.close()


async def failing(work: Background, error: Exception) -> None:
    """Runs a loop that fails so, several times."""

    async def fail() -> None:
        raise error

    work.start("sweeper of x", fail)
    await eventually(lambda: work._metrics.background_failures["sweeper of x"] > 5)


async def test_the_same_failure_of_a_slot_is_one_line(work: Background, caplog: pytest.LogCaptureFixture) -> None:
    await failing(work, InvalidConfig("permission denied"))
    (record,) = caplog.records
    assert record.getMessage() == "sweeper of x failed; trying again: permission denied"
    assert record.exc_info is None
    assert record.levelno == logging.WARNING


async def test_a_failure_that_goes_on_is_said_again(
    work: Background, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "SAID_AGAIN", 0.02)
    await failing(work, InvalidConfig("permission denied"))
    await eventually(lambda: "times more since" in caplog.text)


async def test_what_nobody_expected_keeps_its_traceback(work: Background, caplog: pytest.LogCaptureFixture) -> None:
    await failing(work, InternalError("a bug"))
    assert len(caplog.records) > 5
    assert all(record.exc_info for record in caplog.records)
