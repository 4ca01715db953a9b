"""Scraping beside Debian's Prometheus: one configuration file, the same targets, the same series and values.

                   ┌──scrape── Prometheus ──► query ──┐
node_exporter, ────┤                                  ├──► equal
pages of a test ───┘──scrape── Nissa ───────► query ──┘
"""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from journeys.rig import Daemon, running

from oracle.ports import free_port
from oracle.scrape_target import OPENMETRICS, Target, scrape_target

pytestmark = [pytest.mark.needs_debian("prometheus"), pytest.mark.needs_debian("prometheus-node-exporter")]
DEADLINE_S = 60
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 900ms, external_labels: {{region: eu}}}}
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["{node}"], labels: {{dc: ams}}}}]
  - job_name: text
    static_configs: [{{targets: ["{target}"]}}]
  - job_name: honoring
    honor_labels: true
    static_configs: [{{targets: ["{target}"], labels: {{zone: b}}}}]
  - job_name: open
    metrics_path: /open
    params: {{module: [a, b]}}
    static_configs: [{{targets: ["{target}"]}}]
  - job_name: rules
    file_sd_configs: [{{files: [targets.json], refresh_interval: 1s}}]
    relabel_configs:
      - {{source_labels: [__address__], regex: "(.*):(.*)", target_label: host}}
      - {{source_labels: [env], regex: test, action: drop}}
      - {{regex: "__meta_(.*)path", replacement: "from_${{1}}", action: labelmap}}
    metric_relabel_configs:
      - {{source_labels: [__name__, code], separator: "/", regex: "http_requests_total/5..", action: drop}}
      - {{source_labels: [path], regex: "/([a-z]+)/.*", target_label: area}}
      - {{source_labels: [path], target_label: shard, modulus: 4, action: hashmod}}
      - {{source_labels: [area], target_label: area, action: uppercase}}
      - {{regex: "path|host", action: labeldrop}}
  - job_name: limited
    sample_limit: 3
    static_configs: [{{targets: ["{target}"]}}]
  - job_name: secret
    metrics_path: /secret
    basic_auth: {{username: user, password_file: password}}
    static_configs: [{{targets: ["{target}"]}}]
  - job_name: nobody
    static_configs: [{{targets: ["127.0.0.1:1"]}}]
"""
TEXT_PAGE = b"""# HELP http_requests_total Requests, \\\\ and\\n two lines
# TYPE http_requests_total counter
http_requests_total{code="200",path="/shop/cart"} 1027
http_requests_total{code="200",path="/pay/now",job="own",instance="x"} 3
http_requests_total{code="500",path="/shop/list"} 4
# TYPE values gauge
values{kind="sum"} 0.30000000000000004
values{kind="largest"} 1.7976931348623157e+308
values{kind="smallest"} 5e-324
values{kind="minus"} -Inf
values{kind="none"} NaN
values{kind="t\xc3\xa9xt \\"quoted\\" \\\\ \\n"} 1
values{zone="a",empty=""} 2e-7
"""
OPEN_PAGE = b"""# TYPE requests counter
# UNIT latency_seconds seconds
requests_total{code="200"} 17 # {trace_id="a}b"} 0.5 1520879607.789
requests_created{code="200"} 1520430000.123
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.1"} 8 # {} 0.054
latency_seconds_bucket{le="+Inf"} 17
latency_seconds_count 17
latency_seconds_sum 324789.3
latency_seconds_created 1520430000.123
# TYPE build info
build_info{version="8.2.7"} 1
# EOF
"""
Series = dict[tuple[tuple[str, str], ...], str]


@pytest.fixture
def target() -> Iterator[Target]:
    with scrape_target() as served:
        served.pages = {
            "/metrics": TEXT_PAGE,
            "/open": (200, {"Content-Type": OPENMETRICS}, OPEN_PAGE),
            "/secret": b"told 1\n",
        }
        served.zipped = True
        yield served


@contextmanager
def process(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process until the end of the block."""
    with log.open("wb") as out:
        started = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def vector(url: str, query: str) -> Series:
    """Labels and value of an instant query."""
    with urllib.request.urlopen(f"{url}/api/v1/query?{urlencode({'query': query})}", timeout=60) as reply:
        found = json.load(reply)["data"]["result"]
    return {tuple(sorted(each["metric"].items())): each["value"][1] for each in found}


def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait until something holds; returns it."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {DEADLINE_S} s")


