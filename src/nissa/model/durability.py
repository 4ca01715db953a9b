"""What an acknowledgement is worth: the three modes, each with a name that says what it loses.

================  ==================================  =====================================
mode              acknowledged after                  lost at a power cut / at kill -9
================  ==================================  =====================================
``fsync``         fdatasync returned                  nothing / nothing
``interval:<ms>`` the kernel has the bytes            at most that many ms / nothing
``os``            the kernel has the bytes            what the kernel had not written / nothing
================  ==================================  =====================================
"""

from typing import Literal

import msgspec

from nissa.model.errors import ConfigInvalid
from nissa.model.units import MINUTE_MS

SETTING = "storage.durability"
INTERVAL_MS_MAX = MINUTE_MS


class Durability(msgspec.Struct, frozen=True):
    """The mode in force; ``str`` gives its name as written in the configuration and in ``X-Nissa-Durability``."""

    mode: Literal["fsync", "interval", "os"] = "fsync"
    interval_ms: int = 0

    def __str__(self) -> str:
        return f"interval:{self.interval_ms}" if self.mode == "interval" else self.mode


FSYNC = Durability("fsync")
OS = Durability("os")


def parse_durability(text: str) -> Durability:
    """The mode that ``text`` names.

    Raises: ConfigInvalid, naming the setting, the text and the three forms.
    """
    if text == "fsync":
        return FSYNC
    if text == "os":
        return OS
    name, colon, number = text.partition(":")
    if name == "interval" and colon and number.isascii() and number.isdigit() and len(number) < 10:
        interval_ms = int(number)
        if 1 <= interval_ms <= INTERVAL_MS_MAX:
            return Durability("interval", interval_ms)
        raise ConfigInvalid(SETTING, f"interval:{interval_ms} is outside 1 to {INTERVAL_MS_MAX} ms")
    raise ConfigInvalid(SETTING, f"expected fsync, interval:<ms> or os, got {text!r}")
