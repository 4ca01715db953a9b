"""Description of one metric that Nissa exposes about itself."""

from typing import Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric. name: as in the text format, ``_total`` included. aliases: its names in the specification.

    former: its name before 0.2, exposed beside it for one version; empty if it was not renamed.
    """

    name: str
    kind: Kind
    help: str
    origin: Literal["status", "tier", "source", "sink", "breaker", "shed", "counters", "cells", "process"]
    path: str = ""
    scale: float = 1.0
    unit: str = ""
    labels: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    former: str = ""
