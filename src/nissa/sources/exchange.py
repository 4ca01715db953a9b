"""One request and its answer: a slot in the order in which a connection must answer.

    headers complete ──► waiting in the connection's queue ──► body complete ──► submitted ──► settled ──► answered

Outcomes settle in any order; a connection writes the answers from the head of its queue only.
"""

from typing import TYPE_CHECKING

from nissa.model.intake import Outcome
from nissa.sources.answers import Answer
from nissa.sources.negotiate import Negotiated
from nissa.sources.routes import Route

if TYPE_CHECKING:
    from nissa.sources.connection import Connection


class Exchange:
    """State of one request. ``settle`` may be called on any thread; everything else belongs to the loop.

    answer: what will be written, once known. close: the answer is the last one of its connection.
    wants_continue: the sender waits for ``100 Continue`` before it sends the body.
    """

    __slots__ = ("answer", "begun_s", "close", "connection", "negotiated", "outcome", "route", "wants_continue")

    def __init__(self, connection: "Connection", route: Route, close: bool) -> None:
        self.connection = connection
        self.route = route
        self.close = close
        self.negotiated: Negotiated | None = None
        self.answer: Answer | None = None
        self.outcome: Outcome | None = None
        self.begun_s = 0.0
        self.wants_continue = False

    def settle(self, outcome: Outcome) -> None:
        """The fate of the frame is known: tell the loop. A second call for the same frame changes nothing."""
        if self.outcome is None:
            self.outcome = outcome
            self.connection.endpoint.mailbox.post(self)
