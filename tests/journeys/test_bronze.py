"""The Bronze tier of a running daemon: logs in, entries out at once, pages, limits, and no secret on the disk."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from journeys.rig import Daemon, running

TRACE = "0af7651916cd43dd8448eb211c80319c"


def post_json(daemon: Daemon, path: str, body: Any) -> tuple[int, dict[str, Any]]:
    """Status and answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{daemon.api_url}{path}", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def entries(daemon: Daemon, query: str = "") -> list[dict[str, Any]]:
    """All entries, page by page."""
    found, cursor = [], ""
    while True:
        page = daemon.get(f"/api/v1/bronze?{query}" + (f"&cursor={cursor}" if cursor else ""))["data"]
        found += page["entries"]
        if page["complete"]:
            return found
        cursor = page["cursor"]


@pytest.mark.long
def test_logs_are_entries_at_once_and_have_no_secrets(tmp_path: Path) -> None:
    """Errors and slow requests only, filtered and paged; over kill -9 and sealing; nothing secret in any file."""
    settings = {"NISSA_BRONZE__LOGS_PER_MINUTE_MAX": "5", "NISSA_STORAGE__SEAL_INTERVAL": "500ms"}
    with running(tmp_path / "data", environment=settings) as daemon:
        line = {"level": "ERROR", "message": "hidden@mail.org failed", "service_id": "shop", "user_id": "annannann"}
        line |= {"context": {"password": "hunter2hunter2"}, "trace_id": f"00-{TRACE}-b7ad6b7169203331-01"}
        assert post_json(daemon, "/api/logs/ingest", line)[0] == 202
        (entry,) = entries(daemon)  # durable means visible
        assert (entry["level"], entry["service_id"], entry["trace_id"]) == ("ERROR", "shop", TRACE)
        assert (entry["message"], entry["context"]) == ("[redacted:email] failed", {"password": "[redacted:secret]"})
        lines = [{"message": f"m{n}", "level": "ERROR" if n % 10 == 0 else "INFO"} for n in range(1000)]
        lines[5]["duration_ms"] = 1500
        body = {
            "service_id": "db",
            "logs": lines,
            "metrics": [{"name": "app.orders", "value": 3, "tags": {"kind": "a"}}],
        }
        assert post_json(daemon, "/api/telemetry", body) == (
            202,
            {"status": "success", "data": {"accepted": {"logs": 1000, "metrics": 1}}},
        )
        daemon.kill()
    with running(tmp_path / "data", environment=settings) as daemon:
        assert len(entries(daemon, "limit=7")) == 102
        assert [one["message"] for one in entries(daemon, "service=db&limit=7&order=oldest-first")][:2] == ["m0", "m5"]
        assert len(entries(daemon, f"trace_id={TRACE}")) == 1
        assert [one["duration_ms"] for one in entries(daemon, "log_level=INFO")] == [1500]
        answer = daemon.get("/api/v1/query?query=app_orders")["data"]["result"]
        assert answer[0]["metric"] == {"__name__": "app_orders", "kind": "a", "service": "db"}
        daemon.wait_sealed()
        assert post_json(daemon, "/api/logs/ingest", {"level": "ERROR"})[0] == 400
        assert post_json(daemon, "/api/logs/ingest", {"message": "m", "level": "LOUD"})[0] == 400
        assert post_json(daemon, "/api/logs/ingest", b"{")[0] == 400
        deep = b'{"message": "m", "context": ' + b'{"a": ' * 5_000 + b"1" + b"}" * 5_000 + b"}"
        status, answer = post_json(daemon, "/api/telemetry", b'{"logs": [' + deep + b"]}")
        assert (status, "recursion" in answer["error"]) == (400, True)
        status, answer = post_json(daemon, "/api/telemetry", {"logs": [{"message": "m", "timestamp_ms": 2**63}]})
        assert (status, "logs[0].timestamp_ms" in answer["error"]) == (400, True)
        status, answer = post_json(daemon, "/api/logs/ingest", {"message": "x" * 60_000})
        assert (status, "bronze.log_size_max" in answer["error"]) == (413, True)
        assert [post_json(daemon, "/api/logs/ingest", line)[0] for _ in range(2)] == [202, 429]
        assert daemon.stop() == 0
    every = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    for secret in (b"hidden@mail", b"hunter2", b"annannann"):
        assert secret not in every
