"""One request and its answer: a slot in the order in which a connection must answer.

    headers complete ──► waiting in the connection's queue ──► body complete ──► submitted ──► settled ──► answered

Outcomes arrive in any order; a connection writes answers only from the head of its queue.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nissa.model.intake import Outcome
from nissa.safeguards.priority import Priority
from nissa.safeguards.rate_limits import NO_BUCKETS, RateBucket
from nissa.sources.http.answers import Answer
from nissa.sources.http.negotiate import Negotiated
from nissa.sources.http.routes import Route

if TYPE_CHECKING:
    from nissa.sources.http.connection import Connection


class Exchange:
    """State of one request. ``complete`` may be called on any thread; everything else belongs to the loop.

    answer: what will be written, once known. close: the answer is the last one of its connection.
    push: method and grouping key, of a push only. priority, tenant: stated by headers. buckets: of rate limits that the
    frame pays from.
    wants_continue: the sender waits for ``100 Continue`` before it sends the body.
    """

    __slots__ = (
        *("answer", "begun_s", "buckets", "close", "connection", "negotiated", "outcome", "priority", "push"),
        *("route", "tenant", "wants_continue"),
    )

    def __init__(self, connection: "Connection", route: Route, close: bool) -> None:
        self.connection = connection
        self.route = route
        self.close = close
        self.negotiated: Negotiated | None = None
        self.answer: Answer | None = None
        self.outcome: Outcome | None = None
        self.begun_s = 0.0
        self.push: tuple[bytes, dict[str, str]] | None = None
        self.priority: Priority | None = None
        self.tenant = ""
        self.buckets: Sequence[RateBucket] = NO_BUCKETS
        self.wants_continue = False

    def complete(self, outcome: Outcome) -> None:
        """The fate of the frame is known: tell the loop. A second call for the same frame changes nothing."""
        if self.outcome is None:
            self.outcome = outcome
            self.connection.endpoint.mailbox.post(self)
