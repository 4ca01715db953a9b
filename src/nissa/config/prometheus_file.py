"""Reads Prometheus' configuration file, as it is written: ``scrape_configs`` and what of ``global`` concerns them.

    prometheus.yml ──read_document──► text ──known names──► PrometheusFile ──defaults, relations──► ScrapeFile
                                              │
                                              ├─ sections for other purposes: a warning with the path
                                              └─ not served, or unknown: ConfigInvalid with line and path

Entries may also stand in Nissa's own settings (``parse_inline_entries``).

Paths in it are relative to the file. Nothing is opened here but the file itself; secrets are read when they are used.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from nissa.config.document import Document, line_of, read_document
from nissa.config.scrape_configs import (
    ANY_VALUE,
    CLIENT_REFUSED,
    ENTRY_ACCEPTED,
    ENTRY_REFUSED,
    FILE_PASSED_OVER,
    FILE_REFUSED,
    GLOBAL_PASSED_OVER,
    PROTOCOLS,
    PROTOCOLS_ASKED,
    HttpClient,
    Milliseconds,
    PrometheusFile,
    ScrapeConfig,
    Size,
)
from nissa.config.unreadable import unreadable
from nissa.model.errors import ConfigInvalid
from nissa.model.quantity import Unit, read_quantity
from nissa.model.relabel import Relabelling

DEFAULT_TIMEOUT_MS: Final = 10_000
_SIZE = re.compile(r"(\d+)(B|[KMGTPE]i?B)", re.ASCII)
_SIZE_POWERS: Final = {"B": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_SIZE_MAX: Final = 2**62
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_HTTP2: Final = {"enable_http2": ANY_VALUE}
_FILE_FIELDS: Final = ("ca_file", "cert_file", "key_file", "password_file", "username_file", "credentials_file")


class ScrapeFile(msgspec.Struct, frozen=True):
    """Entries of ``scrape_configs`` with all defaults put in, and what was passed over, a sentence each."""

    entries: tuple[ScrapeConfig, ...]
    warnings: tuple[str, ...]


def read_scrape_file(path: Path, interval_ms: int) -> ScrapeFile:
    """Entries of the file at ``path``. interval_ms: between scrapes, where neither an entry nor ``global`` says it.

    Raises: ConfigInvalid, naming the file and the path in it.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    return parse_scrape_file(text, path, interval_ms)


def parse_scrape_file(text: bytes, path: Path, interval_ms: int) -> ScrapeFile:
    """Entries of a file's ``text``; ``path`` is where it stands. Raises: ConfigInvalid."""
    document = read_document(text, str(path))

    def fail(place: str, what: str) -> ConfigInvalid:
        return ConfigInvalid("", f"{path}, line {line_of(text, place)}: {place}: {what}")

    read = _read(document, path.parent, interval_ms, fail)
    return ScrapeFile(read.entries, tuple(f"{path}: {warning}" for warning in read.warnings))


def parse_inline_entries(entries: Iterable[Any], setting: str, interval_ms: int) -> ScrapeFile:
    """Entries that stand in Nissa's own settings, below the path ``setting``. Files are found from the working
    directory. Raises: ConfigInvalid, whose path is that of the setting.
    """

    def fail(place: str, what: str) -> ConfigInvalid:
        return ConfigInvalid(place.replace("scrape_configs", setting, 1), what)

    return _read({"scrape_configs": [*entries]}, Path(), interval_ms, fail)


def _read(document: Document, folder: Path, interval_ms: int, fail: "Fail") -> ScrapeFile:
    warnings: list[str] = []
    _without_unserved(document, warnings.append, fail)
    try:
        file = msgspec.convert(document, PrometheusFile, strict=False, dec_hook=_quantity)
    except msgspec.ValidationError as error:
        at = _AT.search(str(error))
        place, what = at["path"] if at else "", _AT.sub("", str(error))
        unknown = _UNKNOWN.fullmatch(what)
        if unknown is not None:
            raise fail(f"{place}.{unknown['name']}".removeprefix("."), "is no setting of Prometheus") from None
        raise fail(place, what[:1].lower() + what[1:]) from None
    entries = [_with_defaults(entry, file, interval_ms, folder) for entry in file.scrape_configs]
    _check(entries, fail)
    return ScrapeFile(tuple(entries), tuple(warnings))


