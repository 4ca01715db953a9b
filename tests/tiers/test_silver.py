"""Rollups in both databases: idempotent flushes, trends, and the time of a large one."""

import time
from typing import Any

import msgspec
import pytest

from nissa.database.database import Database
from nissa.model.errors import BadQuery, Unavailable
from nissa.model.units import DAY_MS, HOUR_MS
from nissa.tiers import silver
from nissa.tiers.rollup_rows import Rollup, RollupChanges, RollupKey
from nissa.tiers.silver import SilverStore

KEY = RollupKey("api", "latency", (("route", "/a"),))
NOW_MS = 100 * DAY_MS


def row(bucket_ms: int, total: float = 10.0, key: RollupKey = KEY) -> Rollup:
    """A row of five samples."""
    return Rollup(key, bucket_ms, 5, total, 1.0, 4.0, (2.0, 3.0, None, 3.9))


def test_writing_again_corrects_rows(database: Database) -> None:
    """Late samples change a row of the range; rows outside of it, and of the other length, stay."""
    store = SilverStore(database)
    store.replace("hour", 0, 3 * HOUR_MS, [row(0), row(HOUR_MS), row(2 * HOUR_MS)])
    store.replace("minute", 0, HOUR_MS, [row(0)])
    for _ in range(2):
        store.replace("hour", HOUR_MS, 3 * HOUR_MS, [row(HOUR_MS, 11.0), row(2 * HOUR_MS)])
    found = store.rollups("hour", "api", "latency", 0, DAY_MS)
    assert [(one["bucket_ms"], one["sum"]) for one in found] == [(0, 10), (HOUR_MS, 11), (2 * HOUR_MS, 10)]
    assert (found[0]["tags"], found[0]["p90"], found[0]["p95"]) == ({"route": "/a"}, 3, None)
    assert store.last_bucket_ms("hour") == 2 * HOUR_MS
    assert len(store.rollups("minute", "", "", 0, DAY_MS)) == 1
    assert store.rollups("hour", "db", "", 0, DAY_MS) == []
    with pytest.raises(BadQuery, match="granularity"):
        store.rollups("year", "", "", 0, 1)


