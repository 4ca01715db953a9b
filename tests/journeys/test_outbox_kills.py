"""``kill -9`` in every state of the outbox: nothing is lost, and only attempts without a noted answer are repeated.

    posted ──► stored ──► outbox ──► on the way ──► answered ──► noted
                             ▲            └─ failed ──► noted ──► waits ──┐
                             └──────────────────────────┬─────────────────┘
                                                        └──► dead letter ──► replayed

The daemon kills itself (``killed_at.py``), or the receiver holds its answer until the test has killed it.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from journeys import killed_at
from journeys.rig import Daemon, nissa_command, running
from journeys.test_alerting import CONFIG, Hook, open_routing, post_alerts, settings, wait_for
from torture.zygote import Zygote

from nissa.config.database import DatabaseSettings

pytestmark = pytest.mark.long
ROUTES = CONFIG.replace("group_interval: 200ms", "group_interval: 1h")
MOMENTS = killed_at.MOMENTS
EVERY_MOMENT = pytest.mark.parametrize(
    ("database_settings", "moment"),
    [
        *(("sqlite", moment) for moment in MOMENTS),
        pytest.param("postgresql", "within", marks=pytest.mark.needs_debian("postgresql")),
    ],
    indirect=["database_settings"],
)
ON_SQLITE = pytest.mark.parametrize("database_settings", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    """Forks the daemons."""
    with Zygote() as found:
        yield found


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook."""
    found = Hook()
    yield found
    found.answers.set()
    found.server.shutdown()
    found.server.server_close()


class Rig(NamedTuple):
    """Daemons on one directory and one database, one after the other."""

    zygote: Zygote
    directory: Path
    environment: dict[str, str]

    @contextlib.contextmanager
    def daemon(self, method: str = "", moment: str = "") -> Iterator[Daemon]:
        """The next one, which is killed at that step."""

        def start(command: list[str], **options: Any) -> Any:
            return self.zygote.start([command[0], killed_at.__file__, method, moment, *command[3:]], **options)

        with running(self.directory, environment=self.environment, start=start) as daemon:
            open_routing(daemon)
            yield daemon
            if method:
                assert daemon.process.wait() == -signal.SIGKILL


@pytest.fixture
def rig_of(
    zygote: Zygote, hook: Hook, tmp_path: Path, database_settings: DatabaseSettings
) -> Callable[[str, str], Rig]:
    """Makes a rig: routes, and the pause after a failed attempt."""

    def made(routes: str = ROUTES, pause: str = "100ms") -> Rig:
        environment = settings(tmp_path, hook, routes, retry_min=pause, retry_max=pause)
        environment["NISSA_DATABASE__URL"] = database_settings.url
        return Rig(zygote, tmp_path / "data", environment)

    return made


def post(daemon: Daemon, *names: str) -> bool:
    """Post alerts that fire; whether they were taken."""
    with contextlib.suppress(OSError):  # of a daemon that died of it
        return post_alerts(daemon, *({"alertname": name} for name in names))[0] == 200
    return False


def settle(daemon: Daemon, hook: Hook, *names: str) -> None:
    """Wait until these alerts have been taken and nothing waits, and stop."""

    def is_done() -> bool:
        channels = daemon.get("/api/status")["alerting"]["channels"].values()
        return set(hook.states()) == set(names) and not any(one["waiting"] for one in channels)

    wait_for(is_done)
    assert daemon.stop() == 0


def attempts(hook: Hook, name: str) -> tuple[int, int]:
    """(Times an alert was taken, times refused), all under one id of delivery."""
    found = [
        [delivery for delivery, body in posts for one in body["alerts"] if one["labels"]["alertname"] == name]
        for posts in (hook.posted, hook.refused)
    ]
    assert len({delivery for ids in found for delivery in ids}) == 1
    return len(found[0]), len(found[1])


@EVERY_MOMENT
@pytest.mark.parametrize(
    ("method", "taken"),
    [("put_alerts", (1, 1, 1)), ("put_flush", (1, 1, 1)), ("delivered", (2, 2, 1))],
)
def test_on_the_way_to_the_receiver(rig_of, hook: Hook, method: str, moment: str, taken: tuple[int, ...]) -> None:
    """Killed while an alert, its notification or the answer is stored: taken once, or twice where no answer was noted.

    An alert that was not acknowledged is sent again, as senders do.
    """
    rig = rig_of()
    with rig.daemon(method, moment) as daemon:
        acknowledged = post(daemon, "a")
    with rig.daemon() as daemon:
        assert acknowledged or post(daemon, "a")
        settle(daemon, hook, "a")
    assert attempts(hook, "a") == (taken[MOMENTS.index(moment)], 0)


