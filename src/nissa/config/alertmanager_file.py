"""Reads Alertmanager's configuration file: routes, receivers, inhibition and time intervals.

    alertmanager.yml ──read_document──► text ──known names──► AlertmanagerFile ──relations──► the same, checked

Paths of files in it are relative to it. What is not served is refused with its path and line; so are receivers and time
intervals that are named and not defined, as Alertmanager does. Matchers are text here; ``alerting/route_tree.py``
compiles them.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from nissa.config.alertmanager_templates import TemplateFile, read_text_files
from nissa.config.document import Document, Fail, line_of, read_document
from nissa.config.receivers import (
    RECEIVERS_REFUSED,
    Channel,
    EmailConfig,
    GlobalAlerting,
    HttpConfig,
    PagerdutyConfig,
    ReceiverConfig,
    SlackConfig,
)
from nissa.config.scrape_configs import Milliseconds
from nissa.config.unreadable import unreadable
from nissa.model.errors import ConfigInvalid
from nissa.model.quantity import Unit, read_quantity

DEFAULT_TIMEOUT_MS: Final = Milliseconds(10_000)  # of one attempt; Alertmanager's 0 means none
ALL_LABELS: Final = "..."  # of group_by: each set of labels is a group of its own
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_LABEL_NAME = re.compile(r"[^\W\d]\w*", re.ASCII)
_PASSED_OVER: Final = ("tracing",)
_GLOBAL_PASSED_OVER: Final = re.compile(
    r"(?:opsgenie|wechat|victorops|telegram|webex|jira|rocketchat|mattermost|incidentio)_\w+|smtp_tls_config|smtp_auth_identity|smtp_auth_secret\w*|smtp_force_implicit_tls"
)
_FILES: Final = (
    *("url_file", "secret_file", "api_url_file", "token_file", "routing_key_file", "auth_password_file"),
    *("smtp_auth_password_file", "slack_api_url_file", "bearer_token_file", "password_file", "username_file"),
    *("credentials_file", "ca_file", "cert_file", "key_file"),
)


class RouteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node of the route tree as it is written; None where the parent's value holds."""

    receiver: str = ""
    group_by: tuple[str, ...] | None = None
    matchers: tuple[str, ...] = ()
    match: dict[str, str] = {}
    match_re: dict[str, str] = {}
    continue_: bool = msgspec.field(name="continue", default=False)
    group_wait: Milliseconds | None = None
    group_interval: Milliseconds | None = None
    repeat_interval: Milliseconds | None = None
    mute_time_intervals: tuple[str, ...] = ()
    active_time_intervals: tuple[str, ...] = ()
    routes: tuple["RouteConfig", ...] = ()


class InhibitRuleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Alerts that the target matchers select are muted while one of the source fires with the same ``equal`` labels."""

    source_matchers: tuple[str, ...] = ()
    source_match: dict[str, str] = {}
    source_match_re: dict[str, str] = {}
    target_matchers: tuple[str, ...] = ()
    target_match: dict[str, str] = {}
    target_match_re: dict[str, str] = {}
    equal: tuple[str, ...] = ()
    name: str = ""


class NamedIntervals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Time intervals under one name; it holds where one of them holds. Each as it is written."""

    name: str = ""
    time_intervals: tuple[dict[str, Any], ...] = ()


class AlertmanagerFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. mute_time_intervals: the former name of time_intervals."""

    globals_: GlobalAlerting = msgspec.field(name="global", default=GlobalAlerting())
    route: RouteConfig | None = None
    receivers: tuple[ReceiverConfig, ...] = ()
    inhibit_rules: tuple[InhibitRuleConfig, ...] = ()
    time_intervals: tuple[NamedIntervals, ...] = ()
    mute_time_intervals: tuple[NamedIntervals, ...] = ()


class ReadAlertmanagerFile(msgspec.Struct, frozen=True):
    """A file that was read. fail: makes an error with the path and line of a place in it. warnings: a sentence each.

    texts: files of templates.
    """

    file: AlertmanagerFile
    warnings: tuple[str, ...]
    fail: Fail
    document: Document
    texts: tuple[TemplateFile, ...] = ()


def read_alertmanager_file(path: Path) -> ReadAlertmanagerFile:
    """The file at ``path``. Raises: ConfigInvalid, naming file, line and path in it."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    return parse_alertmanager_file(text, path)


def parse_alertmanager_file(text: bytes, path: Path) -> ReadAlertmanagerFile:
    """A file's ``text``; ``path`` is where it stands. Raises: ConfigInvalid."""
    document = read_document(text, str(path))

    def fail(place: str, what: str) -> ConfigInvalid:
        return ConfigInvalid("", f"{path}, line {line_of(text, place)}: {place}: {what}")

    texts, warnings = read_text_files(document.pop("templates", None), path.parent, fail)
    warnings += _without_passed_over(document, fail)
    file = _with_files_from(converted(document, AlertmanagerFile, fail), path.parent)
    checked = check_alertmanager(file, fail)
    return ReadAlertmanagerFile(checked, tuple(warnings), fail, document, texts)


