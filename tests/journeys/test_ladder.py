"""The ladder in a running daemon: over late samples and kills, every tier agrees with the samples."""

import io
import json
import math
import random
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cramjam
from journeys.rig import Daemon, connect, nissa_command, post, running

from nissa._proto import remote_write_v1_pb2 as pb

HOUR_MS = 3_600_000
TIERS = {"1m": 60_000, "5m": 300_000, "1h": HOUR_MS}
SETTINGS = {"NISSA_STORAGE__SEAL_INTERVAL": "200ms", "NISSA_LADDER__GRACE": "0"}


def body_of(samples: list[tuple[int, int, float]]) -> bytes:
    """A remote write body of (series, ts_ms, value)."""
    request = pb.WriteRequest()
    for series, ts_ms, value in samples:
        one = request.timeseries.add()
        one.labels.add(name="__name__", value="level")
        one.labels.add(name="series", value=str(series))
        one.samples.add(value=value, timestamp=ts_ms)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def lines_of(daemon: Daemon, resolution: str) -> list[dict[str, Any]]:
    """Windows as exported."""
    question = urlencode({"match[]": "level", "resolution": resolution})
    status, body = daemon.request("GET", f"/api/v1/export?{question}")
    assert status == 200, body[:300]
    return [json.loads(line) for line in io.BytesIO(body)]


def wait_written(daemon: Daemon) -> dict[str, Any]:
    """Wait until all is sealed and the ladder has seen it; how far it is."""
    daemon.wait_sealed()
    for _ in range(600):
        status = daemon.get("/api/status")
        if status["ladder"]["lsn"] >= status["journal"]["checkpoint_lsn"]:
            return dict(status["ladder"])
        time.sleep(0.1)
    raise RuntimeError(f"the ladder is behind: {status['ladder']}")


def check(daemon: Daemon, samples: dict[tuple[int, int], float]) -> None:
    """Every tier, window by window."""
    for resolution, interval_ms in TIERS.items():
        inside: dict[tuple[int, int], list[float]] = defaultdict(list)
        for (series, ts_ms), value in sorted(samples.items()):
            inside[series, ts_ms // interval_ms * interval_ms].append(value)
        found = {}
        for line in lines_of(daemon, resolution):
            for at, start_ms in enumerate(line["timestamps"]):
                window = {name: line[name][at] for name in ("count", "min", "max", "first", "last", "sum")}
                found[int(line["metric"]["series"]), start_ms] = window
        assert found.keys() == inside.keys(), resolution
        for key, values in inside.items():
            window = found[key]
            total = window.pop("sum")
            expected = {"count": len(values), "min": min(values), "max": max(values)}
            assert window == expected | {"first": values[0], "last": values[-1]}, (resolution, key)
            assert math.isclose(total, math.fsum(values), rel_tol=1e-12), (resolution, key)


def check_promql(daemon: Daemon, samples: dict[tuple[int, int], float], last_ms: int) -> None:
    """Each tier by its name, over HTTP: counts and maxima of its windows, and an info that names it."""
    for resolution, interval_ms in TIERS.items():
        end_ms = last_ms // interval_ms * interval_ms
        span = {"start": (end_ms - 2 * HOUR_MS) / 1000, "end": end_ms / 1000, "step": f"{interval_ms}ms"}
        for function, of in (("count_over_time", len), ("max_over_time", max)):
            query = f"{function}(level[{interval_ms}ms])"
            question = urlencode({"query": query, "resolution": resolution, **span})
            status, body = daemon.request("GET", f"/api/v1/query_range?{question}")
            assert status == 200, body[:300]
            answer = json.loads(body)
            assert answer["infos"] == [f"PromQL info: answered from windows of {resolution} (1:1)"]
            for line in answer["data"]["result"]:
                series = int(line["metric"]["series"])
                for at_s, value in line["values"]:
                    ends_ms = round(at_s * 1000)
                    times = range(ends_ms - interval_ms, ends_ms)
                    inside = [one for (number, ts_ms), one in samples.items() if number == series and ts_ms in times]
                    assert float(value) == of(inside), (query, at_s)
                assert len(line["values"]) == 2 * HOUR_MS // interval_ms + 1


def test_windows_over_late_samples_and_kills(tmp_path: Path) -> None:
    """Four hours arrive in any order, the daemon is killed after every few requests; nothing is missing or twice."""
    seed = 7
    order = random.Random(seed)
    last_ms = int(time.time() * 1000)
    base_ms = (last_ms - 4 * HOUR_MS) // HOUR_MS * HOUR_MS
    samples = {
        (series, ts_ms): float(order.randrange(10_000))
        for series in range(5)
        for ts_ms in range(base_ms, last_ms, 30_000)
    }
    keys = list(samples)
    order.shuffle(keys)
    frames = [keys[at : at + 250] for at in range(0, len(keys), 250)]
    kept: dict[tuple[int, int], float] = {}
    for first in range(0, len(frames), 3):
        with running(tmp_path / "data", environment=SETTINGS) as daemon:
            link = connect(daemon.ingest_url)
            for frame in frames[first : first + 3]:
                assert post(link, body_of([(*key, samples[key]) for key in frame])) // 100 == 2
                kept |= {key: samples[key] for key in frame}
            link.close()
            time.sleep(order.random() / 2)  # a seal or the ladder is under way, or is not
            check(daemon, kept)
    with running(tmp_path / "data", environment=SETTINGS) as daemon:
        link = connect(daemon.ingest_url)
        assert post(link, body_of([(0, last_ms, 1.0)])) // 100 == 2
        link.close()
        kept[0, last_ms] = 1.0
        ladder = wait_written(daemon)
        assert (ladder["failures"], ladder["damages"]) == (0, 0)
        assert ladder["tiers"]["5m"]["written_until_ms"] == last_ms // HOUR_MS * HOUR_MS
        check(daemon, kept)
        check_promql(daemon, kept, last_ms)
        assert daemon.stop() == 0
    said = nissa_command("verify", "--tiers", tmp_path / "data").decode()
    assert "5m: " in said
    assert " 0 differences" in said
