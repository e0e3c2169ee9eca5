"""Which subjects and streams a namespace has, and how any name becomes one token of a subject.

    prism.{namespace}.to.{identity}          what is published to an identity's own topic
    prism.{namespace}.inbox.{address}        what proxies send each other
    prism.{namespace}.queue                  the latest mark
    prism.{namespace}.queue.{identity}.c     the control record of a queue: that it exists, and since when
    prism.{namespace}.queue.{identity}.m     the messages of a queue
    prism.{namespace}.queue.{identity}.b.{body}  that a message of the queue has its payload stored apart
    prism.{namespace}.queue.~body.{body}.{i}     part of a payload stored apart, for all queues; no name has a ~
    prism.{namespace}.ledger.{identity}      what of a queue is leased, came back, was lost, was given up
    prism.{namespace}.ledger                 a record that is always there

A name is percent-encoded UTF-8: letters, digits, `_` and `-` stand for themselves, every other byte is `%` and two
upper-case hexadecimal digits. So no name has a dot, a wildcard or a space, two names never share a subject, and
`urllib.parse.unquote` gives the name back. 512 bytes become 1,536 at most, well within a protocol line of 4,096.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

_PLAIN = re.compile(r"[A-Za-z0-9_-]+", re.ASCII).fullmatch
_AWKWARD = re.compile(rb"[^A-Za-z0-9_-]")
_SHORT = 64


def token(name: str) -> str:
    """The name as one token of a subject."""
    if _PLAIN(name):
        return name
    return _AWKWARD.sub(lambda found: b"%%%02X" % found[0][0], name.encode()).decode("ascii")


class Subjects:
    """The subjects of one namespace.

    Args:
        prefix: the configuration's `subject_prefix`.
        namespace: the namespace, any text.
    """

    def __init__(self, prefix: str, namespace: str) -> None:
        self.root = f"{prefix}.{token(namespace)}"
        self.mark = f"{self.root}.queue"
        self.sentinel = f"{self.root}.ledger"
        self._topics = {"identity": "to.", "inbox": "inbox."}
        self.topic_prefix = f"{self.root}.".encode()
        """What the subjects of all topics begin with."""
        self._slug = _stream_slug(f"{prefix}.{token(namespace)}")

    def topic(self, kind: str, name: str) -> str:
        """The subject of a topic; `kind` is a TopicKind."""
        return f"{self.root}.{self._topics[kind]}{token(name)}"

    def topics(self, topics: Sequence[tuple[str, str]]) -> list[bytes]:
        """The subjects of many topics (kind and name), without `topic_prefix`."""
        kinds = {kind for kind, _ in topics}
        if len(kinds) == 1:
            first = self._topics[kinds.pop()]
            names = [name for _, name in topics]
            # A line break isn't plain, so names are plain if all of them together are.
            if _PLAIN("".join(names)):
                return (first + f"\n{first}".join(names)).encode().split(b"\n")
            return [(first + token(name)).encode() for name in names]
        return [(self._topics[kind] + token(name)).encode() for kind, name in topics]

    def control(self, queue: str) -> str:
        """The subject of a queue's control record."""
        return f"{self.mark}.{token(queue)}.c"

    def messages(self, queue: str) -> str:
        """The subject of a queue's messages."""
        return f"{self.mark}.{token(queue)}.m"

    def all_of(self, queue: str) -> str:
        """Control record, messages and references of a queue."""
        return f"{self.mark}.{token(queue)}.>"

    def record_and_messages(self, queue: str) -> str:
        """Control record and messages of a queue."""
        return f"{self.mark}.{token(queue)}.*"

    def reference(self, queue: str, body: str) -> str:
        """The subject that says that a queue needs a body; `*` or `>` for the body are all of them."""
        return f"{self.mark}.{token(queue)}.b.{body}"

    def body(self, body: str, part: int | str) -> str:
        """The subject of a part of a body; `*` or `>` for all."""
        return f"{self.mark}.~body.{body}.{part}"

    def ledger(self, queue: str) -> str:
        """The subject of a queue's ledger."""
        return f"{self.sentinel}.{token(queue)}"

    @property
    def queue_stream(self) -> str:
        """The name of the stream with control records and messages."""
        return f"{self._slug}_QUEUE"

    @property
    def ledger_stream(self) -> str:
        """The name of the stream with the ledgers."""
        return f"{self._slug}_LEDGER"


def _stream_slug(text: str) -> str:
    """A stream's name is a folder's name too: short, and without dots. A hash stands for what doesn't fit."""
    plain = text.replace(".", "_")
    if _PLAIN(plain) and len(plain) <= _SHORT and text.count(".") == plain.count("_"):
        return plain
    digest = blake2b(text.encode(), digest_size=10).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_-]', '', plain)[:32]}={digest}"
