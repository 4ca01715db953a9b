"""Finds groups of targets for one entry: as they are written, in files, or from an URL.

    static_configs     once
    file_sd_configs    files that fit a pattern, read again when one changes; JSON or YAML
    http_sd_configs    a JSON list, asked for every refresh_interval

A list that cannot be had or read leaves the one before in force; the log and ``/api/status`` say so.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from nissa.config.document import read_list
from nissa.config.scrape_configs import FileSdConfig, HttpSdConfig, ScrapeConfig
from nissa.model.errors import ConfigInvalid, NissaError, SourceFailed
from nissa.model.units import MIB, SECOND_MS
from nissa.sources.scrape.fetch import Client
from nissa.sources.scrape.targets import Group

FILES_LOOK_S: Final = 2.0  # between two looks at files: a change is seen before refresh_interval
LIST_BYTES_MAX: Final = 16 * MIB  # of one list, in a file or from an URL
FILES_MAX: Final = 10_000  # that fit the patterns of one entry
HTTP_TIMEOUT_S: Final = 10.0

log = structlog.get_logger()
Changed = Callable[[], None]


class Discovery:
    """The groups of one entry. Everything runs on the loop."""

    def __init__(
        self, entry: ScrapeConfig, setting: str, clients: Iterable[Client], before: "Discovery | None" = None
    ) -> None:
        """setting: path of the entry, for messages. clients: one for each of its http_sd_configs. before: the one that
        this one replaces; its lists from the same files and URLs hold until they are read anew.
        """
        self.failures: int = before.failures if before is not None else 0
        self._entry = entry
        self._setting = setting
        self._clients = tuple(clients)
        self._lists: dict[str, tuple[Group, ...]] = {}
        self._wrong: dict[str, str] = {}
        if before is not None:
            self._lists |= {place: groups for place, groups in before.lists().items() if self._asks(place)}
        self._lists["static"] = tuple(Group(one.targets, one.labels) for one in entry.static_configs)

    def groups(self) -> list[Group]:
        """All groups found so far."""
        return [group for place in sorted(self._lists) for group in self._lists[place]]

    def lists(self) -> dict[str, tuple[Group, ...]]:
        """File or URL -> the groups it holds."""
        return dict(self._lists)

    def _asks(self, place: str) -> bool:
        urls = (config.url for config in self._entry.http_sd_configs)
        patterns = (pattern for config in self._entry.file_sd_configs for pattern in config.files)
        return place in urls or any(fnmatch(place, pattern) for pattern in patterns)

    def errors(self) -> dict[str, str]:
        """File or URL -> why its list could not be had the last time."""
        return dict(self._wrong)

    async def run(self, changed: Changed) -> None:
        """Look for groups until cancelled. changed: called whenever there are others."""
        async with asyncio.TaskGroup() as tasks:
            for files in self._entry.file_sd_configs:
                tasks.create_task(self._watch_files(files, changed))
            for url, client in zip(self._entry.http_sd_configs, self._clients, strict=True):
                tasks.create_task(self._ask(url, client, changed))

    async def _watch_files(self, config: FileSdConfig, changed: Changed) -> None:
        known: dict[str, tuple[int, int]] = {}
        while True:
            found = await asyncio.to_thread(_states, config.files)
            others = {path for path, state in found.items() if known.get(path) != state}
            gone = known.keys() - found.keys()
            for path in gone:
                self._lists.pop(path, None)
                self._wrong.pop(path, None)
            for path in sorted(others):
                self._take(path, await asyncio.to_thread(_read_file, path))
            known = found
            if others or gone:
                changed()
            await asyncio.sleep(min(config.refresh_interval / SECOND_MS, FILES_LOOK_S))

    async def _ask(self, config: HttpSdConfig, client: Client, changed: Changed) -> None:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "X-Prometheus-Refresh-Interval-Seconds": f"{config.refresh_interval / SECOND_MS:g}",
        }
        while True:
            before = self._lists.get(config.url)
            try:
                answer = await client.get(config.url, headers, HTTP_TIMEOUT_S, LIST_BYTES_MAX)
                self._take(config.url, _groups_of(_json(answer.body), config.url, {"__meta_url": config.url}))
            except NissaError as error:
                self._take(config.url, error)
            if self._lists.get(config.url) != before:
                changed()
            await asyncio.sleep(config.refresh_interval / SECOND_MS)

    def _take(self, place: str, found: tuple[Group, ...] | NissaError) -> None:
        """Hold a list, or say why there is none; a fault is logged when it is another than before."""
        if not isinstance(found, NissaError):
            self._lists[place] = found
            self._wrong.pop(place, None)
            return
        self.failures += 1
        if self._wrong.get(place) != str(found):
            log.warning("a list of targets could not be read", setting=self._setting, place=place, error=str(found))
        self._wrong[place] = str(found)


def _states(patterns: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Path -> time of change and size, of the files that fit."""
    found = {}
    fitting = {path for pattern in patterns for path in Path(pattern).parent.glob(Path(pattern).name)}
    for path in sorted(fitting)[:FILES_MAX]:
        try:
            state = path.stat()
        except OSError:  # it went away meanwhile
            continue
        found[str(path)] = (state.st_mtime_ns, state.st_size)
    return found


def _read_file(path: str) -> tuple[Group, ...] | NissaError:
    try:
        with Path(path).open("rb") as file:
            text = file.read(LIST_BYTES_MAX + 1)
        if len(text) > LIST_BYTES_MAX:
            return SourceFailed(f"{path}: over the limit of {LIST_BYTES_MAX} bytes")
        found = _json(text) if path.endswith(".json") else read_list(text, path)
        return _groups_of(found, path, {"__meta_filepath": path})
    except OSError as error:
        return SourceFailed(f"{path}: {error.strerror or error}")
    except NissaError as error:
        return error


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceFailed(f"not JSON: {error}"[:300]) from None


def _groups_of(found: Any, place: str, meta: dict[str, str]) -> tuple[Group, ...]:
    try:
        groups = msgspec.convert(found, tuple[Group, ...], strict=True)
    except msgspec.ValidationError as error:
        raise ConfigInvalid("", f"{place}: {error}") from None
    return tuple(Group(group.targets, {**group.labels, **meta}) for group in groups)
