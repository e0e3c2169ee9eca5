"""Reading the two JetStream streams of a namespace without consumers, by direct gets.

Any replica may answer those. Where there are several, an answer counts only if the replica is no older than the leader
was when we asked (`multi_last` says how far it looked).
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from prism_nats import protocol
from prism_nats.answers import Stored, answer_of, is_busy, messages_of, with_subjects
from prism_nats.attempts import Attempts
from prism_nats.errors import Rejected, ReplyTimeout
from prism_nats.exchanges import Reply
from prism_nats.link import Link
from prism_nats.stamps import parse_stamp
from prism_nats.subjects import Subjects

_SUBJECTS_A_READ: Final = 1_000
"""`multi_last` answers with 1,024 messages at most."""
_READ_BYTES: Final = 256 * 1024
_LARGE: Final = 32
"""Messages of any size read at a time; a server drops a connection that has 64 MB waiting for it."""
NO_SUCH_MESSAGE: Final = frozenset({10037, 10057, 10043})


class Reading:
    """The queue and ledger streams of a namespace as they are read, and the API that answers about them."""

    def __init__(self, link: Link, subjects: Subjects, timeout: float) -> None:
        self.link = link
        self.subjects = subjects
        self.timeout = timeout
        """Seconds for which a call is tried."""
        self.patience = min(timeout / 4, 2.0)
        """Seconds without an answer until what may be repeated is: a server that dies takes questions with it."""
        self._replicas = 1

    async def api(self, request: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Sends one request to the JetStream API.

        Raises:
            Rejected: its answer is an error.
        """
        subject, data = f"$JS.API.{request}", orjson.dumps(body)
        async for _ in Attempts(self.timeout):
            try:
                return answer_of(await self.link.request(subject, data, patience=self.patience))
            except ReplyTimeout as error:
                last = error
        raise last

    async def count(self, subjects: str) -> tuple[set[str], int]:
        """The subjects matching one that the stream of the queues has messages of, as its leader knows them.

        Returns:
            The subjects, and the sequence up to which they are known.
        """
        found: set[str] = set()
        offset, seen = 0, 2**63
        while True:
            info = await self.api(
                f"STREAM.INFO.{self.subjects.queue_stream}", {"subjects_filter": subjects, "offset": offset}
            )
            page = info["state"].get("subjects") or {}
            found.update(page)
            offset += len(page)
            seen = min(seen, int(info["state"]["last_seq"]))
            if not page or offset >= info.get("total", 0):
                return found, seen

    async def latest(self, stream: str, subjects: Sequence[bytes]) -> dict[bytes, Stored]:
        """The last message of each subject that has one.

        Raises:
            ReplyTimeout, ConnectionLost, Rejected: the read failed as a whole.
        """
        at_least = await self.freshness(stream)
        sentinel = (self.subjects.mark if stream == self.subjects.queue_stream else self.subjects.sentinel).encode()
        requests = []
        for start in range(0, len(subjects), _SUBJECTS_A_READ):
            wanted = [sentinel, *subjects[start : start + _SUBJECTS_A_READ]]
            requests += _split_by_bytes(wanted, self.link.max_payload)
        found: dict[bytes, Stored] = {}
        for request in requests:
            found.update(await self._latest(stream, request, at_least))
        return found

    async def freshness(self, stream: str) -> int:
        """The sequence that a replica must have reached for a read to count; 0 where there is but one copy."""
        if self._replicas == 1:
            return 0
        async for _ in Attempts(self.timeout):
            try:
                info = await self.api(f"STREAM.INFO.{stream}", {})
            except Rejected as error:
                if not is_busy(error):
                    raise
                last = error
            else:
                return int(info["state"]["last_seq"])
        raise last

    async def follow(
        self, subjects: Sequence[bytes], starts: Sequence[int], limits: Sequence[int]
    ) -> list[list[Stored]]:
        """Up to `limits[i]` messages of each queue's subject, from sequence `starts[i]` on.

        A large queue is cut short by bytes: `pending` of the last message says whether there is more.
        """
        stream = self.subjects.queue_stream
        known = await self.latest(stream, subjects) if self._replicas > 1 else {}
        found: list[list[Stored]] = [[] for _ in subjects]
        todo = list(range(len(subjects)))
        if known or self._replicas > 1:
            todo = [i for i in todo if (last := known.get(subjects[i])) is not None and last.seq >= starts[i]]
        to = f"$JS.API.DIRECT.GET.{stream}".encode()
        async for _ in Attempts(self.timeout):
            bodies = [
                b'{"seq":%d,"next_by_subj":"%b","batch":%d,"max_bytes":%d}'
                % (max(1, starts[i]), subjects[i], limits[i], _READ_BYTES)
                for i in todo
            ]
            again = []
            try:
                answers = await self.link.collect([to] * len(todo), bodies, self.patience)
            except ReplyTimeout:
                continue
            for i, replies in zip(todo, answers, strict=True):
                found[i] = messages_of(replies)
                reached = found[i][-1].seq if found[i] else 0
                ended = not found[i] or found[i][-1].pending == 0
                if ended and (last := known.get(subjects[i])) is not None and reached < last.seq:
                    again.append(i)  # a replica that lags
            todo = again
            if not todo:
                return found
        raise ReplyTimeout("the replicas of the stream lag behind its leader, or don't answer")

    async def read(self, sequences: Sequence[int]) -> dict[int, Stored]:
        """Messages by sequence; those that are gone are left out."""
        to = f"$JS.API.DIRECT.GET.{self.subjects.queue_stream}".encode()
        bodies = [b'{"seq":%d}' % seq for seq in sequences]
        replies: list[Reply] = []
        for start in range(0, len(bodies), _LARGE):
            replies += await self._ask_again(to, bodies[start : start + _LARGE])
        found: dict[int, Stored] = {}
        for reply in replies:
            if not protocol.status(reply[1]):
                (message,) = messages_of([reply])
                found[message.seq] = message
            elif protocol.status(reply[1]) != 404:
                raise Rejected(protocol.status(reply[1]), "reading a message failed")
        if self._replicas > 1:  # a replica that lags doesn't have what the leader has
            for seq in sequences:
                if seq not in found:
                    leaders = await self._read_from_leader(seq)
                    found |= {} if leaders is None else {seq: leaders}
        return found

    async def _ask_again(self, to: bytes, bodies: list[bytes]) -> list[Reply]:
        """The answer to each question, of which those without one are repeated."""
        found: dict[int, Reply] = {}
        async for _ in Attempts(self.timeout):
            todo = [i for i in range(len(bodies)) if i not in found]
            if not todo:
                return [found[i] for i in range(len(bodies))]
            questions = [bodies[i] for i in todo]
            replies = await self.link.ask([to] * len(todo), [b""] * len(todo), questions, patience=self.patience)
            found |= {i: reply for i, reply in zip(todo, replies, strict=True) if reply is not None}
        raise ReplyTimeout(f"no answer from NATS for {self.timeout:g} s")

    async def _read_from_leader(self, seq: int) -> Stored | None:
        last: Exception = ReplyTimeout("not tried")
        async for _ in Attempts(self.timeout):
            try:
                answer = await self.api(f"STREAM.MSG.GET.{self.subjects.queue_stream}", {"seq": seq})
            except Rejected as error:
                if error.code in NO_SUCH_MESSAGE:
                    return None
                if not is_busy(error):
                    raise
                last = error
            else:
                stored = answer["message"]
                data = b64decode(stored.get("data", ""))
                return Stored(seq, parse_stamp(stored["time"].encode()), data, 0)
        raise last

    async def _latest(self, stream: str, subjects: list[bytes], at_least: int) -> dict[bytes, Stored]:
        body = b'{"multi_last":["%b"]}' % b'","'.join(subjects)
        to = f"$JS.API.DIRECT.GET.{stream}".encode()
        async for _ in Attempts(self.timeout):
            try:
                (replies,) = await self.link.collect([to], [body], self.patience)
            except ReplyTimeout:
                continue
            end = replies[-1][1] or b""
            if protocol.status(end) in {404, 503}:
                continue  # the record that is always there wasn't found: the replica lags, or there is none now
            if protocol.status(end) != 204:
                raise Rejected(protocol.status(end), "reading the last messages failed")
            if (protocol.number(end, b"Nats-UpTo-Sequence") or 0) >= at_least:
                return dict(with_subjects(replies))
        raise ReplyTimeout("the replicas of the stream lag behind its leader, or can't be reached")


def _split_by_bytes(subjects: list[bytes], limit: int) -> list[list[bytes]]:
    """Halves, until each fits a request."""
    if sum(map(len, subjects)) + 3 * len(subjects) + 64 <= limit or len(subjects) == 1:
        return [subjects]
    middle = len(subjects) // 2
    # The first is the record that is always there.
    return _split_by_bytes(subjects[:middle], limit) + _split_by_bytes([subjects[0], *subjects[middle:]], limit)
