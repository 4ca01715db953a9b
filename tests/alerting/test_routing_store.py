"""The tables of routing, over restarts."""

from pathlib import Path

from alerting.routing_twin import fires, router_of

from nissa.alerting.matchers import read_matchers
from nissa.alerting.notification import Notification
from nissa.alerting.routing_store import RoutingStore
from nissa.alerting.silences import Silence
from nissa.config.database import DatabaseSettings
from nissa.database.database import Database, open_database


def test_a_flush_is_stored_as_a_whole(database: Database, tmp_path: Path) -> None:
    """Alerts, log and outbox are the same after a restart; ids go on."""
    store = RoutingStore(database)
    store.read()
    router = router_of(tmp_path)
    router.put([fires(0), fires(0, "other")], 0)
    store.put_alerts(router.changed)
    flush = router.flush(10_000)
    entries = store.put_flush(flush)
    router.settle(flush)
    again = RoutingStore(database)
    stored = again.read()
    assert {one.fingerprint: one.labels for one in stored.alerts} == {
        one.fingerprint: one.labels for one in router.alerts.values()
    }
    assert stored.log == router.log
    assert [(one.id, one.notification.group_key) for one in stored.outbox] == [
        (one.id, one.notification.group_key) for one in entries
    ]
    again.delivered([one.id for one in entries])
    again.put_alerts(dict.fromkeys(router.alerts))
    again.forget_log(list(stored.log))
    left = RoutingStore(database).read()
    assert (left.alerts, left.outbox, left.log) == ([], [], {})


def test_ids_are_never_used_again(database: Database, tmp_path: Path) -> None:
    """A restart with an empty outbox goes on counting; another database has other ids."""
    told = Notification("r", "c[0]", "g", {}, (), 1)
    seen = []
    for _ in range(3):
        store = RoutingStore(database)
        assert store.read().outbox == []
        entry = store.put_digest(told, (), 1)
        assert store.read().outbox == [entry]
        seen.append(entry)
        store.delivered([entry.id])
    (tmp_path / "other").mkdir()
    second = open_database(DatabaseSettings(), tmp_path / "other")
    other = RoutingStore(second)
    other.read()
    seen.append(other.put_digest(told, (), 1))
    second.close()
    assert [one.id for one in seen] == [1, 2, 3, 1]
    assert len({one.delivery_id for one in seen}) == 4


def test_dead_letters_come_back_or_go(database: Database) -> None:
    """Revived ones wait again; the oldest of too many, and old ones, are dropped."""
    store = RoutingStore(database)
    store.read()
    letters = [store.put_digest(Notification("r", f"c[{n}]", "g", {}, (), n), (), n) for n in range(6)]
    for one in letters:
        store.failed(one.id, 3, "go\0ne", 100 + one.id)
    assert [(one.attempts, one.reason) for one in store.dead_letters(10)] == [(3, "gone")] * 6
    assert store.read().outbox == []
    (revived,) = store.revive({letters[0].id, letters[1].id}, {"r/c[1]"}, 500)
    assert (revived.id, revived.attempts, revived.created_at_ms) == (letters[1].id, 0, 500)
    assert [one.id for one in store.read().outbox] == [letters[1].id]
    assert store.trim_dead(3, 0) == 2
    assert [one.id for one in store.dead_letters(10)] == [one.id for one in letters[3:]]
    assert store.trim_dead(3, 100 + letters[5].id) == 2
    assert store.drop_dead({1}) == 0
    assert store.drop_dead(None) == 1


def test_silences_are_stored(database: Database) -> None:
    """Silences are stored in their last form, until they are forgotten."""
    store = RoutingStore(database)
    one = Silence("s", read_matchers("a=~b.*"), 1, 2, 3, "ann", "why")
    store.put_silences([one])
    store.put_silences([Silence("t", one.matchers, 1, 2, 3, "", ""), one])
    assert {each.id: each for each in store.read().silences}["s"] == one
    store.put_silences((), ["s"])
    assert [each.id for each in store.read().silences] == ["t"]
