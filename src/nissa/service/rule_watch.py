"""Reads settings again when a file of rules has changed, where ``rules.watch`` asks for it.

    every rules.watch   path, size and time of each file of rules.files ──► others than before: as SIGHUP does

A change that is at fault is logged once, and the rules before it go on. Settings are read again as a whole, so a reload
may begin or end the watch, or give it other files.
"""

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from nissa.config.tree import Config
from nissa.model.errors import NissaError
from nissa.model.units import SECOND_MS
from nissa.service.rule_files import matching_paths

OFF_S: Final = 5  # between two looks at whether a reload has begun the watch

Stamps = dict[str, tuple[int, int]]


class WatchedSettings(Protocol):
    """Settings that can be read again."""

    @property
    def latest(self) -> Config:
        """As they were read last."""

    async def reload(self) -> list[str]:
        """Read them again. Raises: NissaError; it is in the log."""


async def watch_rules(settings: WatchedSettings) -> None:
    """Watch until cancelled."""
    seen: Stamps | None = None
    while True:
        rules = settings.latest.rules
        if not rules.watch_ms:
            seen = None
            await asyncio.sleep(OFF_S)
            continue
        now = await asyncio.to_thread(file_stamps, rules.files)
        if seen is not None and now != seen:
            with suppress(NissaError):  # the log has it; the next change is tried again
                await settings.reload()
        seen = now
        await asyncio.sleep(rules.watch_ms / SECOND_MS)


def file_stamps(patterns: tuple[str, ...]) -> Stamps:
    """Nanoseconds of the last change, and bytes, of each file that is there. Blocks."""
    found: Stamps = {}
    try:
        paths = matching_paths(patterns, "rules.files")
    except NissaError:  # too many files: a reload says so
        return found
    for path in paths:
        try:
            one = path.stat()
        except OSError:
            continue
        found[str(path)] = one.st_mtime_ns, one.st_size
    return found
