"""Incidents while PostgreSQL is killed, or hangs: none is lost, and receiving is not disturbed."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from journeys.rig import running
from journeys.test_alerting import Hook
from journeys.test_incidents import environment_of, hook, incidents, post_event, send
from journeys.test_rules import post_form, wait_for

from nissa.files.names import DATABASE
from oracle.databases import server
from oracle.postgres import control_postgres, signal_postgres

__all__ = ["hook"]
PAYLOAD = {"summary": "disk full", "source": "db-1", "severity": "warning"}


@pytest.mark.long
@pytest.mark.needs_debian("postgresql")
def test_no_incident_is_lost_with_the_database(tmp_path: Path, hook: Hook) -> None:
    """An alert that fires while it is down opens its incident afterwards; samples are taken and read all the time."""
    with server() as url:
        directory = Path(url.partition("host=")[2])
        own = environment_of(tmp_path, hook) | {"NISSA_DATABASE__URL": url, "NISSA_INCIDENTS__ESCALATE_AFTER": "0"}
        with running(tmp_path / "data", environment=own) as daemon:
            send(daemon, 3)
            wait_for(lambda: daemon.get("/api/status")["rules"]["evaluations"] > 1)
            control_postgres(directory, "stop")
            send(daemon, 25)
            wait_for(lambda: daemon.get("/api/status")["incidents"]["failures"])
            assert post_event(daemon, event_action="trigger", dedup_key="d", payload=PAYLOAD)[0] == 503
            assert daemon.get("/api/v1/query?query=latency_ms")["data"]["result"][0]["value"][1] == "25"
            control_postgres(directory, "start")
            (one,) = wait_for(lambda: _found(daemon))
            assert (one["title"], one["state"]) == ("api is slow", "open")
            signal_postgres(directory, signal.SIGSTOP)
            try:
                for value in range(20, 30):
                    send(daemon, value)
                assert daemon.get("/api/v1/query?query=latency_ms")["data"]["result"][0]["value"][1] == "29"
            finally:
                signal_postgres(directory, signal.SIGCONT)
            wait_for(lambda: post_form(daemon, f"/api/v1/incidents/{one['id']}/acknowledge", user="ann")[0] == 200)
            assert len(incidents(daemon)) == 1
            assert daemon.stop() == 0


@pytest.mark.long
@pytest.mark.needs_debian("postgresql")
def test_a_database_that_refuses_disturbs_nothing_else(tmp_path: Path, hook: Hook) -> None:
    """With a user that it does not know: incidents are unavailable with the reason, samples are taken and read."""
    with server() as url:
        own = environment_of(tmp_path, hook) | {"NISSA_DATABASE__URL": url.replace("nissa@", "stranger@")}
        with running(tmp_path / "data", environment=own) as daemon:
            send(daemon, 25)
            assert daemon.get("/api/v1/query?query=latency_ms")["data"]["result"][0]["value"][1] == "25"
            status, body = daemon.request("GET", "/api/v1/incidents")
            assert (status, b"stranger" in body) == (503, True)
            assert daemon.stop() == 0


def _found(daemon) -> list:
    """Incidents, once the database answers."""
    try:
        return incidents(daemon)
    except RuntimeError:
        return []


@pytest.mark.long
@pytest.mark.needs_debian("postgresql")
@pytest.mark.parametrize("opens_before", [True, False])
def test_a_database_that_hangs_takes_no_places_of_queries(tmp_path: Path, hook: Hook, opens_before: bool) -> None:
    """However many ask for incidents, queries of samples are answered; incidents are, once it goes on."""
    with server() as url:
        directory = Path(url.partition("host=")[2])
        own = environment_of(tmp_path, hook) | {"NISSA_DATABASE__URL": url, "NISSA_DATABASE__TIMEOUT": "2s"}
        if not opens_before:
            signal_postgres(directory, signal.SIGSTOP)
        try:
            with running(tmp_path / "data", environment=own) as daemon:
                send(daemon, 3)
                if opens_before:
                    assert incidents(daemon) == []
                    signal_postgres(directory, signal.SIGSTOP)
                ends = threading.Event()

                def ask() -> None:
                    while not ends.is_set():
                        daemon.request("GET", "/api/v1/incidents")

                threads = [threading.Thread(target=ask) for _ in range(8)]
                for thread in threads:
                    thread.start()
                try:
                    wait_for(lambda: b"again" in daemon.request("GET", "/api/v1/incidents")[1])
                    answers = [daemon.request("GET", "/api/v1/query?query=latency_ms")[0] for _ in range(40)]
                finally:
                    ends.set()
                    signal_postgres(directory, signal.SIGCONT)
                    for thread in threads:
                        thread.join()
                assert answers == [200] * 40
                wait_for(lambda: daemon.request("GET", "/api/v1/incidents")[0] == 200)
                assert daemon.stop() == 0
        finally:
            signal_postgres(directory, signal.SIGCONT)


@pytest.mark.long
def test_a_newer_database_disturbs_nothing_else(tmp_path: Path, hook: Hook) -> None:
    """Incidents are unavailable with the revision that is not known; samples are taken and read; commands say why."""
    own = environment_of(tmp_path, hook)
    with running(tmp_path / "data", environment=own) as daemon:
        assert incidents(daemon) == []
        assert daemon.stop() == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'incidents_9' WHERE version_num = 'incidents_1'")
    with running(tmp_path / "data", environment=own) as daemon:
        send(daemon, 25)
        wait_for(lambda: daemon.get("/api/v1/query?query=latency_ms")["data"]["result"])
        status, body = daemon.request("GET", "/api/v1/incidents")
        assert (status, b"incidents_9" in body) == (503, True)
        assert daemon.stop() == 0
    command = [sys.executable, "-m", "nissa.cli.main", "sla", "verify", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, b"incidents_9" in done.stderr, b"Traceback" in done.stderr) == (1, True, False)
