"""Who has got a multicast: statuses as they come in, for the sender and for the proxy that hosts a stream."""

from __future__ import annotations

import asyncio
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice

from prism.model.delivery import MulticastResult, Status, Statuses

UNSETTLED = int(Status.UNSPECIFIED)
DELIVERED = int(Status.DELIVERED)
_UNSETTLED_BYTE = bytes((UNSETTLED,))


class Tally:
    """The status of every target of one multicast, or of one frame of it, in columns.

    A status is settled once: whatever comes later for the same position changes nothing, except that PENDING
    and TIMEOUT, which claim nothing, may still become DELIVERED. Identities are kept for the first `reported`
    positions only; the rest is counted (5 bytes each).
    """

    __slots__ = (
        "_on_complete",
        "_reason_numbers",
        "codes",
        "identities",
        "reason_index",
        "reasons",
        "reported",
        "unsettled",
    )

    def __init__(self, reported: int, on_complete: Callable[[], None] | None = None) -> None:
        self.identities: list[str] = []
        self.codes = bytearray()
        self.reason_index = array("I")
        self.reasons: list[str] = []
        self.reported = reported
        self.unsettled = 0
        self._reason_numbers: dict[str, int] = {}
        self._on_complete = on_complete

    def extend(self, identities: Sequence[str]) -> int:
        """Adds targets, unsettled; returns the position of the first."""
        base = len(self.codes)
        room = self.reported - base
        if room > 0:
            self.identities.extend(identities if room >= len(identities) else identities[:room])
        self.codes.extend(bytes(len(identities)))
        self.reason_index.frombytes(bytes(4 * len(identities)))
        self.unsettled += len(identities)
        return base

    def deliver(self, base: int, positions: Sequence[int]) -> None:
        """Settles positions (ascending, counted from `base`) as DELIVERED."""
        codes = self.codes
        count = len(positions)
        if count > 1 and positions[-1] - positions[0] == count - 1:
            # Positions come in ascending order: this is a run, which is settled in one go where nothing of it is.
            first = base + positions[0]
            if not any(codes[first : first + count]):
                codes[first : first + count] = bytes((DELIVERED,)) * count
                self._settled(count)
                return
        settled = 0
        for position in positions:
            place = base + position
            code = codes[place]
            if code == UNSETTLED:
                settled += 1
            elif code not in _UNDECIDED:
                continue
            codes[place] = DELIVERED
            self.reason_index[place] = 0
        self._settled(settled)

    def deliver_one(self, place: int) -> None:
        """Settles one position as DELIVERED."""
        codes = self.codes
        if codes[place] == UNSETTLED:
            codes[place] = DELIVERED
            self.unsettled -= 1
            if not self.unsettled and self._on_complete is not None:
                self._on_complete()
        else:
            self.deliver(place, (0,))

    def deliver_uncounted(self, number: int) -> None:
        """Settles that many of the positions whose identities aren't kept: they are only counted."""
        if number > 0:
            open_codes = _UNDECIDED | {UNSETTLED}
            places = (i for i in range(self.reported, len(self.codes)) if self.codes[i] in open_codes)
            self.deliver(0, list(islice(places, number)))

    def settle(self, place: int, status: Status, reason: str) -> None:
        """Settles one position with a reason."""
        self.settle_all((place,), status, reason)

    def settle_all(self, places: Sequence[int], status: Status, reason: str) -> None:
        """Settles positions with one reason; those that are settled stay as they are."""
        number = self._number(reason) if reason else 0
        if isinstance(places, range) and places.step == 1 and not any(self.codes[places.start : places.stop]):
            self.codes[places.start : places.stop] = bytes((status,)) * len(places)
            self.reason_index[places.start : places.stop] = array(self.reason_index.typecode, [number]) * len(places)
            self._settled(len(places))
            return
        settled = 0
        for place in places:
            if self.codes[place] == UNSETTLED:
                self.codes[place] = status
                self.reason_index[place] = number
                settled += 1
        self._settled(settled)

    def settle_rest(self, status: Status, reason: str) -> None:
        """Settles everything that still isn't."""
        if self.unsettled:
            self.settle_all([i for i, code in enumerate(self.codes) if code == UNSETTLED], status, reason)

    def merge(self, base: int, codes: bytes, reason_index: Sequence[int], reasons: Sequence[str]) -> None:
        """Takes over what another proxy says of the positions from `base` on (0: nothing yet)."""
        if not 0 <= base <= len(self.codes) - len(codes):
            return
        delivered = [i for i, code in enumerate(codes) if code == DELIVERED]
        self.deliver(base, delivered)
        if len(delivered) == len(codes):
            return
        for i, code in enumerate(codes):
            if code in _FINAL:
                number = reason_index[i] if i < len(reason_index) else 0
                reason = reasons[number - 1] if 0 < number <= len(reasons) else ""
                self.settle(base + i, Status(code), reason)

    def result(self, message_id: str, status: Status, reason: str) -> MulticastResult:
        """The report by now; what isn't settled is reported with the given status and reason."""
        codes, index, reasons = bytearray(self.codes), self.reason_index[:], list(self.reasons)
        if self.unsettled:
            reasons.append(reason)
            if self.unsettled == len(codes):
                index = array("I", (len(reasons),)) * len(codes)
            else:
                for i in [i for i, code in enumerate(codes) if code == UNSETTLED]:
                    index[i] = len(reasons)
            codes = codes.replace(_UNSETTLED_BYTE, bytes((status,)))
        kept = len(self.identities)
        return MulticastResult(
            message_id=message_id,
            target_count=len(codes),
            delivered_count=codes.count(Status.DELIVERED),
            pending_count=codes.count(Status.PENDING),
            failed_count=codes.count(Status.FAILED),
            timeout_count=codes.count(Status.TIMEOUT),
            statuses=Statuses(list(self.identities), codes[:kept], index[:kept].tolist(), reasons),
            statuses_truncated=kept < len(codes),
        )

    def _number(self, reason: str) -> int:
        number = self._reason_numbers.get(reason)
        if number is None:
            self.reasons.append(reason)
            number = self._reason_numbers[reason] = len(self.reasons)
        return number

    def _settled(self, count: int) -> None:
        if not count:
            return
        self.unsettled -= count
        if not self.unsettled and self._on_complete is not None:
            self._on_complete()