def test_changes_of_rows_are_one_transaction(database: Database) -> None:
    """Rows that are there are replaced, others added, those that are gone deleted, and unknown times are emptied."""
    store = SilverStore(database)
    store.replace("hour", 0, 4 * HOUR_MS, [row(hour * HOUR_MS) for hour in range(4)])
    other = RollupKey('a\tb\\"', "é\n", (("x", "\\N"),))
    for _ in range(2):
        changed = [row(HOUR_MS, 11.0), row(HOUR_MS, 12.0, other), row(4 * HOUR_MS)]
        changes = RollupChanges(((0, HOUR_MS),), [row(0, 9.0, other)], changed, [(KEY, 2 * HOUR_MS), (other, 0)])
        store.write("hour", changes)
        found = [(one["bucket_ms"] // HOUR_MS, one["sum"], one["service"]) for one in rows_of(store)]
        own = 'a\tb\\"'
        assert sorted(found) == [(0, 9, own), (1, 11, "api"), (1, 12, own), (3, 10, "api"), (4, 10, "api")]
    assert next(one for one in rows_of(store) if one["name"] == "é\n")["tags"] == {"x": "\\N"}
    with pytest.raises(Unavailable):
        store.write("hour", RollupChanges((), [row(3 * HOUR_MS)], [row(HOUR_MS, 99.0)], []))
    assert 99 not in [one["sum"] for one in rows_of(store)]


def test_rows_of_imports_replace_those_of_fewer_samples(database: Database) -> None:
    """And those of as many with other values; what is there of more stays, and what is equal keeps its percentiles."""
    store, bare = SilverStore(database), (None,) * 4
    store.replace("hour", 0, 4 * HOUR_MS, [row(hour * HOUR_MS) for hour in range(4)])
    changes = ({"count": 6, "sum": 12.0}, {"count": 4, "sum": 8.0}, {"max": 5.0}, {}, {})
    imported = [
        msgspec.structs.replace(row(hour * HOUR_MS), percentiles=bare, **change) for hour, change in enumerate(changes)
    ]
    store.amend("hour", imported)
    found = [(one["count"], one["sum"], one["max"], one["p50"]) for one in rows_of(store)]
    assert found == [(6, 12, 4, None), (5, 10, 4, 2), (5, 10, 5, None), (5, 10, 4, 2), (5, 10, 4, None)]


def rows_of(store: SilverStore) -> list[dict[str, Any]]:
    """All hours."""
    return store.rollups("hour", "", "", 0, DAY_MS)


def test_periods_are_compared(database: Database) -> None:
    """Means are weighted by counts; a combination that is in one period only has no change."""
    store, other = SilverStore(database), RollupKey("api", "latency", (("route", "/b"),))
    week_ms = 7 * DAY_MS
    rows = [row(NOW_MS - HOUR_MS, 20.0), row(NOW_MS - week_ms - HOUR_MS, 10.0), row(NOW_MS - HOUR_MS, 1.0, other)]
    store.replace("hour", 0, NOW_MS, rows)
    first, second = store.trend("api", "latency", "week", NOW_MS + 5)
    assert (first["tags"], first["now"]["mean"], first["before"]["mean"], first["change"]) == ({"route": "/a"}, 4, 2, 1)
    assert (second["before"], second["change"]) == (None, None)
    with pytest.raises(BadQuery, match="period"):
        store.trend("", "", "year", NOW_MS)


def test_ten_thousand_keys_are_one_flush(database: Database) -> None:
    """They are all there; the time is printed."""
    store = SilverStore(database)
    rows = [row(0, key=RollupKey("api", "latency", (("route", f"/{number}"),))) for number in range(10_000)]
    for _ in range(2):
        begin_s = time.perf_counter()
        store.replace("hour", 0, HOUR_MS, rows)
        print(database.kind, time.perf_counter() - begin_s)
    assert len(store.rollups("hour", "", "", 0, HOUR_MS)) == 10_000


def test_trends_of_a_service_have_medians_of_its_hours(database: Database) -> None:
    """Of p95 and p99, where they are known; services that have hours are listed."""
    store = SilverStore(database)
    rows = [
        Rollup(KEY, NOW_MS - hour * HOUR_MS, 1, 1.0, 1.0, 1.0, (None, None, 2.0, float(hour))) for hour in (1, 2, 9)
    ]
    store.replace("hour", 0, NOW_MS, [*rows, row(NOW_MS - HOUR_MS, key=RollupKey("", "latency"))])
    (found,) = store.trend("api", "", "day", NOW_MS)
    assert (found["now"]["p95"], found["now"]["p99"], found["before"]) == (2.0, 2.0, None)
    assert "p95" not in store.trend("", "", "day", NOW_MS)[0]["now"]
    store.replace("minute", 0, NOW_MS, [row(0, key=RollupKey(name, "latency")) for name in ("Zoo", "api", "été")])
    assert store.services() == ["Zoo", "api", "été"]


def test_trends_while_rows_are_written(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of other tags that come between the sums and the medians are in the next answer, not an error."""
    store, late = SilverStore(database), RollupKey("api", "queue", (("region", "eu"),))
    store.amend("hour", [row(NOW_MS - HOUR_MS)])
    medians = store._medians

    def written_meanwhile(*span: Any) -> Any:
        store.amend("hour", [row(NOW_MS - HOUR_MS, key=late), row(NOW_MS - DAY_MS - HOUR_MS, key=late)])
        return medians(*span)

    monkeypatch.setattr(store, "_medians", written_meanwhile)
    (found,) = store.trend("api", "", "day", NOW_MS)
    assert (found["name"], found["now"]["p99"], found["before"]) == ("latency", 3.9, None)
    assert [each["name"] for each in store.trend("api", "", "day", NOW_MS)] == ["latency", "queue"]


def test_trends_of_more_tags_than_are_answered(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Medians are added to the combinations that are answered."""
    store = SilverStore(database)
    monkeypatch.setattr(silver, "ROLLUPS_MAX", 2)
    store.amend("hour", [row(NOW_MS - HOUR_MS, key=RollupKey("api", name)) for name in ("a", "b", "c")])
    assert [each["now"]["p99"] for each in store.trend("api", "", "day", NOW_MS)] == [3.9, 3.9]
