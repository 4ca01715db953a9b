"""The configuration of routing, compiled: routes, receivers, inhibition and time intervals.

alertmanager.yml ─┐
short form ───────┴──► AlertmanagerFile ──compile──► Routing
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import yaml

from nissa.alerting.inhibition import InhibitRule, compile_inhibit_rules
from nissa.alerting.route_tree import RouteNode, compile_routes
from nissa.alerting.time_intervals import TimeInterval, WrittenInterval, read_interval
from nissa.config.alerting import Alerting
from nissa.config.alertmanager_file import (
    AlertmanagerFile,
    NamedIntervals,
    RouteConfig,
    check_alertmanager,
    converted,
    read_alertmanager_file,
)
from nissa.config.alertmanager_templates import TemplateFile
from nissa.config.document import Fail
from nissa.config.receivers import SECRET_FIELDS, ReceiverConfig
from nissa.config.sink_checks import NAME
from nissa.model.errors import ConfigInvalid
from nissa.model.secrets import HIDDEN, hide_in_urls

ROUTES_LABEL: Final = "routes"  # of alerts of the short form: names of receivers, with commas
CHANNEL_TYPES: Final = ("webhook", "slack", "pagerduty", "email", "alertmanager", "nats", "oona")


class Routing(msgspec.Struct, frozen=True, eq=False):
    """All that decides where alerts go. original: the configuration as YAML, without its secrets.

    fail: makes an error with the place of something in the configuration. texts: files of templates. is_short: the
    configuration has the short form.
    """

    root: RouteNode
    receivers: Mapping[str, ReceiverConfig]
    inhibit_rules: tuple[InhibitRule, ...]
    intervals: Mapping[str, tuple[TimeInterval, ...]]
    resolve_timeout_ms: int
    original: str
    fail: Fail
    warnings: tuple[str, ...] = ()
    texts: tuple[TemplateFile, ...] = ()
    is_short: bool = False

    def place_of(self, receiver: str, channel: str) -> str:
        """The place of a channel such as ``slack[0]`` in the configuration, for ``fail``."""
        if self.is_short:
            return f"receivers.{receiver}"
        kind, _, number = channel.partition("[")
        return f"receivers[{list(self.receivers).index(receiver)}].{kind}_configs[{number}"

    def is_muted_by_time(self, route: RouteNode, now_ms: int) -> bool:
        """True while a route's time intervals keep its notifications back."""
        if any(self._holds(name, now_ms) for name in route.mute_time_intervals):
            return True
        active = route.active_time_intervals
        return bool(active) and not any(self._holds(name, now_ms) for name in active)

    def _holds(self, name: str, now_ms: int) -> bool:
        return any(one.holds(now_ms) for one in self.intervals[name])


def read_routing(settings: Alerting) -> Routing | None:
    """The routing that ``settings`` ask for, None where they ask for none. Raises: ConfigInvalid."""
    if settings.config_file:
        if settings.receivers or settings.routes:
            raise ConfigInvalid("alerting.config_file", "is set beside receivers or routes: use one of the forms")
        read = read_alertmanager_file(Path(settings.config_file))
        return _compiled(read.file, read.fail, read.document, read.warnings, read.texts)
    return _short_form(settings) if settings.receivers else None


def read_routing_file(path: Path) -> Routing:
    """The routing of a configuration file. Raises: ConfigInvalid."""
    read = read_alertmanager_file(path)
    return _compiled(read.file, read.fail, read.document, read.warnings, read.texts)


def _short_form(settings: Alerting) -> Routing:
    def fail(place: str, what: str) -> ConfigInvalid:
        return ConfigInvalid(f"alerting.{place}", what)

    receivers = []
    for name in settings.receivers:
        if not NAME.fullmatch(name):
            raise fail("receivers", f"{name[:80]!r}: a name has 1 to 64 characters of a-z, 0-9, _ and -")
    for name, one in settings.receivers.items():
        values = dict(one)
        kind = values.pop("type", "")
        if kind not in CHANNEL_TYPES:
            raise fail(f"receivers.{name[:80]}.type", f"expected one of {', '.join(CHANNEL_TYPES)}, got {kind[:80]!r}")
        written = {"name": name, f"{kind}_configs": [values]}
        try:
            receivers.append(converted(written, ReceiverConfig, fail))
            check_alertmanager(AlertmanagerFile(route=RouteConfig(name), receivers=(receivers[-1],)), fail)
        except ConfigInvalid as error:
            rest = error.path.partition(f"{kind}_configs[0]")[2]
            what = str(error).removeprefix(f"{error.path}: ")
            raise fail(f"receivers.{name[:80]}{rest}", what) from None
    names = settings.routes or tuple(settings.receivers)
    for name in names:
        if name not in settings.receivers:
            raise fail("routes", f"receiver {name[:80]!r} is not defined (alerting.receivers)")
    asked = [RouteConfig(name, matchers=(_asks_for(name),), continue_=True) for name in settings.receivers]
    default = [RouteConfig(name, matchers=(f'{ROUTES_LABEL}=""',), continue_=True) for name in names]
    route = RouteConfig(names[0], ("alertname",), routes=(*asked, *default))
    file = AlertmanagerFile(route=route, receivers=tuple(receivers))
    document = {"routes": list(names), "receivers": settings.receivers}
    short = _compiled(check_alertmanager(file, fail), fail, document, ())
    return msgspec.structs.replace(short, is_short=True)


def _asks_for(receiver: str) -> str:
    """The matcher of alerts whose rule names the receiver among its routes."""
    return f'{ROUTES_LABEL}=~"(.*,)?{receiver}(,.*)?"'


def _compiled(
    file: AlertmanagerFile, fail: Fail, document: Any, warnings: Iterable[str], texts: tuple[TemplateFile, ...] = ()
) -> Routing:
    named = [("time_intervals", file.time_intervals), ("mute_time_intervals", file.mute_time_intervals)]
    intervals = {}
    for kind, list_ in named:
        for number, one in enumerate(list_):
            intervals[one.name] = _intervals(one, f"{kind}[{number}]", fail)
    return Routing(
        compile_routes(file.route or RouteConfig(), fail),
        {one.name: one for one in file.receivers},
        compile_inhibit_rules(file.inhibit_rules, fail),
        intervals,
        int(file.globals_.resolve_timeout),
        yaml.safe_dump(_without_secrets(document), sort_keys=False, allow_unicode=True),
        fail,
        tuple(warnings),
        texts,
    )


def _intervals(named: NamedIntervals, place: str, fail: Fail) -> tuple[TimeInterval, ...]:
    found = []
    for number, one in enumerate(named.time_intervals):
        here = f"{place}.time_intervals[{number}]"
        written = converted(one, WrittenInterval, fail, here)
        try:
            found.append(read_interval(written))
        except ValueError as error:
            raise fail(here, str(error)) from None
    return tuple(found)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _hidden(name, one)
            if name in SECRET_FIELDS and isinstance(one, str) and one
            else _without_secrets(one)
            for name, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [_without_secrets(one) for one in value]
    return hide_in_urls(value) if isinstance(value, str) else value


def _hidden(name: str, value: str) -> str:
    """A secret as it is shown. Of an address, scheme and host stay: amtool reads the configuration back."""
    parts = urlsplit(value) if name == "url" else None
    if parts is None or not parts.hostname:
        return HIDDEN
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}" + (f"/{HIDDEN}" if parts.path.strip("/") or parts.query else "/")
