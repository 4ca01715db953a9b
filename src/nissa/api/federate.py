"""The newest samples of the selected series as Prometheus' text format 0.0.4, for another Prometheus to scrape.

    # TYPE up untyped
    up{instance="a:1",job="api"} 1 1732190009000

Sorted by metric name. A series whose newest sample within the lookback is a staleness marker is left out. Every line
has a label ``instance``, empty where the series has none: the one who scrapes would put its own there. External labels
of the API are added where a series does not have them; selectors do not see them.
"""

import re
from collections.abc import Generator, Iterator

import msgspec
import numpy as np

from nissa._fast.windows import look_back
from nissa.api.parameters import Parameters
from nissa.api.state import ApiState
from nissa.model.errors import Damaged, TooLarge
from nissa.model.matcher import NAME_LABEL, Selector, quoted
from nissa.promql.evaluate import LOOKBACK_MS
from nissa.promql.number_text import short_text
from nissa.promql.recent import read_looking_back
from nissa.promql.source import Selected
from nissa.promql.stored import StoredSource
from nissa.query.limits import Allowance

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SERIES_PER_SLICE = 4_096
LINE_BYTES = 200  # of a series' line while it is sorted, beside its characters

_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

Line = tuple[str, str, str]  # name, labels, value and time


def federate(
    api_state: ApiState, parameters: Parameters, allowance: Allowance, now_ms: int
) -> Generator[bytes, None, None]:
    """Write the newest samples of the selected series in the text format.

    api_state: backend and limits. parameters: of the request. allowance: time and memory. now_ms: Unix milliseconds.
    Raises: BadQuery, Damaged and Unavailable, at the first ``next``.
    """
    selectors = parameters.selectors(needed=True)
    lines: set[Line] = set()
    for selector in selectors:
        for line in _lines(api_state, selector, allowance, now_ms):
            if line not in lines:
                allowance.check(LINE_BYTES + sum(map(len, line)))
                lines.add(line)
                _check_count(len(lines), api_state.limits.query_series_max)
    yield from _text(sorted(lines))


def _check_count(count: int, count_max: int) -> None:
    if count > count_max:
        raise TooLarge("series of a federation", got=count, limit=count_max, setting="api.query_series_max")


def _lines(api_state: ApiState, selector: Selector, allowance: Allowance, now_ms: int) -> Iterator[Line]:
    damages: dict[str, Damaged] = {}
    external = {"instance": "", **api_state.limits.external_labels}
    with msgspec.structs.replace(api_state.backend.snapshot(), check=allowance.check) as snapshot:
        index, noting = api_state.backend.index, api_state.noting(damages)
        selected = StoredSource(index, snapshot, check=allowance.check, on_damage=noting).select(selector)
        for first in range(0, len(selected.labels), SERIES_PER_SLICE):
            allowance.check()
            last = min(first + SERIES_PER_SLICE, len(selected.labels))
            yield from _slice(selected, first, last, now_ms, external)


def _slice(selected: Selected, first: int, last: int, now_ms: int, external: dict[str, str]) -> Iterator[Line]:
    at_ms = np.array([now_ms], np.int64)
    columns = read_looking_back(selected, first, last, at_ms, LOOKBACK_MS)
    values, present = look_back(columns, at_ms, LOOKBACK_MS, False)
    times_s, _ = look_back(columns, at_ms, LOOKBACK_MS, True)
    for row in np.flatnonzero(present[:, 0]).tolist():
        labels = {**external, **selected.labels.row(first + row)}
        name = labels.pop(NAME_LABEL, "")
        yield name, _shown(labels), f"{short_text(float(values[row, 0]))} {round(float(times_s[row, 0]) * 1000)}"


def _shown(labels: dict[str, str]) -> str:
    pairs = (f"{name if _LABEL.fullmatch(name) else quoted(name)}={quoted(labels[name])}" for name in sorted(labels))
    return ",".join(pairs)


def _text(lines: list[Line]) -> Iterator[bytes]:
    """Lines by name; a name of other characters stands in quotes inside of the braces."""
    before: str | None = None
    for name, labels, point in lines:
        is_plain = _NAME.fullmatch(name) is not None
        shown = name if is_plain else quoted(name)
        head = f"# TYPE {shown} untyped\n" if name != before else ""
        before = name
        series = f"{name}{{{labels}}}" if is_plain else f"{{{shown},{labels}}}"
        yield f"{head}{series} {point}\n".encode()
