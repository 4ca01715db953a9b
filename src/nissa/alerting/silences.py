"""Silences: alerts that matchers select are muted from one time to another.

    pending ──starts_at──► active ──ends_at──► expired ──retention──► forgotten

A silence is changed in place while its matchers and, once it is active, its start stay; any other change expires it and
makes a new one, so that what was muted by whom can be read later.
"""

import uuid
from collections.abc import Iterable
from typing import Final

import msgspec

from nissa.alerting.matchers import Labels, Test, matcher_set
from nissa.model.errors import BadQuery, Unavailable
from nissa.model.matcher import Matcher
from nissa.model.predicate import is_selective

FULL_RETRY_S: Final = 60


class Silence(msgspec.Struct, frozen=True):
    """One silence. Times in Unix milliseconds; the end is excluded. id: a UUID; empty where it has none yet."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at_ms: int
    ends_at_ms: int
    updated_at_ms: int
    created_by: str
    comment: str

    def state(self, now_ms: int) -> str:
        """``pending``, ``active`` or ``expired``."""
        if now_ms >= self.ends_at_ms:
            return "expired"
        return "active" if now_ms >= self.starts_at_ms else "pending"


class Silences:
    """All silences. Belongs to one thread."""

    def __init__(self, silences: Iterable[Silence], silences_max: int) -> None:
        """silences_max: that have not expired."""
        self._max = silences_max
        self._tests: dict[str, Test] = {}
        self._known: dict[str, Silence] = {}
        self._matching: dict[str, tuple[int, tuple[str, ...]]] = {}  # fingerprint -> version, ids
        self._version = 0
        for one in silences:
            self._keep(one)

    def all(self) -> list[Silence]:
        """Every silence that is known, expired ones too."""
        return list(self._known.values())

    def find(self, silence_id: str) -> Silence | None:
        """The silence with this id."""
        return self._known.get(silence_id)

    def silenced_by(self, fingerprint: str, labels: Labels, now_ms: int) -> list[str]:
        """Ids of the active silences that mute an alert."""
        version, ids = self._matching.get(fingerprint, (-1, ()))
        if version != self._version:
            ids = tuple(one for one, test in self._tests.items() if test(labels))
            self._matching[fingerprint] = (self._version, ids)
        return [one for one in ids if self._known[one].state(now_ms) == "active"]

    def forget_alert(self, fingerprint: str) -> None:
        """Forget which silences mute an alert that is gone."""
        self._matching.pop(fingerprint, None)

    def planned(self, wanted: Silence, now_ms: int) -> list[Silence]:
        """The changes that make ``wanted`` hold, its final form last. Nothing is changed yet.

        Raises: BadQuery for a silence that cannot be, or an id that is not known; Unavailable for too many.
        """
        self._check(wanted, now_ms)
        changes: list[Silence] = []
        before = self._known.get(wanted.id)
        if wanted.id and before is None:
            raise BadQuery(f"silence {wanted.id[:80]!r} not found")
        if before is not None and _may_become(before, wanted, now_ms):
            return [msgspec.structs.replace(wanted, updated_at_ms=now_ms)]
        if before is not None and before.state(now_ms) != "expired":
            changes.append(_ended(before, now_ms))
        elif sum(one.state(now_ms) != "expired" for one in self._known.values()) >= self._max:
            raise Unavailable(f"{self._max} silences are in force (alerting.silences_max)", FULL_RETRY_S)
        starts_ms = max(wanted.starts_at_ms, now_ms)
        changes.append(
            msgspec.structs.replace(wanted, id=str(uuid.uuid4()), starts_at_ms=starts_ms, updated_at_ms=now_ms)
        )
        return changes

    def planned_end(self, silence_id: str, now_ms: int) -> Silence:
        """The silence as it is once it has ended now. Raises: BadQuery where it is not known, or has expired."""
        found = self._known.get(silence_id)
        if found is None:
            raise BadQuery(f"silence {silence_id[:80]!r} not found")
        if found.state(now_ms) == "expired":
            raise BadQuery(f"silence {silence_id} already expired")
        return _ended(found, now_ms)

    def put(self, silence: Silence) -> None:
        """Have a silence, or its new form, in force."""
        self._keep(silence)

    def expired_before(self, time_ms: int) -> list[str]:
        """Ids of the silences that ended before a time."""
        return [one.id for one in self._known.values() if one.ends_at_ms < time_ms]

    def forget(self, silence_ids: Iterable[str]) -> None:
        """Forget silences."""
        for one in silence_ids:
            self._known.pop(one, None)
            self._tests.pop(one, None)
        self._version += 1

    def _keep(self, silence: Silence) -> None:
        self._known[silence.id] = silence
        self._tests[silence.id] = matcher_set(silence.matchers).test()
        self._version += 1

    def _check(self, wanted: Silence, now_ms: int) -> None:
        if not wanted.matchers:
            raise BadQuery("matchers: at least one is needed")
        if not is_selective(wanted.matchers):
            raise BadQuery("matchers: at least one must not match the empty text, or every alert would be muted")
        if wanted.starts_at_ms >= wanted.ends_at_ms:
            raise BadQuery("endsAt: start time must be before end time")
        if wanted.ends_at_ms <= now_ms:
            raise BadQuery("endsAt: end time can't be in the past")


def _ended(silence: Silence, now_ms: int) -> Silence:
    starts_ms = min(silence.starts_at_ms, now_ms)
    return msgspec.structs.replace(silence, starts_at_ms=starts_ms, ends_at_ms=now_ms, updated_at_ms=now_ms)


def _may_become(before: Silence, after: Silence, now_ms: int) -> bool:
    """True if a silence may be changed in place."""
    if matcher_set(before.matchers) != matcher_set(after.matchers):
        return False
    state = before.state(now_ms)
    if state == "active":
        return before.starts_at_ms == after.starts_at_ms
    return state == "pending" and after.starts_at_ms >= now_ms
