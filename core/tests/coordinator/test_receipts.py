"""Tallies: statuses as they come in, in any order and more than once."""

from __future__ import annotations

import random

from prism.coordinator.receipts import Collector, FrameReceipt, Tally
from prism.model.delivery import Status


def tally(number: int) -> Tally:
    result = Tally(1_000)
    result.extend([f"id-{i}" for i in range(number)])
    return result


def test_runs_and_single_positions_settle_the_same() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        positions = sorted(chance.sample(range(20), chance.randint(0, 20)))
        failed = chance.sample(range(20), chance.randint(0, 5))
        at_once, one_by_one = tally(20), tally(20)
        for each in (at_once, one_by_one):
            each.settle_all(failed, Status.FAILED, "no")
        at_once.deliver(0, positions)
        for position in positions:
            one_by_one.deliver_one(position)
        assert at_once.codes == one_by_one.codes
        assert at_once.unsettled == one_by_one.unsettled == at_once.codes.count(0)


def test_what_failed_stays_failed_and_what_was_pending_can_be_delivered() -> None:
    counted = tally(3)
    counted.settle(0, Status.FAILED, "no")
    counted.settle(1, Status.PENDING, "stored")
    FrameReceipt(counted).deliver([0, 1, 2])
    assert [status.status for status in counted.result("m", Status.TIMEOUT, "late").statuses] == [
        Status.FAILED,
        Status.DELIVERED,
        Status.DELIVERED,
    ]


def test_acks_in_any_order_and_twice_settle_exactly_those_who_acked() -> None:
    collector = Collector("m", 1_000, (Status.PENDING, "stored"))
    collector.tally.extend([f"id-{i}" for i in range(6)])
    collector.acked(["id-5", "id-1", "id-3", "id-1"])
    delivered = [status.identity for status in collector.result().statuses if status.status is Status.DELIVERED]
    assert delivered == ["id-1", "id-3", "id-5"]
    assert collector.tally.unsettled == 3


def test_a_result_is_not_changed_by_what_comes_later() -> None:
    counted = tally(2)
    before = counted.result("m", Status.TIMEOUT, "late")
    counted.deliver(0, [0, 1])
    assert before.timeout_count == 2
    assert [status.error for status in before.statuses] == ["late", "late"]


def test_a_late_receipt_counts_after_a_timeout() -> None:
    counted = Tally(2)
    counted.extend(["a", "b", "c"])
    counted.settle_all(range(3), Status.TIMEOUT, "no answer")
    counted.deliver(0, [1])
    counted.deliver_uncounted(1)
    assert [status.status for status in counted.result("m", Status.TIMEOUT, "late").statuses] == [
        Status.TIMEOUT,
        Status.DELIVERED,
    ]
    assert counted.codes.count(Status.DELIVERED) == 2
