"""Reads settings again while the daemon runs (SIGHUP, ``POST /-/reload``), all or nothing.

    settings ──read──► Config ──prepare──► each part reads and checks all it needs ──► each part applies it
                         └───────────────────┴─ one fault: nothing is applied, the log and the caller are given it

A part is one section of the configuration that can change at run time, such as ``sources.scrape``. Other settings that
have changed are named in the log: they need a restart.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

import structlog

from nissa.config.check import written_leaves
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid, NissaError
from nissa.model.secrets import hide_in_urls, hide_secrets

SHOWN: Final = 20  # settings that need a restart, in the log

Changed = dict[str, list[Any]]  # setting -> before and after

log = structlog.get_logger()


@runtime_checkable
class Reloadable(Protocol):
    """A part of the daemon whose settings can change while it runs."""

    @property
    def path(self) -> str:
        """Path of its section in the configuration."""

    def prepare(self, config: Config) -> Callable[[], None]:
        """Read and check everything for ``config``, changing nothing; in a worker thread.

        Returns: a function that applies it, called on the loop. Raises: ConfigInvalid.
        """


class Reload:
    """Reads settings again. Lives on the loop; ``facts`` is safe from any thread."""

    def __init__(
        self,
        read: Callable[[], Config],
        running: Config,
        parts: Sequence[Reloadable],
        now_ms: Callable[[], int],
        note_signal: Callable[[Changed], None] = lambda _: None,
    ) -> None:
        """read: the settings as they are written now. running: those of the start. now_ms: wall clock, Unix
        milliseconds. note_signal: called with the changes by a signal, in a worker thread.
        """
        self._read = read
        self._running = self.latest = running  # latest: as they were read last
        self._seen = written_leaves(running)
        self._changed: Changed = {}
        self._parts = parts
        self._now_ms = now_ms
        self._note_signal = note_signal
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._succeeded = True
        self._succeeded_ms = now_ms()
        self._error = ""
        self._others: list[str] = []  # changed settings that are not in force

    def start(self) -> None:
        """Begin to read settings again, as SIGHUP asks for."""
        task = asyncio.get_running_loop().create_task(self._log_fault())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _log_fault(self) -> None:
        try:
            await self.reload()
            await asyncio.to_thread(self._note_signal, self._changed)
        except NissaError:  # it is in the log
            return

    async def reload(self) -> list[str]:
        """Apply the settings as they are written now; returns paths of changed ones that need a restart.

        Raises: ConfigInvalid; then nothing has changed.
        """
        async with self._lock:
            try:
                config, changes = await asyncio.to_thread(self._prepare)
            except NissaError as error:
                self._succeeded, self._error = False, hide_in_urls(str(error))
                log.error("settings are not read again: none of them has changed", error=str(error))
                raise
            for apply in changes:
                apply()
            self.latest = config
            self._succeeded, self._error, self._succeeded_ms = True, "", self._now_ms()
            self._others = self._note_others(config)
            now = written_leaves(config)
            paths = [path for path in now if now[path] != self._seen.get(path)]
            self._changed = {path: [_shown(path, one.get(path)) for one in (self._seen, now)] for path in paths}
            self._seen = now
            return self._others

    def _prepare(self) -> tuple[Config, list[Callable[[], None]]]:
        try:
            config = self._read()
            return config, [part.prepare(config) for part in self._parts]
        except OSError as error:
            raise ConfigInvalid("", str(error)) from error

    def _note_others(self, config: Config) -> list[str]:
        before = written_leaves(self._running)
        sections = tuple(f"{part.path}." for part in self._parts)
        others = [
            each
            for path, value in written_leaves(config).items()
            if value != before.get(path) and not path.startswith(sections)
            for each in _changed(path, before.get(path), value)
        ]
        log.info("settings were read again", parts=",".join(part.path for part in self._parts))
        if others:
            log.warning("changed settings that need a restart", settings=",".join(others[:SHOWN]), count=len(others))
        return others

    def facts(self) -> Mapping[str, object]:
        """For ``/api/status``: successful is 0 where the last try failed; time in Unix milliseconds.

        changed: settings by the last reload, before and after.
        """
        return {
            "successful": int(self._succeeded),
            "last_success_ms": self._succeeded_ms,
            "error": self._error or None,
            "changed": self._changed,
            "need_restart": self._others[:SHOWN],
        }


def _changed(path: str, before: object, after: object) -> list[str]:
    """The path of a setting that has changed; of a section by names, such as sinks, those of the changed entries."""
    if not isinstance(after, dict) or not isinstance(before, dict):
        return [path]
    return [f"{path}.{name}" for name in {**before, **after} if before.get(name) != after.get(name)]


def _shown(path: str, value: object) -> Any:
    """A setting as the audit log may have it."""
    name = path.rpartition(".")[2]
    return hide_secrets({name: value})[name]
