"""Interface to the tokens of senders, for the ingest port."""

from typing import Protocol


class Tokens(Protocol):
    """Tokens that admit senders."""

    def check(self, authorization: bytes | None) -> None:
        """Look at the header of a request, before its body. Raises: Unauthorized, or Unavailable while unknown."""
