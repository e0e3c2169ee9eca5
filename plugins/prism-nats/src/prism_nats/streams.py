"""The two JetStream streams of a namespace: made, published to with acknowledgement, and cleared; read by `Reading`.

A consumer for each queue doesn't scale, so there is none: messages are read by subject with direct gets.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Final

from prism.model.time import Micros
from prism.slots.context import QueuePolicy

from prism_nats.answers import Ack, Outcome, is_busy, outcome_of
from prism_nats.attempts import Attempts
from prism_nats.config import NatsConfig
from prism_nats.errors import Rejected, ReplyTimeout
from prism_nats.link import Link
from prism_nats.making import ensure
from prism_nats.reading import NO_SUCH_MESSAGE, Reading
from prism_nats.stamps import parse_stamp
from prism_nats.subjects import Subjects

ROLLUP: Final = b"NATS/1.0\r\nNats-Rollup: sub\r\n\r\n"
"""Puts a record in the place of the one before."""
_API_WINDOW: Final = 256
"""API requests in flight; a server drops all that wait when there are more than 10,000."""
_SLACK: Final = 64


class Streams(Reading):
    """Both streams of one namespace, over one connection."""

    def __init__(self, link: Link, subjects: Subjects, config: NatsConfig, policy: QueuePolicy) -> None:
        super().__init__(link, subjects, config.timeout)
        self._config = config
        self._policy = policy
        self._opening = asyncio.Lock()
        self._unsure = False
        self.life = ""
        """Changes when the stream of the queues is made anew: its sequences begin again then."""

    async def open(self) -> Micros:
        """Makes what isn't there and checks what is; returns the server's time.

        Raises:
            Rejected: JetStream is off, or has no room.
            WrongStream: a stream of ours can't serve.
        """
        policy, subjects = self._policy, self.subjects
        physical = policy.max_messages + policy.max_dead_letters + max(_SLACK, policy.max_messages // 8)
        info = await ensure(
            self.api,
            self._config.stream,
            subjects.queue_stream,
            {
                "subjects": [subjects.mark, f"{subjects.mark}.>"],
                "max_msgs_per_subject": physical,
                "discard": "new",
                "discard_new_per_subject": True,
                "allow_rollup_hdrs": True,
                "duplicate_window": round(self._config.stream.duplicate_window * 1e9),
                "max_bytes": self._config.stream.max_bytes,
            },
            self.timeout,
        )
        await ensure(
            self.api,
            self._config.stream,
            subjects.ledger_stream,
            {
                "subjects": [subjects.sentinel, f"{subjects.sentinel}.>"],
                "max_msgs_per_subject": 1,
                "discard": "old",
            },
            self.timeout,
        )
        self._replicas = info["config"]["num_replicas"]
        self.life = re.sub(r"\D", "", info["created"])
        # Records that are always there: a read that finds nothing doesn't say how far it looked.
        await self.publish_one(subjects.mark, b"", ROLLUP)
        await self.publish_one(subjects.sentinel, b"")
        for stream in (subjects.queue_stream, subjects.ledger_stream):
            await self.latest(stream, [])  # a server that can't do this kind of read is found out here
        return parse_stamp(info["ts"].encode())

    def doubt(self) -> None:
        """To be called when the connection was lost: a server that keeps streams in memory may have none any more."""
        self._unsure = True

    async def ready(self) -> bool:
        """Makes the streams again where they are gone since the connection was lost; whether they are new.

        Raises what `open` does.
        """
        async with self._opening:
            if not self._unsure:
                return False
            before = self.life
            self._unsure = False
            try:
                await self.open()
            except BaseException:
                self._unsure = True
                raise
            return self.life != before

    async def server_time(self) -> Micros:
        """The server's time now."""
        info = await self.api(f"STREAM.INFO.{self.subjects.queue_stream}", {})
        return parse_stamp(info["ts"].encode())

    async def publish(
        self,
        subjects: Sequence[bytes],
        headers: Sequence[bytes],
        bodies: Sequence[bytes],
        patience: float | None = None,
    ) -> list[Outcome]:
        """Publishes messages, thousands at a time, and says for each whether it is stored.

        `patience` is how many seconds without any answer are enough to give up; None is `timeout`.
        """
        replies = await self.link.ask(subjects, headers, bodies, patience=patience)
        return [outcome_of(reply, patience or self.timeout) for reply in replies]

    async def publish_one(self, subject: str, body: bytes, headers: bytes = b"") -> int:
        """Publishes a message, again while nobody takes it, and returns its sequence."""
        last: Exception = ReplyTimeout("not tried")
        async for _ in Attempts(self.timeout):
            (outcome,) = await self.publish([subject.encode()], [headers], [body])
            if isinstance(outcome, Ack):
                return outcome.seq
            last = outcome
            if not is_busy(outcome):
                break
        raise last

    async def remove(self, sequences: Sequence[int]) -> None:
        """Removes messages; those that are gone are ignored."""
        to = f"$JS.API.STREAM.MSG.DELETE.{self.subjects.queue_stream}".encode()
        await self._api_many(to, [b'{"seq":%d,"no_erase":true}' % seq for seq in sequences])

    async def purge(self, stream: str, subjects: Sequence[bytes], before: Sequence[int | None]) -> None:
        """Removes the messages of subjects, those below a sequence or (None) all."""
        to = f"$JS.API.STREAM.PURGE.{stream}".encode()
        bodies = [
            b'{"filter":"%b"}' % subject if seq is None else b'{"filter":"%b","seq":%d}' % (subject, seq)
            for subject, seq in zip(subjects, before, strict=True)
        ]
        await self._api_many(to, bodies)

    async def _api_many(self, to: bytes, bodies: list[bytes]) -> None:
        async for _ in Attempts(self.timeout):
            nothing = [b""] * len(bodies)
            replies = await self.link.ask([to] * len(bodies), nothing, bodies, _API_WINDOW, self.patience)
            again = []
            for body, reply in zip(bodies, replies, strict=True):
                outcome = outcome_of(reply, self.timeout)
                if is_busy(outcome) or isinstance(outcome, ReplyTimeout):
                    again.append(body)
                elif isinstance(outcome, Rejected) and outcome.code not in NO_SUCH_MESSAGE:
                    raise outcome
            bodies = again
            if not bodies:
                return
        raise ReplyTimeout(f"JetStream did not carry out {len(bodies)} removals in {self.timeout} s")
