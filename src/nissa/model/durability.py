"""Durability of an acknowledgement: three modes, each with a name that says what it loses.

================  ==================================  =====================================
mode              acknowledged after                  lost at a power cut / at kill -9
================  ==================================  =====================================
``fsync``         fdatasync returned                  nothing / nothing
``interval:50ms``  the kernel has the bytes            at most that long / nothing
``os``            the kernel has the bytes            what the kernel had not written / nothing
================  ==================================  =====================================
"""

import re
from contextlib import suppress
from typing import Literal

import msgspec

from nissa.model.errors import ConfigInvalid
from nissa.model.quantity import Unit, read_quantity
from nissa.model.units import MINUTE_MS

SETTING = "storage.durability"
INTERVAL_MS_MAX = MINUTE_MS
_LENGTH = re.compile(r"[0-9]{1,9}[a-z]{0,2}", re.ASCII)


class Durability(msgspec.Struct, frozen=True):
    """The mode in force; ``str`` gives its name as written in the configuration and in ``X-Nissa-Durability``."""

    mode: Literal["fsync", "interval", "os"] = "fsync"
    interval_ms: int = 0

    def __str__(self) -> str:
        return f"interval:{self.interval_ms}" if self.mode == "interval" else self.mode


FSYNC = Durability("fsync")
OS = Durability("os")


def parse_durability(text: str) -> Durability:
    """The mode that ``text`` names. An interval is a duration; a plain number is milliseconds.

    Raises: ConfigInvalid, naming the setting, the text and the three forms.
    """
    if text == "fsync":
        return FSYNC
    if text == "os":
        return OS
    name, _, length = text.partition(":")
    if name == "interval" and _LENGTH.fullmatch(length):
        with suppress(ValueError):
            interval_ms = read_quantity(length if length[-1].isalpha() else f"{length}ms", Unit.DURATION)
            if 1 <= interval_ms <= INTERVAL_MS_MAX:
                return Durability("interval", interval_ms)
            raise ConfigInvalid(SETTING, f"interval:{length} is outside 1ms to 1m")
    raise ConfigInvalid(SETTING, f"expected fsync, interval:DURATION such as interval:50ms, or os, got {text!r}")