def converted(document: Any, kind: Any, fail: Fail, prefix: str = "") -> Any:
    """Text as a struct of this kind. prefix: of places in messages. Raises: what ``fail`` makes."""
    try:
        return msgspec.convert(document, kind, strict=False, dec_hook=_duration)
    except msgspec.ValidationError as error:
        at = _AT.search(str(error))
        place, what = ".".join(filter(None, (prefix, at["path"] if at else ""))), _AT.sub("", str(error))
        unknown = _UNKNOWN.fullmatch(what)
        if unknown is not None:
            raise fail(f"{place}.{unknown['name'][:100]}".removeprefix("."), "unknown setting") from None
        raise fail(place, what[:1].lower() + what[1:]) from None


def _duration(kind: type, value: Any) -> Any:
    """Text of a duration as milliseconds. Raises: ValueError, which msgspec reports with its place."""
    if kind is not Milliseconds or not isinstance(value, str):
        raise ValueError(f"expected {kind.__name__.lower()}")
    milliseconds = read_quantity(value, Unit.DURATION)
    if milliseconds < 0:
        raise ValueError(f"expected a duration of at least 0, got {value!r}")
    return Milliseconds(milliseconds)


def _without_passed_over(document: Document, fail: Fail) -> list[str]:
    """Take names out of ``document`` that are passed over; a warning for each. Raises: what ``fail`` makes."""
    warnings = []
    for section in _PASSED_OVER:
        if section in document:
            warnings.append(str(fail(section, "passed over; Nissa does not serve it")))
            del document[section]
    common = document.get("global")
    if isinstance(common, dict):
        for name in [name for name in common if _GLOBAL_PASSED_OVER.fullmatch(name)]:
            warnings.append(str(fail(f"global.{name}", "passed over; Nissa does not serve it")))
            del common[name]
    receivers = document.get("receivers")
    for number, receiver in enumerate(receivers if isinstance(receivers, list) else ()):
        for name in receiver if isinstance(receiver, dict) else ():
            if name in RECEIVERS_REFUSED:
                raise fail(f"receivers[{number}].{name}", "is a channel of Alertmanager that Nissa does not serve")
    for name in [name for name, value in document.items() if value == ""]:  # every line below it is commented out
        del document[name]
    return warnings


def _with_files_from(file: Any, folder: Path) -> Any:
    """A struct with its files found from ``folder``, at any depth."""
    if isinstance(file, tuple):
        return tuple(_with_files_from(one, folder) for one in file)
    if not isinstance(file, msgspec.Struct):
        return file
    changed = {}
    for field in msgspec.structs.fields(file):
        value = getattr(file, field.name)
        if field.name in _FILES:
            changed[field.name] = str(folder / value) if value else ""
        elif isinstance(value, msgspec.Struct | tuple):
            changed[field.name] = _with_files_from(value, folder)
    return msgspec.structs.replace(file, **changed)


# ---- Relations -------------------------------------------------------------------------------------------------------


def check_alertmanager(file: AlertmanagerFile, fail: Fail) -> AlertmanagerFile:
    """The file with the defaults of ``global`` put into its receivers. Raises: what ``fail`` makes."""
    if file.route is None:
        raise fail("route", "is missing")
    receivers = _unique(((f"receivers[{number}]", one.name) for number, one in enumerate(file.receivers)), fail)
    named = [("time_intervals", file.time_intervals), ("mute_time_intervals", file.mute_time_intervals)]
    places = ((f"{kind}[{number}]", one.name) for kind, list_ in named for number, one in enumerate(list_))
    intervals = _unique(places, fail)
    _check_root(file.route, fail)
    _check_route(file.route, "route", receivers, intervals, fail)
    checked = []
    for number, receiver in enumerate(file.receivers):
        channels: dict[str, list[Channel]] = {}
        for place, channel in receiver.channels().items():
            kind, _, rest = place.partition("[")
            path = f"receivers[{number}].{kind}_configs[{rest}"
            filled = _filled(channel, file.globals_)
            _check_channel(filled, path, fail)
            channels.setdefault(f"{kind}_configs", []).append(filled)
        lists = {name: tuple(found) for name, found in channels.items()}
        checked.append(msgspec.structs.replace(receiver, **lists))
    return msgspec.structs.replace(file, receivers=tuple(checked))


def _unique(named: Iterable[tuple[str, str]], fail: Fail) -> frozenset[str]:
    taken: dict[str, str] = {}
    for place, name in named:
        if not name:
            raise fail(place, "name is missing")
        if name in taken:
            raise fail(f"{place}.name", f"{name[:80]!r} is the name of {taken[name]} too")
        taken[name] = place
    return frozenset(taken)


