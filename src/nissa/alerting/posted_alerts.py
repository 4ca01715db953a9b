"""Reads alerts and silences that are posted to the API of Alertmanager.

    [{"labels": {"alertname": …}, "annotations": {…}, "startsAt": …, "endsAt": …, "generatorURL": …}, …]

An alert at fault is refused with its place in the request; the others are taken.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import nan
from typing import Final

import msgspec

from nissa.alerting.matchers import checked_matcher
from nissa.alerting.silences import Silence
from nissa.config.alerting import Alerting
from nissa.model.alert import Alert, AlertState, label_fingerprint
from nissa.model.errors import BadQuery
from nissa.model.matcher import Matcher, MatchOp

SOURCE: Final = "api"
FAULTS_SHOWN_MAX: Final = 10


class PostedAlert(msgspec.Struct, frozen=True):
    """One alert as it is posted; times in RFC 3339, empty or the year 1 for none."""

    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: str | None = None  # noqa: N815 - the API's name
    endsAt: str | None = None  # noqa: N815
    generatorURL: str = ""  # noqa: N815


class PostedMatcher(msgspec.Struct, frozen=True):
    """One matcher of a silence."""

    name: str
    value: str
    isRegex: bool = False  # noqa: N815
    isEqual: bool = True  # noqa: N815


class PostedSilence(msgspec.Struct, frozen=True):
    """A silence as it is posted."""

    matchers: list[PostedMatcher]
    startsAt: str  # noqa: N815
    endsAt: str  # noqa: N815
    createdBy: str  # noqa: N815
    comment: str
    id: str = ""


def read_posted_alerts(
    body: bytes, limits: Alerting, resolve_timeout_ms: int, now_ms: int
) -> tuple[list[Alert], list[str]]:
    """The alerts of a request, and a sentence for each that is refused. Raises: BadQuery for what is no list of alerts.

    resolve_timeout_ms: after which an alert without an end counts as resolved.
    """
    try:
        posted = msgspec.json.decode(body, type=list[PostedAlert])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadQuery(f"alerts cannot be read: {error}") from None
    alerts, faults = [], []
    for number, one in enumerate(posted):
        try:
            alerts.append(_read(one, limits, resolve_timeout_ms, now_ms))
        except ValueError as error:
            faults.append(f"alerts[{number}].{error}")
    return alerts, faults


def faults_text(faults: list[str]) -> str:
    """The first faults of a request, and how many more there are."""
    more = len(faults) - FAULTS_SHOWN_MAX
    return "; ".join(faults[:FAULTS_SHOWN_MAX]) + (f"; {more} more" if more > 0 else "")


def read_posted_silence(body: bytes) -> Silence:
    """The silence of a request, without checks against the present. Raises: BadQuery."""
    try:
        posted = msgspec.json.decode(body, type=PostedSilence)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadQuery(f"the silence cannot be read: {error}") from None
    try:
        starts_ms, ends_ms = _time_ms(posted.startsAt, "startsAt"), _time_ms(posted.endsAt, "endsAt")
    except ValueError as error:
        raise BadQuery(str(error)) from None
    matchers = tuple(_matcher(one) for one in posted.matchers)
    return Silence(posted.id, matchers, starts_ms, ends_ms, 0, posted.createdBy, posted.comment)


def _read(posted: PostedAlert, limits: Alerting, resolve_timeout_ms: int, now_ms: int) -> Alert:
    labels = {name: value for name, value in sorted(posted.labels.items()) if value}
    if not labels:
        raise ValueError("labels: at least one is needed")
    if len(labels) > limits.labels_max:
        raise ValueError(f"labels: {len(labels)} are over the limit of {limits.labels_max} (alerting.labels_max)")
    if any("\0" in text for pair in labels.items() for text in pair):
        raise ValueError("labels: the zero character is not allowed")
    if len(posted.annotations) > limits.annotations_max:
        count, limit = len(posted.annotations), limits.annotations_max
        raise ValueError(f"annotations: {count} are over the limit of {limit} (alerting.annotations_max)")
    _check_sizes(labels, "labels", limits.label_bytes_max, "alerting.label_size_max")
    _check_sizes(posted.annotations, "annotations", limits.annotation_bytes_max, "alerting.annotation_size_max")
    starts_ms, ends_ms = _time_ms(posted.startsAt or "", "startsAt"), _time_ms(posted.endsAt or "", "endsAt")
    starts_ms = starts_ms or min(ends_ms or now_ms, now_ms)
    if ends_ms and ends_ms < starts_ms:
        raise ValueError("endsAt: start time must be before end time")
    state = AlertState.RESOLVED if 0 < ends_ms <= now_ms else AlertState.FIRING
    ends_ms = ends_ms or now_ms + resolve_timeout_ms
    annotations = {name: value for name, value in posted.annotations.items() if value}
    url, mark = posted.generatorURL, label_fingerprint(labels)
    return Alert(labels, annotations, starts_ms, ends_ms, now_ms, url, nan, state, mark, SOURCE)


def _check_sizes(texts: Mapping[str, str], field: str, bytes_max: int, setting: str) -> None:
    for name, value in texts.items():
        if not name:
            raise ValueError(f"{field}: a name is empty")
        size = len(name.encode()) + len(value.encode())
        if size > bytes_max:
            raise ValueError(f"{field}.{name[:80]}: {size} bytes are over the limit of {bytes_max} ({setting})")


def _time_ms(text: str, field: str) -> int:
    if not text:
        return 0
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{field}: {text[:60]!r} is not a time in RFC 3339") from None
    zoned = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    if zoned.year <= 1:
        return 0
    return max(int(zoned.timestamp() * 1000), 1)


def _matcher(posted: PostedMatcher) -> Matcher:
    if not posted.name:
        raise BadQuery("matchers: a name is empty")
    ops = {(True, False): MatchOp.EQUAL, (False, False): MatchOp.NOT_EQUAL, (True, True): MatchOp.FITS}
    op = ops.get((posted.isEqual, posted.isRegex), MatchOp.NOT_FITS)
    return checked_matcher(posted.name, op, posted.value)