def agree(difference: Callable[[], str]) -> None:
    """Wait until there is no difference."""
    deadline = time.monotonic() + DEADLINE_S
    while (found := difference()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not found


def written(tmp_path: Path, target: Target, node: str) -> Path:
    """The configuration file, and the files beside it."""
    (tmp_path / "password").write_text("good\n")
    groups = [{"targets": [target.address]}, {"targets": ["127.0.0.1:2"], "labels": {"env": "test"}}]
    (tmp_path / "targets.json").write_text(json.dumps(groups))
    path = tmp_path / "prometheus.yml"
    path.write_text(CONFIG.format(target=target.address, node=node))
    return path


def scraping(path: Path) -> dict[str, str]:
    """The environment of a Nissa that scrapes by this file."""
    return {"NISSA_SOURCES__SCRAPE__CONFIG_FILE": str(path)}


def last_errors(nissa: Daemon) -> dict[str, str]:
    """Last error of a target by its job."""
    return {one["scrapePool"]: one["lastError"] for one in nissa.get("/api/v1/targets")["data"]["activeTargets"]}


def jobs_up(url: str) -> dict[str, str]:
    """Value of ``up`` by job."""
    return {dict(labels)["job"]: value for labels, value in vector(url, "up").items()}


WANTED_UP = {
    **dict.fromkeys(("node", "text", "honoring", "open", "rules", "secret"), "1"),
    **dict.fromkeys(("limited", "nobody"), "0"),
}


def test_nissa_scrapes_what_prometheus_scrapes(tmp_path: Path, target: Target) -> None:
    """One file, the same targets: the same series with the same values, while targets and series come and go."""
    target.pages["/secret"] = b"told 1\n"
    node = f"127.0.0.1:{free_port()}"
    peer = f"127.0.0.1:{free_port()}"
    path = written(tmp_path, target, node)
    command = ("prometheus", f"--config.file={path}", f"--storage.tsdb.path={tmp_path / 'tsdb'}")
    with ExitStack() as stack:
        exporter = stack.enter_context(
            process("prometheus-node-exporter", f"--web.listen-address={node}", log=tmp_path / "node.log")
        )
        stack.enter_context(process(*command, f"--web.listen-address={peer}", log=tmp_path / "prometheus.log"))
        nissa = stack.enter_context(running(tmp_path / "data", environment=scraping(path)))
        theirs, ours = f"http://{peer}", nissa.api_url

        def compared(query: str) -> str:
            try:
                left, right = vector(theirs, query), vector(ours, query)
            except OSError as error:  # Prometheus is starting
                return f"no answer to {query}: {error}"
            return (
                ""
                if left and left == right
                else f"Prometheus {set(left.items()) - set(right.items())}, Nissa "
                + str(set(right.items()) - set(left.items()))
            )

        agree(lambda: compared("up") or str(jobs_up(ours).items() ^ WANTED_UP.items() or ""))
        pages = '{job=~"text|honoring|open|rules|secret|own",__name__!~"scrape_duration_seconds|scrape_series_added"}'
        agree(lambda: compared(pages))
        agree(lambda: compared('count by (__name__) ({job="node",__name__=~"scrape_samples_.*|node_.*"})'))
        # A scrape that came too late for its timeout makes series stale for a second.
        until(lambda: len(vector(ours, '{job="rules",__name__="http_requests_total"}')) == 2, "two series of rules")
        until(lambda: vector(ours, 'http_requests_total{job="rules",area="PAY",shard=~"[0-3]"}'), "one of them")

        target.pages["/metrics"] = TEXT_PAGE.replace(b'values{kind="sum"} 0.3', b'other{kind="sum"} 0.3')
        (tmp_path / "password").write_text("bad")
        target.authorization = "Basic " + b64encode(b"user:good").decode()
        exporter.kill()
        gone = {**WANTED_UP, "node": "0", "secret": "0"} | dict.fromkeys(("text", "honoring", "open", "rules"), "0")
        agree(lambda: compared("up") or str(jobs_up(ours).items() ^ gone.items() or ""))
        until(lambda: vector(ours, '{job!="",__name__!~"up|scrape_.*"}') == {}, "markers for all of their series")
        unauthorized = "the target answers HTTP status 401 Unauthorized"
        until(lambda: last_errors(nissa)["secret"] == unauthorized, unauthorized)
        refused = "no connection to 127.0.0.1:1: Connection refused"
        until(lambda: last_errors(nissa)["nobody"] == refused, refused)

        target.authorization = ""
        agree(lambda: compared(pages))
        until(lambda: not vector(ours, 'values{kind="sum"}'), "a marker for the series that left the page")
        groups = [{"targets": ["127.0.0.1:3"]}]
        (tmp_path / "targets.json").write_text(json.dumps(groups))
        until(lambda: not vector(ours, f'up{{job="rules",instance="{target.address}"}}'), "a target that left its file")
        assert set(nissa.unaccounted().values()) == {0}
        assert nissa.stop() == 0


def test_the_configuration_is_read_again(tmp_path: Path) -> None:
    """By POST /-/reload and SIGHUP, all or nothing: a wrong file is answered with its fault and changes nothing."""
    path = tmp_path / "prometheus.yml"

    def write(job: str, more: str = "") -> None:
        entry = f"{{job_name: {job}, static_configs: [{{targets: ['{target.address}']}}]{more}}}"
        path.write_text(f"global: {{scrape_interval: 1s}}\nscrape_configs: [{entry}]\n")

    def reloaded(nissa: Daemon) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{nissa.api_url}/-/reload", method="POST")) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    with scrape_target() as target:
        write("first")
        with running(tmp_path / "data", environment=scraping(path)) as nissa:
            until(lambda: jobs_up(nissa.api_url) == {"first": "1"}, "the first job")
            write("second", ", metric_path: /x")
            status, text = reloaded(nissa)
            assert status == 500
            assert f"{path}, line 2: scrape_configs[0].metric_path: is no setting of Prometheus" in text
            assert not nissa.get("/api/v1/status/runtimeinfo")["data"]["reloadConfigSuccess"]
            write("second")
            assert reloaded(nissa) == (200, "")
            until(lambda: jobs_up(nissa.api_url) == {"second": "1"}, "the second job instead")
            write("third")
            nissa.process.send_signal(signal.SIGHUP)
            until(lambda: jobs_up(nissa.api_url) == {"third": "1"}, "the third job instead")
            assert nissa.get("/api/v1/status/runtimeinfo")["data"]["reloadConfigSuccess"]
            until(lambda: set(nissa.unaccounted().values()) == {0}, "a balanced account")
            assert nissa.stop() == 0


def test_scraping_goes_on_after_kill(tmp_path: Path, target: Target) -> None:
    """After kill -9 stored samples are there, scraping goes on, and everything is accounted for."""
    path = written(tmp_path, target, "127.0.0.1:1")
    query = f'count_over_time(up{{job="text",instance="{target.address}"}}[10m])'

    def samples(nissa: Daemon) -> int:
        return int(next(iter(vector(nissa.api_url, query).values()), "0"))

    with running(tmp_path / "data", environment=scraping(path)) as nissa:
        until(lambda: samples(nissa) >= 3, "three scrapes")
        before = samples(nissa)
        nissa.kill()
    with running(tmp_path / "data", environment=scraping(path)) as nissa:
        assert samples(nissa) >= before
        until(lambda: samples(nissa) >= before + 2, "scrapes after the restart")
        until(lambda: vector(nissa.api_url, 'values{job="text",kind="sum"}'), "the series of a page")

        def counters() -> dict[str, Any]:
            found: dict[str, Any] = nissa.get("/api/v1/accounting")["data"]["sources"]["scrape/exposition"]
            return found

        until(lambda: counters()["refused"].get("relabel_dropped"), "a sample that a rule drops")
        until(lambda: counters()["malformed"], "a page over sample_limit")
        until(lambda: set(nissa.unaccounted().values()) == {0}, "a balanced account")


def test_targets_that_answer_badly(tmp_path: Path) -> None:
    """HTML, a page without end and one with bad lines: each target has an error, and sound lines are stored."""
    with scrape_target() as target:
        target.pages = {
            "/html": (200, {"Content-Type": "text/html"}, b"<html></html>"),
            "/cut": (200, {"Content-Type": OPENMETRICS}, b"a 1\n"),
            "/mixed": b"sound 1\nnonsense\nsound 1\nlate 1 32503680000000\n",
            "/large": b"large 1\n" * 5_000_000,
        }
        path = tmp_path / "prometheus.yml"
        entries = [
            f"  - {{job_name: {page[1:]}, metrics_path: {page}, static_configs: [{{targets: ['{target.address}']}}]}}"
            for page in target.pages
        ]
        path.write_text("global: {scrape_interval: 3s}\nscrape_configs:\n" + "\n".join(entries))
        with running(tmp_path / "data", environment=scraping(path)) as nissa:
            wanted = {"html": "0", "cut": "0", "mixed": "1", "large": "0"}
            until(lambda: jobs_up(nissa.api_url) == wanted, "up of all targets")
            # Where the machine was busy an error may first be that of a scrape that took too long.
            for job, words in (
                ("html", "the target answers with content type 'text/html': expected text/plain"),
                ("cut", "the last line is not # EOF at byte 4"),
                ("mixed", "2 samples refused: line 2: record_malformed: a line ends before its value"),
                ("mixed", "line 4: too_new"),
                ("large", "the answer has 40000000 bytes, over the limit of 33554432"),
            ):
                until(lambda job=job, words=words: words in last_errors(nissa)[job], f"{job}: {words}")
            sound = '{job="mixed",__name__="sound"}'
            until(lambda: list(vector(nissa.api_url, sound).values()) == ["1"], "the sound line")
