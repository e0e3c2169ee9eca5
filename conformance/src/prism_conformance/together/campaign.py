"""At-least-once multicasts, numbered, while proxies and servers are killed in the middle of them.

What the sender is told to be stored (PENDING) or acked (DELIVERED) is written down, and what each identity receives.
In the end everything that was acknowledged must have arrived, nothing must have reached anybody outside the filter, and
everybody must be attached again without any help.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from prism import Client, Inbox, InboxEvent, Message, NotFound, PrismError, Reattached
from prism.model.delivery import Status

from prism_conformance.together.mixes import NAMESPACE
from prism_conformance.together.stand import Stand, Victim

RECOVERY = 60.0
"""Seconds until a multicast must have gone through after a kill, and until all has arrived in the end."""
SENDERS = 3
"""Multicasts that are under way at a time."""
WORK = 0.02
"""Seconds at most that a receiver takes for a message before it acks: who is killed meanwhile leaves it unacked."""
TTL = 300
ROUND = 20
"""Kills after which those that sleep come by for what was kept for them."""
TOLERANT = {"queues": {"visibility": "2s", "max_attempts": 10_000}}
"""For the durability slot: what a dead proxy had leased comes back soon, and no number of deaths gives a message up."""

_ACKNOWLEDGED = (Status.PENDING, Status.DELIVERED)


@dataclass
class Record:
    """What was sent, acknowledged and received."""

    kills: Counter[str] = field(default_factory=Counter)
    multicasts: int = 0
    """Those that were answered."""
    errors: Counter[str] = field(default_factory=Counter)
    """Multicasts that weren't, by error."""
    acknowledged: set[tuple[str, int]] = field(default_factory=set)
    """Identity and number of what the sender was told to be stored."""
    delivered: set[tuple[str, int]] = field(default_factory=set)
    """Of what it was told to be acked."""
    received: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """What must never happen, in words."""
    reattached: int = 0

    missing: set[tuple[str, int]] = field(default_factory=set)
    """Acknowledged, and not received (yet)."""

    def acknowledge(self, identity: str, number: int) -> None:
        """The sender was told that a message is stored."""
        self.acknowledged.add((identity, number))
        if (identity, number) not in self.received:
            self.missing.add((identity, number))

    def receive(self, identity: str, number: int) -> None:
        """An identity got a message."""
        self.received[identity, number] += 1
        self.missing.discard((identity, number))

    @property
    def duplicates(self) -> int:
        """Messages that an identity got more than once, each further copy counted."""
        return sum(self.received.values()) - len(self.received)

    def __str__(self) -> str:
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        return (
            f"{self.kills.total():,} kills ({kills}); {self.multicasts:,} multicasts answered, "
            f"{self.errors.total():,} refused; {len(self.acknowledged):,} acknowledged, {len(self.missing):,} missing; "
            f"{len(self.received):,} received, {self.duplicates:,} duplicates; re-attached {self.reattached:,} times"
        )


