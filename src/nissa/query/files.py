"""Lists the files that may contain the requested rows, for programs that read Parquet themselves."""

from collections.abc import Iterable

import numpy as np

from nissa.catalogue.manifest import SERIES_KIND, FileEntry
from nissa.files.names import EVENTS_KIND, RAW_KIND, is_tier_kind, tier_of
from nissa.model.columns import SeriesColumn
from nissa.model.errors import BadQuery


def matched_files(
    there: Iterable[FileEntry], kind: str, interval_ms: tuple[int, int], series: SeriesColumn | None
) -> list[FileEntry]:
    """Files of one kind with rows in the half-open interval and, if given, in the range of the series.

    kind: raw, events, series or a tier. series: ascending ids. Raises: BadQuery for another kind.
    """
    if kind not in (RAW_KIND, EVENTS_KIND, SERIES_KIND) and not is_tier_kind(kind):
        raise BadQuery(f"kind {kind[:40]!r} is none of raw, events, series and a tier such as 5m")
    if series is not None and kind == EVENTS_KIND:
        raise BadQuery("events have no series to match")
    return [one for one in there if tier_of(one.kind) == kind and _may_hold(one, interval_ms, series)]


def _may_hold(one: FileEntry, interval_ms: tuple[int, int], series: SeriesColumn | None) -> bool:
    if one.kind == SERIES_KIND:  # all of them are needed to name series
        return True
    start_ms, end_ms = interval_ms
    if one.max_ms < start_ms or one.min_ms >= end_ms:
        return False
    if series is None:
        return True
    at = int(np.searchsorted(series, one.series_min))
    return at < len(series) and int(series[at]) <= one.series_max
