"""Metrics of Nissa itself: a daemon without configuration stores every metric of its catalogue."""

import time
from pathlib import Path

import pytest
from journeys.rig import Daemon, Ledger, connect, post, running
from journeys.test_maintenance import comes

from nissa.selfmetrics.catalogue import CATALOGUE

# Metrics without samples before the first event: a connection too slow, a request refused, a text redacted.
ONLY_AFTER_AN_EVENT = {
    *("nissa_http_timeouts_total", "nissa_ingest_refused_total", "nissa_events_redacted_total"),
    *("nissa_mode_changes_total", "nissa_shed_frames_total"),
}


def names_in(daemon: Daemon, accept: str) -> set[str]:
    """Names of the samples of /metrics in the format that ``accept`` asks for."""
    link = connect(daemon.ingest_url)
    link.request("GET", "/metrics", headers={"Accept": accept})
    lines = link.getresponse().read().decode().splitlines()
    return {line.partition("{")[0].partition(" ")[0] for line in lines if not line.startswith("#")}


def missing_of_its_own(daemon: Daemon) -> set[str]:
    """Metrics that the daemon has kept no sample of; those of the hot endpoint need a sender."""
    kept = {dict(labels)["__name__"] for labels in daemon.export('{job="nissa"}')}
    return {name for name in missing(kept) if not name.startswith("nissa_http")}


def missing(names: set[str]) -> set[str]:
    """Metrics of the catalogue that have no sample among ``names``, but for those of sources and sinks, of which none
    is configured.
    """
    expected = {metric.name + ("_bucket" if metric.kind == "histogram" else "") for metric in CATALOGUE}
    outside = {
        metric.name for metric in CATALOGUE if metric.origin in ("source", "sink") or metric.name.startswith("esper_")
    }
    return expected - names - ONLY_AFTER_AN_EVENT - outside


def test_a_new_daemon_has_its_own_data(tmp_path: Path) -> None:
    """By itself, the export comes to hold every series of Nissa's own, and more than one sample of them."""
    with running(tmp_path / "data", environment={"NISSA_TELEMETRY__INTERVAL": "1000ms"}) as daemon:
        comes(lambda: not missing_of_its_own(daemon))
        assert missing_of_its_own(daemon) == set()
        assert comes(lambda: len(times_of(daemon)) >= 2)
        assert len(daemon.export('{__name__=~"nissa_.*",job="nissa"}')) > 30
        assert (
            daemon.get("/api/v1/metadata?metric=nissa_head_samples")["data"]["nissa_head_samples"][0]["type"] == "gauge"
        )
        assert not any(daemon.unaccounted().values())


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text;version=1.0.0"])
def test_every_metric_of_the_catalogue_has_a_sample(tmp_path: Path, accept: str) -> None:
    """After one write /metrics has a sample of every metric of the catalogue, in both formats."""
    with running(tmp_path / "data") as daemon:
        assert post(connect(daemon.ingest_url), Ledger(1).body(1)) == 204
        daemon.get("/api/status")
        assert missing(names_in(daemon, accept)) == set()


def test_its_own_data_is_kept_like_anybodys(tmp_path: Path) -> None:
    """Own metrics survive a kill and are in the accounting; a daemon with own metrics disabled stores none."""
    with running(tmp_path / "data", environment={"NISSA_TELEMETRY__INTERVAL": "100ms"}) as daemon:
        while len(times_of(daemon)) < 3:
            time.sleep(0.1)
        before = times_of(daemon)
        daemon.kill()
    with running(tmp_path / "data") as daemon:
        after = times_of(daemon)
        assert after >= before
        sources = daemon.get("/api/v1/accounting")["data"]["sources"]
        assert [source for source, counters in sources.items() if counters["stored"]] == ["self/remote_write_1"]
        assert not any(daemon.unaccounted().values())
        assert times_of(daemon) == after


def times_of(daemon: Daemon) -> set[int]:
    """Times of the daemon's samples of nissa_head_samples."""
    return {
        ts_ms for series in daemon.export('{__name__="nissa_head_samples",job="nissa"}').values() for ts_ms in series
    }