Fail = Callable[[str, str], ConfigInvalid]
_Client = TypeVar("_Client", bound=HttpClient)


def _quantity(kind: type, value: Any) -> Any:
    """Text of a duration or size as a number. Raises: ValueError, which msgspec reports with its place."""
    if not isinstance(value, str) or kind not in (Milliseconds, Size):
        raise ValueError(f"expected {kind.__name__.lower()}, got a list")
    if kind is Milliseconds:
        milliseconds = read_quantity(value, Unit.DURATION)
        if milliseconds < 0:
            raise ValueError(f"expected a duration of at least 0, got {value!r}")
        return Milliseconds(milliseconds)
    if value == "0":
        return Size(0)
    size = _SIZE.fullmatch(value)
    if size is None or int(size[1]) << (10 * _SIZE_POWERS[size[2][0]]) > _SIZE_MAX:
        raise ValueError(f"expected a size such as 512KB or 10MB, got {value[:64]!r}")
    return Size(int(size[1]) << (10 * _SIZE_POWERS[size[2][0]]))


# ---- Names that are not served ---------------------------------------------------------------------------------------


def _without_unserved(document: Document, warn: Callable[[str], None], fail: Fail) -> None:
    """Take names out of ``document`` that are passed over. Raises ConfigInvalid for those that are refused."""
    _judge(document, "", {}, FILE_REFUSED, fail)
    _pass_over(document, "", FILE_PASSED_OVER, warn)
    _pass_over(document.get("global"), "global", GLOBAL_PASSED_OVER, warn)
    _judge(document.get("global"), "global", ENTRY_ACCEPTED, (), fail)
    entries = document.get("scrape_configs")
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        place = f"scrape_configs[{number}]"
        _judge(entry, place, ENTRY_ACCEPTED, ENTRY_REFUSED, fail)
        lists = entry.get("http_sd_configs") if isinstance(entry, dict) else None
        for which, one in enumerate(lists if isinstance(lists, list) else ()):
            _judge(one, f"{place}.http_sd_configs[{which}]", _HTTP2, CLIENT_REFUSED, fail)
    for name, empty in (("global", {}), ("scrape_configs", [])):
        if document.get(name) == "":  # every line below it is commented out
            document[name] = empty


def _pass_over(section: Any, place: str, names: Collection[str], warn: Callable[[str], None]) -> None:
    if isinstance(section, dict):
        for name in [name for name in section if name in names]:
            warn(f"{place}.{name}".removeprefix(".") + ": passed over; Nissa does not serve it")
            del section[name]


def _judge(
    section: Any, place: str, accepted: Mapping[str, Collection[str]], refused: Collection[str], fail: Fail
) -> None:
    """Take out names whose value asks for what Nissa does anyway. Raises: ConfigInvalid for what it does not do."""
    if not isinstance(section, dict):
        return
    for name in [name for name in section if name in refused or name in accepted]:
        here = f"{place}.{name}".removeprefix(".")
        if name in refused:
            raise fail(here, "is a setting of Prometheus that Nissa does not serve")
        values = accepted[name]
        if values is not ANY_VALUE and section[name] not in values:
            served = " or ".join(sorted(value or "none" for value in values))
            raise fail(here, f"Nissa serves {served} only, got {str(section[name])[:80]!r}")
        del section[name]


# ---- Defaults and relations ------------------------------------------------------------------------------------------