_UNDECIDED = frozenset((int(Status.PENDING), int(Status.TIMEOUT)))
_FINAL = frozenset((int(Status.PENDING), int(Status.FAILED), int(Status.TIMEOUT)))


class FrameReceipt:
    """The part of a tally that one frame is about: positions count from the frame's beginning."""

    __slots__ = ("base", "tally")

    def __init__(self, tally: Tally, base: int = 0) -> None:
        self.tally = tally
        self.base = base

    def deliver(self, positions: Sequence[int]) -> None:
        """A live stream took it, or the identity acked it."""
        tally = self.tally
        if len(positions) == 1:  # a stream of one identity: by far the most frequent call
            tally.deliver_one(self.base + positions[0])
        else:
            tally.deliver(self.base, positions)

    def fail(self, positions: Sequence[int], reason: str) -> None:
        """No live stream took it."""
        base = self.base
        self.tally.settle_all([base + position for position in positions], Status.FAILED, reason)


class Collector:
    """A sender's tally: waits until every target is settled, and finds the frame that a receipt is about."""

    __slots__ = ("_complete", "_done", "_places", "frames", "message_id", "rest", "tally")

    def __init__(self, message_id: str, reported: int, rest: tuple[Status, str]) -> None:
        self.message_id = message_id
        self.rest = rest
        """How a target is reported of which nothing was heard."""
        self.tally = Tally(reported, self._settled)
        self.frames: list[int] = []
        """The position of the first target of each frame."""
        self._places: dict[str, int] | None = None
        self._complete = False
        self._done = asyncio.Event()

    def open_frame(self, identities: Sequence[str]) -> int:
        """Adds a frame's targets; returns its number."""
        self.frames.append(self.tally.extend(identities))
        return len(self.frames) - 1

    def receipt(self, number: int) -> FrameReceipt:
        """The receipt of one frame."""
        return FrameReceipt(self.tally, self.frames[number])

    def targets_complete(self) -> None:
        """All targets were added: from now on nothing unsettled means done."""
        self._complete = True
        self._settled()

    async def wait(self, seconds: float) -> None:
        """Waits until every target is settled, at most `seconds`."""
        if seconds <= 0 or self._done.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._done.wait()
        except TimeoutError:
            return

    def acked(self, identities: Sequence[str], *, again: bool = False) -> None:
        """Identities acknowledged the message: DELIVERED, also when PENDING was reported before.

        `again`: it may have been told before. Then it isn't counted for identities that aren't kept: rather too few
        than one twice.
        """
        if self._places is None or len(self._places) < len(self.tally.identities):
            self._places = {identity: place for place, identity in enumerate(self.tally.identities)}
        places = {self._places[identity] for identity in identities if identity in self._places}
        self.tally.deliver(0, sorted(places))
        if not again:
            self.tally.deliver_uncounted(len(identities) - len(places))

    def result(self) -> MulticastResult:
        """The report by now."""
        return self.tally.result(self.message_id, *self.rest)

    def _settled(self) -> None:
        if self._complete and not self.tally.unsettled:
            self._done.set()


class RecentMulticasts:
    """The last multicasts a coordinator sent, so that late receipts count and GetMulticast has an answer.

    Bounded by number and by the targets they have in all; the oldest go first.
    """

    def __init__(self, multicasts: int = 1_000, targets: int = 2_000_000) -> None:
        self._multicasts = multicasts
        self._targets = targets
        self._held: OrderedDict[tuple[str, str], Collector] = OrderedDict()
        self._weights: dict[tuple[str, str], int] = {}

    def add(self, namespace: str, collector: Collector) -> None:
        """Holds a collector under its message id (a repeated id replaces the older one)."""
        key = (namespace, collector.message_id)
        self._forget(key)
        self._held[key] = collector

    def finished(self, namespace: str, collector: Collector) -> None:
        """All targets of a collector are known: makes room if there are too many now."""
        key = (namespace, collector.message_id)
        if self._held.get(key) is not collector:
            return
        self._weights[key] = len(collector.tally.codes)
        while len(self._held) > self._multicasts or sum(self._weights.values()) > self._targets:
            self._forget(next(iter(self._held)))

    def get(self, namespace: str, message_id: str) -> Collector | None:
        """The collector of a recent multicast."""
        return self._held.get((namespace, message_id))

    def _forget(self, key: tuple[str, str]) -> None:
        self._held.pop(key, None)
        self._weights.pop(key, None)