def _check_root(root: RouteConfig, fail: Fail) -> None:
    if not root.receiver:
        raise fail("route.receiver", "is missing: the root route needs a receiver")
    for name in ("matchers", "match", "match_re"):
        if getattr(root, name):
            raise fail(f"route.{name}", "the root route takes every alert and has no matchers")
    for name in ("mute_time_intervals", "active_time_intervals"):
        if getattr(root, name):
            raise fail(f"route.{name}", "the root route has no time intervals")
    if root.continue_:
        raise fail("route.continue", "the root route has no neighbours to continue with")


def _check_route(
    route: RouteConfig, place: str, receivers: frozenset[str], intervals: frozenset[str], fail: Fail
) -> None:
    if route.receiver and route.receiver not in receivers:
        raise fail(f"{place}.receiver", f"receiver {route.receiver[:80]!r} is not defined")
    for name in ("mute_time_intervals", "active_time_intervals"):
        for one in getattr(route, name):
            if one not in intervals:
                raise fail(f"{place}.{name}", f"time interval {one[:80]!r} is not defined")
    _check_grouping(route, place, fail)
    for number, child in enumerate(route.routes):
        _check_route(child, f"{place}.routes[{number}]", receivers, intervals, fail)


def _check_grouping(route: RouteConfig, place: str, fail: Fail) -> None:
    by = route.group_by or ()
    if ALL_LABELS in by and len(by) > 1:
        raise fail(f"{place}.group_by", f"{ALL_LABELS} stands alone, for all labels")
    if len(set(by)) < len(by):
        raise fail(f"{place}.group_by", "has a label twice")
    for name in by:
        if not name:
            raise fail(f"{place}.group_by", "has an empty name")
    for name in ("match", "match_re"):
        for label in getattr(route, name):
            if not _LABEL_NAME.fullmatch(label):
                raise fail(f"{place}.{name}", f"{label[:80]!r} is no label name")
    for name in ("group_interval", "repeat_interval"):
        if getattr(route, name) == 0:
            raise fail(f"{place}.{name}", "must be longer than 0")


def _filled(channel: Channel, common: GlobalAlerting) -> Channel:
    """The channel with what ``global`` says where it says nothing itself."""
    values: dict[str, Any] = {} if channel.timeout else {"timeout": DEFAULT_TIMEOUT_MS}
    if "http_config" in channel.__struct_fields__ and getattr(channel, "http_config", None) is None:
        values["http_config"] = common.http_config
    if isinstance(channel, SlackConfig) and not (channel.api_url or channel.api_url_file):
        values |= {"api_url": common.slack_api_url, "api_url_file": common.slack_api_url_file}
    if isinstance(channel, PagerdutyConfig) and not channel.url:
        values["url"] = common.pagerduty_url
    if isinstance(channel, EmailConfig):
        names = ("from_", "hello", "smarthost", "auth_username")
        values |= {name: getattr(channel, name) or getattr(common, f"smtp_{name.rstrip('_')}") for name in names}
        if not (channel.auth_password or channel.auth_password_file):
            values["auth_password"] = common.smtp_auth_password
            values["auth_password_file"] = common.smtp_auth_password_file
        if channel.require_tls is None:
            values["require_tls"] = common.smtp_require_tls
    return msgspec.structs.replace(channel, **values)


def _check_channel(channel: Channel, place: str, fail: Fail) -> None:
    needed = {
        "webhook": (("url", "url_file"),),
        "slack": (("api_url", "api_url_file", "token", "token_file"),),
        "pagerduty": (("routing_key", "routing_key_file"),),
        "email": (("to",), ("from_",), ("smarthost",)),
        "alertmanager": (("url",),),
        "nats": (("servers",), ("subject",)),
        "oona": (("url",), ("stream",)),
    }[type(channel).__name__.removesuffix("Config").lower()]
    for names in needed:
        if not any(getattr(channel, name) for name in names):
            raise fail(place, f"{' or '.join(name.rstrip('_') for name in names)} is missing")
    for name in channel.__struct_fields__:
        if name.endswith("_file") and getattr(channel, name) and getattr(channel, name.removesuffix("_file"), ""):
            raise fail(place, f"at most one of {name.removesuffix('_file')} and {name} may be set")
    if isinstance(channel, SlackConfig) and (channel.token or channel.token_file) and not channel.channel:
        raise fail(f"{place}.channel", "is missing: a token needs the channel")
    if isinstance(channel, EmailConfig) and not re.fullmatch(r".+:\d{1,5}", channel.smarthost):
        raise fail(f"{place}.smarthost", f"expected HOST:PORT, got {channel.smarthost[:80]!r}")
    addresses = ("url", "api_url") if not hasattr(channel, "stream") else ()
    for name in addresses:
        value = getattr(channel, name, "")
        if value and not value.startswith(("http://", "https://", "{{")):
            raise fail(f"{place}.{name}", "expected http://… or https://…")
    http = getattr(channel, "http_config", None)
    if isinstance(http, HttpConfig):
        ways = (http.basic_auth, http.authorization, http.bearer_token or http.bearer_token_file)
        if sum(way not in (None, "") for way in ways) > 1:
            raise fail(f"{place}.http_config", "at most one of basic_auth, authorization and bearer_token may be set")
