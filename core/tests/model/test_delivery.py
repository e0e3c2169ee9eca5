"""Delivery statuses as text and as numbers."""

from __future__ import annotations

import json

from prism import Status
from prism.model.delivery import DeliveryStatus


def test_a_status_is_its_name_as_text() -> None:
    assert str(Status.DELIVERED) == "DELIVERED"
    assert f"{Status.PENDING}, {Status.FAILED:>8}" == "PENDING,   FAILED"
    assert "{}".format(DeliveryStatus("a", Status.TIMEOUT, "late").status) == "TIMEOUT"


def test_a_status_is_the_wires_number_as_a_number() -> None:
    assert int(Status.DELIVERED) == Status.DELIVERED == 1
    assert f"{Status.FAILED:d} {Status.FAILED:02d}" == "3 03"
    assert json.dumps(Status.TIMEOUT) == "4"
    assert bytes((Status.PENDING,)) == b"\x02"
