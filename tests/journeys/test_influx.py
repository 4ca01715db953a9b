"""InfluxDB lines to the running daemon, as its clients send them, read back by PromQL and export after a kill."""

import contextlib
import gzip
import json
import time
from pathlib import Path
from urllib.parse import quote

from journeys.rig import Daemon, connect, running

GOLDEN = Path(__file__).parents[1] / "goldens" / "influx.txt"
PATHS = ("/write?db=telegraf&precision=s", "/api/v2/write?org=o&bucket=b&precision=ms", "/api/v3/write_lp?db=telegraf")


def send(daemon: Daemon, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    """Status and body of one POST."""
    link = connect(daemon.ingest_url)
    with contextlib.closing(link):
        link.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        reply = link.getresponse()
        return reply.status, reply.read()


def value_of(daemon: Daemon, query: str) -> dict[str, str]:
    """Value by the label ``host`` of an instant query."""
    found = daemon.get(f"/api/v1/query?query={quote(query)}")["data"]["result"]
    return {each["metric"].get("host", ""): each["value"][1] for each in found}


def test_lines_are_read_back(tmp_path: Path) -> None:
    """Each path with its precision, plain and gzip; after kill -9 all of it is there and accounted for."""
    now_s = int(time.time())
    with running(tmp_path / "data") as daemon:
        assert send(daemon, PATHS[0], b'cpu,host=one usage=1.5,ok=t,note="x" %d\n' % now_s) == (204, b"")
        plain = b"cpu,host=two usage=2i %d\ncpu,host=three usage=3u %d" % (now_s * 1000, now_s * 1000)
        assert send(daemon, PATHS[1], gzip.compress(plain), Content_Encoding="gzip")[0] == 204
        assert send(daemon, PATHS[2], b"cpu,host=four,db=own usage=4\r\n", Content_Type="text/plain")[0] == 204
        wanted = {"one": "1.5", "two": "2", "three": "3", "four": "4"}
        assert value_of(daemon, "cpu_usage") == wanted
        daemon.kill()
    with running(tmp_path / "data") as daemon:
        assert value_of(daemon, "cpu_usage") == wanted
        assert value_of(daemon, 'cpu_ok{db="telegraf"}') == {"one": "1"}
        assert value_of(daemon, 'cpu_usage{db="own"}') == {"four": "4"}
        counters = daemon.get("/api/v1/accounting")["data"]["sources"]["http/influx"]
        assert (counters["stored"], counters["unaccounted"]) == (5, 0)
        assert counters["refused"] == {"value_text": 1}


def test_faults_name_their_lines(tmp_path: Path) -> None:
    """Good lines are kept and the others named; faults of a request are reported in InfluxDB's JSON."""
    with running(tmp_path / "data") as daemon:
        status, body = send(daemon, "/write", b"m,host=a v=1\nm,host=b v=\n\nm,host=c v=3\nm v=4 1\n")
        assert status == 400
        answer = json.loads(body)
        assert [(each["line_number"], each["original_line"]) for each in answer["data"]] == [
            (2, "m,host=b v="),
            (5, "m v=4 1"),
        ]
        assert "partial write: 2 written, 2 refused" in answer["error"]
        assert value_of(daemon, "m_v") == {"a": "1", "c": "3"}
        status, body = send(daemon, "/api/v2/write?precision=week", b"m v=1")
        assert (status, json.loads(body)["code"]) == (400, "invalid")
        assert "precision 'week'" in json.loads(body)["message"]
        assert send(daemon, "/write?db=a&db=b", b"m v=1")[0] == 400
        assert send(daemon, "/write", b"m v=1", Content_Encoding="br")[0] == 415
        assert send(daemon, "/write", b"not gzip", Content_Encoding="gzip")[0] == 400
        assert send(daemon, "/write", b"")[0] == 204
        link = connect(daemon.ingest_url)
        with contextlib.closing(link):
            link.request("GET", "/ping")
            reply = link.getresponse()
            assert (reply.status, reply.headers["X-Influxdb-Version"]) == (204, "1.8.0")