class Campaign:
    """Receivers that listen, sleepers that are away until the end, and strangers whom no filter matches.

    Args:
        stand: what runs.
        seed: of when and what is killed.
        progress: called with a line after each kill.
        victims: what is killed, by the type or "proxy"; all by default.
        patience: seconds to wait in the end for what was acknowledged.
    """

    RECEIVERS = 12
    SLEEPERS = 4
    STRANGERS = 4

    def __init__(
        self,
        stand: Stand,
        seed: int,
        progress: Callable[[str], None] | None = None,
        *,
        victims: Collection[str] | None = None,
        patience: float = RECOVERY,
    ) -> None:
        self.record = Record()
        self._stand = stand
        self._victims = [victim for victim in stand.victims if victims is None or victim.kind in victims]
        self._patience = patience
        self._random = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._progress = progress or (lambda _line: None)
        self._number = 0
        self._last_success = 0
        self._killing = False
        self._sending = asyncio.Event()
        self._success = asyncio.Condition()
        self._news = asyncio.Condition()

    async def run(self, kills: int) -> Record:
        """Kills so many times, lets everything come to rest, and returns the record.

        Raises:
            TimeoutError: nothing goes through a minute after a kill, or not all has arrived a minute after the last.
        """
        addresses = self._stand.addresses
        async with AsyncExitStack() as stack:
            orders = (addresses, addresses[::-1])
            clients = [await stack.enter_async_context(Client(NAMESPACE, ",".join(order))) for order in orders]
            sleepers = {f"sleeper-{i}": {"group": "in"} for i in range(self.SLEEPERS)}
            await clients[0].registry.register_many(sleepers, ttl=0, raise_on_error=True)
            receivers = [{f"receiver-{i}": {"group": "in"}} for i in range(self.RECEIVERS)]
            strangers = {f"stranger-{i}": {"group": "out"} for i in range(self.STRANGERS)}
            inboxes = [
                await stack.enter_async_context(clients[i % 2].registry.attach(who, ttl=TTL, on_event=self._note))
                for i, who in enumerate((strangers, *receivers))
            ]
            async with asyncio.TaskGroup() as tasks:
                listening = [tasks.create_task(self._listen(inbox)) for inbox in inboxes]
                for done in range(0, kills, ROUND):
                    await self._kill_while_sending(clients[1], min(ROUND, kills - done))
                    await self._sleepers_come_by(clients, sleepers)
                    if self.record.missing or self.record.wrong:
                        break
                for task in listening:
                    task.cancel()
        return self.record

    async def _sleepers_come_by(self, clients: list[Client], sleepers: Iterable[str]) -> None:
        """They get all that was kept for them, and sleep on; meanwhile everybody has to be attached."""
        returning = clients[1].registry.attach(dict.fromkeys(sleepers), ttl=0, keep=True, on_event=self._note)
        try:
            async with returning as backlog, asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(self._listen(backlog))
                await self._all_received()
                await self._everybody_is_attached(clients[0])
                listening.cancel()
        except NotFound as error:
            self.record.wrong.append(f"a registration was lost: {error}")

    async def _kill_while_sending(self, client: Client, kills: int) -> None:
        self._killing = True
        async with asyncio.TaskGroup() as tasks:
            sending = [tasks.create_task(self._send(client)) for _ in range(SENDERS)]
            turn: list[Victim] = []
            for _ in range(kills):
                turn = turn or self._random.sample(self._victims, len(self._victims))
                await self._kill(turn.pop())
                self._progress(str(self.record))
            for task in sending:
                task.cancel()
        self._killing = False

    async def _kill(self, victim: Victim) -> None:
        """In the middle of a multicast; returns when one that began afterwards has gone through to everybody.

        Not before something was acknowledged, which is what there is to lose.
        """
        await self._gone_through(0, "nothing went through before the first kill")
        self._sending.clear()
        await self._sending.wait()
        await asyncio.sleep(self._random.uniform(0, 0.01))
        await victim.kill()
        self.record.kills[victim.kind] += 1
        await victim.restart()
        await self._gone_through(self._number, f"nothing went through {RECOVERY:g} s after {victim.name} was killed")

    async def _gone_through(self, begun: int, otherwise: str) -> None:
        """Waits for a multicast with a higher number to be acknowledged for everybody."""
        try:
            async with asyncio.timeout(RECOVERY), self._success:
                await self._success.wait_for(lambda: self._last_success > begun)
        except TimeoutError:
            raise TimeoutError(f"{otherwise}: {'; '.join(self.record.errors)}") from None

    async def _send(self, client: Client) -> None:
        while True:
            self._number += 1
            number = self._number
            for _ in range(2):  # a repetition under the same id is what an application does, and must be harmless
                if await self._sent(client, number):
                    self._last_success = max(self._last_success, number)
                    async with self._success:
                        self._success.notify_all()
                    break

    async def _sent(self, client: Client, number: int) -> bool:
        """Whether everybody's is acknowledged."""
        self._sending.set()
        try:
            result = await client.registry.multicast(
                {"group": "in"}, {"n": number}, delivery="at-least-once", timeout=1, message_id=f"m{number}"
            )
        except PrismError as error:
            self.record.errors[f"{type(error).__name__}: {error}"] += 1
            return False
        self.record.multicasts += 1
        if result.target_count != self.RECEIVERS + self.SLEEPERS:
            self.record.wrong.append(f"multicast {number} matched {result.target_count}: identities were dropped")
        for status in result.statuses:
            if status.status in _ACKNOWLEDGED:
                self.record.acknowledge(status.identity, number)
            if status.status is Status.DELIVERED:
                self.record.delivered.add((status.identity, number))
        return all(status.status in _ACKNOWLEDGED for status in result.statuses)

    async def _listen(self, inbox: Inbox) -> None:
        async for message in inbox:
            self._take(message)
            if self._killing:
                await asyncio.sleep(self._random.uniform(0, WORK))
            await message.ack()
            async with self._news:
                self._news.notify_all()

    def _take(self, message: Message) -> None:
        content = message.json()
        if "n" not in content:
            return  # the last one, which is for everybody
        if message.id != f"m{content['n']}":
            self.record.wrong.append(f"number {content['n']} came under the id {message.id}")
        if message.identity.startswith("stranger"):
            self.record.wrong.append(f"{message.identity} got number {content['n']}, which wasn't for it")
        self.record.receive(message.identity, content["n"])

    def _note(self, event: InboxEvent) -> None:
        if isinstance(event, Reattached):
            self.record.reattached += 1

    async def _all_received(self) -> None:
        try:
            async with asyncio.timeout(self._patience), self._news:
                await self._news.wait_for(lambda: not self.record.missing)
        except TimeoutError:
            return  # the record says what is missing
        if never := self.record.delivered - self.record.received.keys():
            self.record.wrong.append(f"called DELIVERED, and never received: {sorted(never)[:5]}")

    async def _everybody_is_attached(self, client: Client) -> None:
        """A message that can only be DELIVERED to who is attached reaches everybody."""
        total = self.RECEIVERS + self.SLEEPERS + self.STRANGERS
        async with asyncio.timeout(RECOVERY):
            while True:
                result = await client.registry.multicast(None, {"last": True}, timeout=2)
                if (result.target_count, result.delivered_count) == (total, total):
                    return
