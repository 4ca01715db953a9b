"""Checks at a port where senders connect, before anything of a body is read: TLS, tokens, the door."""

import msgspec

from nissa.access.certificates import Certificates
from nissa.safeguards.door import Door
from nissa.sources.http.tokens import Tokens


class Entrance(msgspec.Struct, frozen=True):
    """certificates: of TLS; None: none. tokens: admit senders; None: all are. door: admits frames; None: all."""

    certificates: Certificates | None = None
    tokens: Tokens | None = None
    door: Door | None = None


OPEN = Entrance()
