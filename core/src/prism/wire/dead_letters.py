"""Dead letters as pages of bounded size, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prism.model.message import DeadLetter, Message
from prism.v1 import registry_pb2 as pb
from prism.wire.identities import PAGE_BYTES


def to_pages(letters: Sequence[DeadLetter], limit: int = PAGE_BYTES) -> Iterator[pb.DeadLetterPage]:
    """Pages of at most about `limit` bytes, with at least one letter each; for none an empty one."""
    page = pb.DeadLetterPage()
    size = 0
    for letter in letters:
        message = _message(letter)
        length = message.ByteSize() + 8
        if size and size + length > limit:
            yield page
            page, size = pb.DeadLetterPage(), 0
        page.dead_letters.append(message)
        size += length
    yield page


def from_page(identity: str, page: pb.DeadLetterPage) -> Iterator[DeadLetter]:
    """The dead letters of a page."""
    for letter in page.dead_letters:
        sent = letter.message
        message = Message(sent.message_id, sent.payload, sent.content_type, sent.sent_at_us)
        yield DeadLetter(identity, message, letter.attempts, letter.died_at_us, letter.reason)


def _message(letter: DeadLetter) -> pb.DeadLetter:
    made = pb.DeadLetter(attempts=letter.attempts, died_at_us=letter.died_at, reason=letter.reason)
    made.message.message_id = letter.message.id
    made.message.payload = letter.message.payload
    made.message.content_type = letter.message.content_type
    made.message.sent_at_us = letter.message.sent_at
    return made
