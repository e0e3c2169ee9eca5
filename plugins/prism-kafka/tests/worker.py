"""A proxy's durability slot in a process of its own, for tests that kill it: `worker.py CONFIG sender|consumer`.

Says on its output, line by line, what it does and was promised: `ready`, `sent ID`, `acking QUEUE ID`,
`acked QUEUE ID`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

from prism.model.message import DeliverySemantics, Message
from prism.model.time import SECOND
from prism.slots.context import SlotContext
from prism.slots.durability import Enqueued, Gap, Settled
from prism_kafka.config import KafkaConfig
from prism_kafka.durability import KafkaDurability

QUEUES = [f"user-{i}" for i in range(5)]
VISIBILITY = SECOND


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def send(slot: KafkaDurability, name: str) -> None:
    """Puts messages into all queues, for ever."""
    for i in count():
        message = Message(f"{name}-{i}", b"x" * 300, "text/plain", 1, DeliverySemantics.AT_LEAST_ONCE)
        if await slot.enqueue(message, QUEUES) == [Enqueued()] * len(QUEUES):
            say(f"sent {message.id}")


async def consume(slot: KafkaDurability) -> None:
    """Takes and acks, for ever."""
    while True:
        leases = await slot.dequeue(QUEUES, 3, VISIBILITY)
        names = [f"{item.queue} {item.content.id}" for item in leases if not isinstance(item.content, Gap)]
        for name in names:
            say(f"acking {name}")
        for name, outcome in zip(names, await slot.ack(leases), strict=True):
            if outcome == Settled():
                say(f"acked {name}")


async def main(options: dict[str, Any], name: str) -> None:
    """Opens the slot and works until it is killed."""
    slot = KafkaDurability(KafkaConfig(**options), SlotContext("test"))
    await slot.open()
    say("ready")
    await (consume(slot) if name == "consumer" else send(slot, name))


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2]))