def _with_defaults(entry: ScrapeConfig, file: PrometheusFile, interval_ms: int, folder: Path) -> ScrapeConfig:
    common = file.globals_
    interval = entry.scrape_interval or common.scrape_interval or Milliseconds(interval_ms)
    timeout = entry.scrape_timeout or common.scrape_timeout or min(Milliseconds(DEFAULT_TIMEOUT_MS), interval)
    limits = ("body_size_limit", "sample_limit", "label_limit", "label_name_length_limit", "label_value_length_limit")
    return msgspec.structs.replace(
        _relative_to(entry, folder),
        scrape_interval=interval,
        scrape_timeout=timeout,
        scrape_protocols=entry.scrape_protocols or common.scrape_protocols or PROTOCOLS_ASKED,
        file_sd_configs=tuple(
            msgspec.structs.replace(one, files=tuple(str(folder / name) for name in one.files))
            for one in entry.file_sd_configs
        ),
        http_sd_configs=tuple(_relative_to(one, folder) for one in entry.http_sd_configs),
        **{name: getattr(entry, name) or getattr(common, name) for name in (*limits, "target_limit")},
    )


def _relative_to(client: _Client, folder: Path) -> _Client:
    """Settings of a client with its files found from the folder of the configuration file."""
    changed: dict[str, Any] = {}
    for name in ("basic_auth", "authorization", "tls_config"):
        section = getattr(client, name)
        if section is not None:
            files = {one: str(folder / getattr(section, one)) for one in _FILE_FIELDS if getattr(section, one, "")}
            changed[name] = msgspec.structs.replace(section, **files)
    if client.bearer_token_file:
        changed["bearer_token_file"] = str(folder / client.bearer_token_file)
    return msgspec.structs.replace(client, **changed)


def _check(entries: list[ScrapeConfig], fail: Fail) -> None:
    jobs: dict[str, int] = {}
    for number, entry in enumerate(entries):
        place = f"scrape_configs[{number}]"
        if not entry.job_name:
            raise fail(place, "job_name is missing")
        if entry.job_name in jobs:
            raise fail(f"{place}.job_name", f"{entry.job_name!r} is that of scrape_configs[{jobs[entry.job_name]}] too")
        jobs[entry.job_name] = number
        if entry.scrape_timeout > entry.scrape_interval:
            got, limit = entry.scrape_timeout / 1000, entry.scrape_interval / 1000
            raise fail(f"{place}.scrape_timeout", f"{got:g}s is longer than the scrape interval, {limit:g}s")
        for protocol in (*entry.scrape_protocols, *filter(None, [entry.fallback_scrape_protocol])):
            if protocol not in PROTOCOLS:
                raise fail(f"{place}.scrape_protocols", f"{protocol[:80]!r} is none of {', '.join(PROTOCOLS)}")
        _check_client(entry, place, fail)
        for which, one in enumerate(entry.http_sd_configs):
            if not one.url.startswith(("http://", "https://")):
                raise fail(f"{place}.http_sd_configs[{which}].url", "expected an URL of http or https")
            _check_client(one, f"{place}.http_sd_configs[{which}]", fail)
        for name in ("relabel_configs", "metric_relabel_configs"):
            try:
                Relabelling(getattr(entry, name))
            except ValueError as error:
                raise fail(f"{place}.{name}", str(error)) from None


def _check_client(client: HttpClient, place: str, fail: Fail) -> None:
    ways = (client.basic_auth, client.authorization, client.bearer_token or client.bearer_token_file)
    if sum(way not in (None, "") for way in ways) > 1:
        raise fail(place, "at most one of basic_auth, authorization and bearer_token may be set")
    pairs = [
        (client, "bearer_token"),
        (client.basic_auth, "username"),
        (client.basic_auth, "password"),
        (client.authorization, "credentials"),
        *((client.tls_config, name) for name in ("ca", "cert", "key")),
    ]
    for section, name in pairs:
        if section is not None and getattr(section, name) and getattr(section, f"{name}_file"):
            raise fail(place, f"at most one of {name} and {name}_file may be set")
    if client.authorization is not None and client.authorization.type.strip().lower() == "basic":
        raise fail(f"{place}.authorization.type", "basic is written as basic_auth")
    tls = client.tls_config
    if bool(tls.cert or tls.cert_file) != bool(tls.key or tls.key_file):
        raise fail(f"{place}.tls_config", "cert and key are given together")
