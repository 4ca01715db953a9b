"""Service level agreements of a running daemon: days of imported samples are caught up over kill -9, once."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from journeys.rig import Daemon, nissa_command, running
from journeys.test_import import post, wait_folded
from journeys.test_rules import post_form, wait_for

DAY_S = 86_400
STEP_S = 300
DAYS = 3


def history(now_s: int) -> bytes:
    """Counters of three days: 10 requests a second, of which 1 % fail on the second day, as lines of an import."""
    first_s = now_s // DAY_S * DAY_S - DAYS * DAY_S
    times = range(first_s, now_s - 600, STEP_S)
    bad, failed = 0.0, []
    for at_s in times:
        failed.append(bad)
        bad += STEP_S * 0.1 if (at_s - first_s) // DAY_S == 1 else 0.0
    values = {"total": [(at_s - first_s) * 10.0 for at_s in times], "failed": failed}
    lines = []
    for name, own in values.items():
        metric = {"__name__": f"requests_{name}", "service": "api"}
        for first in range(0, len(own), 1000):
            part = slice(first, first + 1000)
            times_ms = [at_s * 1000 for at_s in times[part]]
            lines.append(json.dumps({"metric": metric, "timestamps": times_ms, "values": own[part]}))
    return "\n".join(lines).encode() + b"\n"


def snapshots(daemon: Daemon) -> list[dict[str, Any]]:
    """Snapshots, the oldest first."""
    return daemon.get("/api/v1/sla/snapshots?sla=up")["data"]["snapshots"]


@pytest.mark.long
def test_days_are_caught_up_once(tmp_path: Path) -> None:
    """From imported samples, over a kill; their report, CSV, correction, versions and verification."""
    environment = {"NISSA_SLA__INTERVAL": "200ms", "NISSA_SLA__DELAY": "0"}
    now_s = time.time_ns() // 10**9
    first_day = datetime.fromtimestamp(now_s // DAY_S * DAY_S - DAYS * DAY_S, UTC).date().isoformat()
    form = {"sla": "up", "service": "api", "target": "99.9", "window": "7d", "active_from": first_day}
    form |= {"bad": "requests_failed", "total": "requests_total"}
    with running(tmp_path / "data", environment=environment) as daemon:
        assert post(daemon, history(now_s))[0] in (200, 204)
        wait_folded(daemon)
        status, answer = post_form(daemon, "/api/v1/sla/definitions", **form)
        assert (status, json.loads(answer)["data"]["version"]) == (200, 1)
        assert post_form(daemon, "/api/v1/sla/definitions", **{**form, "target": "200"})[0] == 400
        daemon.kill()
    with running(tmp_path / "data", environment=environment) as daemon:
        wait_for(lambda: len(snapshots(daemon)) >= DAYS)
        daemon.kill()
    with running(tmp_path / "data", environment=environment) as daemon:
        wait_for(lambda: daemon.get("/api/status")["sla"]["runs"] > 1)
        days = snapshots(daemon)
        assert days[0]["day"] == first_day
        assert len({day["day"] for day in days}) == len(days)
        assert [day["value"] for day in days[:3]] == [pytest.approx(value, abs=0.01) for value in (100, 99, 100)]
        assert days[1]["total_events"] == pytest.approx(10 * DAY_S, rel=0.01)
        assert days[1]["breach_count"] == 24
        assert days[1]["error_budget_burn"] == pytest.approx(10, rel=0.02)
        (report,) = daemon.get("/api/v1/sla/report?service=api")["data"]["agreements"]
        assert (report["state"]["is_met"], report["state"]["days_missed"]) == (False, 1)
        change = {"sla": "up", "day": days[1]["day"], "reason": "late data"}
        assert json.loads(post_form(daemon, "/api/v1/sla/corrections", **change)[1])["data"] == {"revision": 1}
        found = daemon.get(f"/api/v1/sla/snapshots/up/{days[1]['day']}")["data"]["revisions"]
        assert [one["reason"] for one in found] == ["", "late data"]
        table = daemon.request("GET", "/api/v1/sla/snapshots?sla=up&sla_format=csv")[1].decode()
        assert table.splitlines()[1].startswith(f"{first_day},up,1,0,")
        asked = f"/api/v1/sla/report?sla=up&sla_format=pdf&report_period={days[1]['day'][:7]}"
        status, body = daemon.request("GET", asked)
        assert (status, body[:5]) == (200, b"%PDF-")
        assert daemon.request("GET", asked.replace("sla=up", "sla=none"))[0] == 404
        path = tmp_path / "report.pdf"
        month = ("--period", days[1]["day"][:7], "--data-dir", tmp_path / "data")
        nissa_command("sla", "report", "up", "--pdf", path, *month)
        assert path.read_bytes() == body
        days_csv = nissa_command("sla", "report", "up", "--format", "csv", *month).decode()
        assert [line for line in days_csv.splitlines()[1:] if line not in table.splitlines()] == []
        assert f"{days[1]['day']},up,1,1," in days_csv
        del form["active_from"]
        assert json.loads(post_form(daemon, "/api/v1/sla/definitions", **{**form, "target": "99"})[1])["data"]["new"]
        status, answer = daemon.request("DELETE", "/api/v1/sla/definitions/up")
        assert (status, json.loads(answer)["data"]["version"]) == (200, 2)
        (definition,) = daemon.get("/api/v1/sla/definitions")["data"]["definitions"]
        assert [one["target"] for one in definition["versions"]] == [99.9, 99.0]
        listed = nissa_command("sla", "list", "--json", "--service", "api", "--data-dir", tmp_path / "data")
        rows = [json.loads(line) for line in listed.splitlines()]
        assert [(row["id"], row["version"], row["target"], bool(row["to"])) for row in rows] == [
            ("up", 1, 99.9, True),
            ("up", 2, 99.0, True),
        ]
        other = nissa_command("sla", "list", "--service", "other", "--data-dir", tmp_path / "data")
        assert other == b"definitions (0)\n"
        count = daemon.get("/api/v1/sla/verification")["data"]["snapshots"]
        assert f"{count} snapshots hold" in nissa_command("sla", "verify", "--data-dir", tmp_path / "data").decode()
        assert daemon.stop() == 0


def test_a_file_with_a_fault_is_refused(tmp_path: Path) -> None:
    """By the command, with exit code 2, the file and the field."""
    path = tmp_path / "sla.yaml"
    path.write_text("sla_definitions: [{id: up, service: a, metric_type: FAST}]")
    done = subprocess.run(
        [sys.executable, "-m", "nissa.cli.main", "sla", "check", path], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"sla.yaml: sla_definitions[0]" in done.stderr
    assert b"metric_type" in done.stderr
