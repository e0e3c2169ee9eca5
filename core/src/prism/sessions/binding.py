"""One identity as one session has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prism.model.operations import Ttl
    from prism.model.time import Micros
    from prism.sessions.events import Delivery
    from prism.sessions.session import Session


class Binding:
    """Ties an identity to a session under a registration id. The inbox's bounds are counted here.

    A binding is pending until the registry has the registration: what arrives meanwhile is held back, so that a
    client hears of the attachment before its first message.
    """

    __slots__ = (
        "asked_ttl",
        "attached",
        "displaced",
        "handle",
        "held",
        "identity",
        "more",
        "registration_id",
        "session",
        "ttl",
        "unacked",
        "waiting",
    )

    def __init__(self, session: Session, identity: str, registration_id: str, handle: int, asked_ttl: Ttl) -> None:
        self.session = session
        self.identity = identity
        self.registration_id = registration_id
        self.handle = handle
        self.asked_ttl = asked_ttl
        self.ttl: Micros | None = None
        """What it is renewed with, once active; None: it never expires."""
        self.attached = True
        """False once the session has lost it or let it go."""
        self.waiting = 0
        """At-most-once messages in the inbox that the transport hasn't taken."""
        self.unacked = 0
        """Leased messages that aren't settled."""
        self.more = False
        """Whether the queue may hold more than the window had room for."""
        self.held: list[Delivery] | None = []
        """What arrived while pending; None once active."""
        self.displaced: Binding | None = None
        """While pending: the binding whose place this one is about to take."""
