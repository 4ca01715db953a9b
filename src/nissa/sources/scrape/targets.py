"""Computes the targets of an entry of ``scrape_configs`` from its discovered groups.

group                  {targets: [web-1:9100], labels: {dc: ams}}
discovered labels      __address__ __scheme__ __metrics_path__ __scrape_interval__ __param_… job, those of the group
   │ relabel_configs
   ▼
target                 the address, path and parameters that are left make its URL; labels that begin with ``__``
                       go; ``instance`` is the address where nothing set it
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

import msgspec

from nissa.config.scrape_configs import ScrapeConfig
from nissa.model.context import LABELS_MAX
from nissa.model.quantity import Unit, read_quantity, write_quantity
from nissa.model.relabel import Labels, Relabelling
from nissa.model.units import SECOND_MS

RESERVED: Final = "__"
SLOT_MS_MAX: Final = SECOND_MS
SLOTS_MIN: Final = 15  # of an interval
_PARAM: Final = "__param_"


class Group(msgspec.Struct, frozen=True):
    """Addresses that share labels, as a discovery gives them."""

    targets: tuple[str, ...] = ()
    labels: dict[str, str] = {}


class ScrapeTarget(msgspec.Struct, frozen=True):
    """One address to ask. discovered: its labels before relabelling. labels: those its series get.

    key: the same for the same URL and labels. error: why it cannot be asked; empty where it can.
    """

    job: str
    key: str
    url: str
    labels: Labels
    discovered: Labels
    interval_ms: int
    timeout_ms: int
    error: str = ""

    def offset_ms(self) -> int:
        """The place in each interval at which it is asked: a slot chosen by a hash, the same after a restart.

        Targets of one slot are asked together, so that their answers share a commit of the journal.
        """
        slot_ms = max(min(SLOT_MS_MAX, self.interval_ms // SLOTS_MIN), 1)
        return int.from_bytes(bytes.fromhex(self.key)[:8], "big") % max(self.interval_ms // slot_ms, 1) * slot_ms


class Found(msgspec.Struct, frozen=True):
    """The targets of an entry by key, and labels of those that relabel_configs dropped."""

    targets: dict[str, ScrapeTarget]
    dropped: tuple[Labels, ...]


def targets_of(entry: ScrapeConfig, relabelling: Relabelling, groups: Iterable[Group]) -> Found:
    """The targets of ``groups``. relabelling: the relabel_configs of ``entry``. Two of one URL and labels are one."""
    found: dict[str, ScrapeTarget] = {}
    dropped: list[Labels] = []
    for group in groups:
        for address in group.targets:
            discovered = _discovered(entry, group.labels, address)
            labels = relabelling.applied(dict(discovered))
            if labels is None or not labels.get("__address__"):
                dropped.append(discovered)
                continue
            target = _target(entry, labels, discovered)
            found.setdefault(target.key, target)
    return Found(found, tuple(dropped))


def _discovered(entry: ScrapeConfig, labels: Mapping[str, str], address: str) -> Labels:
    defaults = {
        "job": entry.job_name,
        "__scrape_interval__": write_quantity(entry.scrape_interval, Unit.DURATION),
        "__scrape_timeout__": write_quantity(entry.scrape_timeout, Unit.DURATION),
        "__metrics_path__": entry.metrics_path,
        "__scheme__": entry.scheme,
        **{f"{_PARAM}{name}": values[0] for name, values in entry.params.items() if values},
    }
    given = {name: value for name, value in labels.items() if value}
    return {**defaults, **given, "__address__": address}


def _target(entry: ScrapeConfig, labels: Labels, discovered: Labels) -> ScrapeTarget:
    labels.setdefault("instance", labels["__address__"])
    kept = {name: value for name, value in sorted(labels.items()) if not name.startswith(RESERVED)}
    url = _url(entry.params, labels)
    key = hashlib.blake2b(msgspec.json.encode([url, kept]), digest_size=16).hexdigest()
    interval_ms, timeout_ms, error = int(entry.scrape_interval), int(entry.scrape_timeout), ""
    try:
        interval_ms = _duration(labels, "__scrape_interval__", interval_ms)
        timeout_ms = _duration(labels, "__scrape_timeout__", timeout_ms)
        if timeout_ms > interval_ms:
            error = "__scrape_timeout__ is longer than __scrape_interval__"
    except ValueError as problem:
        error = str(problem)
    if len(kept) > LABELS_MAX:
        error = f"{len(kept)} labels; a target has at most {LABELS_MAX}"
    if labels.get("__scheme__") not in ("http", "https"):
        error = f"__scheme__: expected http or https, got {labels.get('__scheme__', '')!r}"
    if "/" in labels["__address__"]:
        error = f"{labels['__address__'][:200]!r} is no address: expected host:port, without scheme and path"
    return ScrapeTarget(entry.job_name, key, url, kept, discovered, interval_ms, timeout_ms, error)


def _duration(labels: Labels, name: str, default_ms: int) -> int:
    if name not in labels:
        return default_ms
    try:
        found = read_quantity(labels[name], Unit.DURATION)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if found <= 0:
        raise ValueError(f"{name}: expected a duration over 0, got {labels[name]!r}")
    return found


def _url(params: Mapping[str, Sequence[str]], labels: Labels) -> str:
    """Address, path and parameters. A label ``__param_x`` stands for the first value of x."""
    values = {name: list(some) for name, some in params.items()}
    for label, value in labels.items():
        if label.startswith(_PARAM):
            values[label.removeprefix(_PARAM)] = [value, *values.get(label.removeprefix(_PARAM), [])[1:]]
    path = labels.get("__metrics_path__", "")
    query = urlencode(sorted(values.items()), doseq=True)
    joined = "&" if "?" in path else "?"
    slash = "" if path.startswith("/") else "/"
    return f"{labels.get('__scheme__', '')}://{labels['__address__']}{slash}{path}{joined + query if query else ''}"
