"""Nissa about itself: a daemon that was told nothing has data by itself, every metric of its catalogue."""

import time
from pathlib import Path

import pytest
from journeys.rig import Daemon, Ledger, connect, post, running
from journeys.test_upkeep import comes

from nissa.selfmetrics.catalogue import CATALOGUE

# Nothing is worth telling before it happened: no connection was too slow, no request refused, no text redacted.
ONLY_AFTER_AN_EVENT = {"nissa_http_timeouts_total", "nissa_ingest_refused_total", "nissa_events_redacted_total"}


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
    """Metrics of the catalogue that have no sample among ``names``."""
    expected = {metric.name + ("_bucket" if metric.kind == "histogram" else "") for metric in CATALOGUE}
    return expected - names - ONLY_AFTER_AN_EVENT


def test_a_new_daemon_has_its_own_data(tmp_path: Path) -> None:
    """By itself, the export comes to hold every series of Nissa's own, and more than one sample of them."""
    with running(tmp_path / "data", environment={"NISSA_TELEMETRY__INTERVAL_MS": "1000"}) as daemon:
        comes(lambda: not missing_of_its_own(daemon))
        assert missing_of_its_own(daemon) == set()
        assert comes(lambda: len(times_of(daemon)) >= 2)
        assert len(daemon.export('{__name__=~"nissa_.*",job="nissa"}')) > 30
        assert (
            daemon.get("/api/v1/metadata?metric=nissa_head_samples")["data"]["nissa_head_samples"][0]["type"] == "gauge"
        )
        assert not any(daemon.residue().values())


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text;version=1.0.0"])
def test_every_metric_of_the_catalogue_has_a_sample(tmp_path: Path, accept: str) -> None:
    """After one write /metrics has a sample of every metric of the catalogue, in both formats."""
    with running(tmp_path / "data") as daemon:
        assert post(connect(daemon.ingest_url), Ledger(1).body(1)) == 204
        daemon.get("/api/status")
        assert missing(names_in(daemon, accept)) == set()


def test_its_own_data_is_kept_like_anybodys(tmp_path: Path) -> None:
    """What it told about itself is there after a kill, is in the accounting, and a daemon told not to tells nothing."""
    with running(tmp_path / "data", environment={"NISSA_TELEMETRY__INTERVAL_MS": "100"}) as daemon:
        while len(times_of(daemon)) < 3:
            time.sleep(0.1)
        before = times_of(daemon)
        daemon.kill()
    with running(tmp_path / "data") as daemon:
        after = times_of(daemon)
        assert after >= before
        sources = daemon.get("/api/v1/accounting")["data"]["sources"]
        assert [source for source, tally in sources.items() if tally["stored"]] == ["self/remote_write_1"]
        assert not any(daemon.residue().values())
        assert times_of(daemon) == after


def times_of(daemon: Daemon) -> set[int]:
    """When the daemon told about its head."""
    return {
        ts_ms for series in daemon.export('{__name__="nissa_head_samples",job="nissa"}').values() for ts_ms in series
    }