@ON_SQLITE
def test_while_the_answer_is_on_its_way(rig_of, hook: Hook) -> None:
    """Killed after the receiver has taken it and before it answers: it is repeated with the same id."""
    rig = rig_of()
    hook.answers.clear()
    with rig.daemon() as daemon:
        assert post(daemon, "a")
        wait_for(lambda: hook.posted)
        daemon.kill()
    hook.answers.set()
    with rig.daemon() as daemon:
        settle(daemon, hook, "a")
    assert attempts(hook, "a") == (2, 0)


@EVERY_MOMENT
def test_while_a_failure_is_noted(rig_of, hook: Hook, moment: str) -> None:
    """Killed when the receiver has failed: it is tried again, and taken once."""
    rig = rig_of()
    hook.status = 503
    with rig.daemon("failed", moment) as daemon:
        post(daemon, "a")  # the daemon has it, though it may die before it says so
    hook.status = 200
    with rig.daemon() as daemon:
        settle(daemon, hook, "a")
    assert attempts(hook, "a") == (1, 1)


@ON_SQLITE
def test_in_the_pause_before_the_next_attempt(rig_of, hook: Hook) -> None:
    """Killed while a notification waits for its next attempt: the next process makes it at once."""
    rig = rig_of(pause="1h")
    hook.status = 503
    with rig.daemon() as daemon:
        assert post(daemon, "a")
        wait_for(lambda: hook.refused)
        hook.status = 200
        assert post(daemon, "b")
        wait_for(lambda: hook.states() == {"b": "firing"})
        daemon.kill()
    with rig.daemon() as daemon:
        settle(daemon, hook, "a", "b")
    assert attempts(hook, "a") == (1, 1)


@EVERY_MOMENT
def test_on_the_way_to_the_dead_letters(rig_of, hook: Hook, moment: str) -> None:
    """Killed when the receiver has refused it for good: it waits, or is a dead letter, and never both or neither."""
    rig = rig_of()
    hook.status = 404
    with rig.daemon("failed", moment) as daemon:
        post(daemon, "a")  # the daemon has it, though it may die before it says so
    hook.status = 200
    with rig.daemon() as daemon:
        if moment == "after":
            replay_one(daemon, hook)
        settle(daemon, hook, "a")
    assert attempts(hook, "a") == (1, 1)


@EVERY_MOMENT
def test_on_the_way_back_from_the_dead_letters(rig_of, hook: Hook, moment: str) -> None:
    """Killed while it is replayed: it is a dead letter still, or waits for delivery."""
    rig = rig_of()
    hook.status = 404
    with rig.daemon() as daemon:
        assert post(daemon, "a")
        wait_for(lambda: letters(daemon))
    hook.status = 200
    with rig.daemon("revive", moment) as daemon, contextlib.suppress(OSError):
        daemon.request("POST", "/api/v1/notifications/dead_letters/replay")
    with rig.daemon() as daemon:
        if moment != "after":
            replay_one(daemon, hook)
        settle(daemon, hook, "a")
    assert attempts(hook, "a") == (1, 1)


@EVERY_MOMENT
def test_while_a_digest_is_made(rig_of, hook: Hook, moment: str) -> None:
    """Killed while notifications over the hourly limit become one: each alert is taken once, by itself or with all."""
    rig = rig_of(ROUTES.replace('url: "{url}"', 'url: "{url}", hourly_limit: 1'))
    with rig.daemon("put_digest", moment) as daemon:
        post(daemon, "a", "b", "c", "d")  # as above
    with rig.daemon() as daemon:
        settle(daemon, hook, "a", "b", "c", "d")
    assert [attempts(hook, name)[1] for name in "abcd"] == [0] * 4
    assert sorted(attempts(hook, name)[0] for name in "abcd")[:3] == [1] * 3
    assert any(len(body["alerts"]) > 1 for _, body in hook.posted)


def letters(daemon: Daemon) -> list[Any]:
    """The dead letters."""
    return daemon.get("/api/v1/notifications/dead_letters")["data"]


def replay_one(daemon: Daemon, hook: Hook) -> None:
    """There is one dead letter, which was not taken; have it delivered."""
    assert (len(letters(daemon)), hook.posted) == (1, [])
    assert nissa_command("dead-letters", "replay", "notifications", "--api", daemon.api_url) == b"1 queued\n"
