"""Alerts on their way through a running daemon: from Prometheus and amtool in, to receivers out, over kill -9."""

import contextlib
import json
import random
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from journeys.brokers import NatsServer, from_nats
from journeys.rig import Daemon, connect, nissa_command, running

from nissa._proto.generic_event_pb2 import GenericEventRequest
from oracle.ports import free_port

DEADLINE_S = 60
CONFIG = """
route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 200ms}}
receivers: [{{name: hook, webhook_configs: [{{url: "{url}"}}]}}, {{name: other}}]
inhibit_rules: [{{source_matchers: [severity="critical"], target_matchers: [severity="warning"], equal: [cluster]}}]
"""


def wait_for(condition: Callable[[], Any]) -> Any:
    """The first true answer of ``condition``."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not become true")


class Hook:
    """A webhook: keeps all posted bodies, with the id of the delivery; answers ``status`` once ``answers`` is set.

    posted: what it took. refused: what it answered with another status than 200.
    """

    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.refused: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.answers = threading.Event()
        self.answers.set()
        hook = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = hook.status
                (hook.posted if status == 200 else hook.refused).append((self.headers["X-Nissa-Delivery"], body))
                hook.answers.wait(DEADLINE_S)
                with contextlib.suppress(OSError):  # of a daemon that was killed meanwhile
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def states(self) -> dict[str, str]:
        """Name of each alert that was posted -> its last state."""
        return {one["labels"]["alertname"]: one["status"] for _, body in self.posted for one in body["alerts"]}


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook that takes everything."""
    found = Hook()
    yield found
    found.server.shutdown()
    found.server.server_close()


def settings(folder: Path, hook: Hook, text: str = CONFIG, **more: str) -> dict[str, str]:
    """Variables of a daemon that routes to the webhook."""
    path = folder / "alertmanager.yml"
    path.write_text(text.format(url=hook.url))
    names = {"config_file": str(path), "retry_min": "10ms", "retry_max": "100ms", **more}
    return {f"NISSA_ALERTING__{name.upper()}": value for name, value in names.items()}


def post_alerts(daemon: Daemon, *labels: dict[str, str], **times: str) -> tuple[int, bytes]:
    """Post alerts; gives status and body."""
    link = connect(daemon.api_url)
    with contextlib.closing(link):
        body = json.dumps([{"labels": one, **times} for one in labels])
        link.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
        reply = link.getresponse()
        return reply.status, reply.read()


def open_routing(daemon: Daemon) -> None:
    """Wait until alerts are routed: the database opens after the ready line."""
    wait_for(lambda: daemon.request("GET", "/api/v2/status")[0] == 200)


def amtool(daemon: Daemon, *arguments: str) -> Any:
    """Output of amtool, decoded if it is JSON."""
    command = ["amtool", f"--alertmanager.url={daemon.api_url}", "--no-version-check", "-o", "json", *arguments]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return text


@pytest.mark.long
@pytest.mark.needs_debian("prometheus-alertmanager")
def test_amtool_works_against_nissa(tmp_path: Path, hook: Hook) -> None:
    """Alerts, silences, inhibition, routes and status: as against an Alertmanager."""
    with running(tmp_path / "data", environment=settings(tmp_path, hook)) as daemon:
        open_routing(daemon)
        amtool(daemon, "alert", "add", "alertname=down", "severity=critical", "cluster=a", "--annotation=summary=gone")
        amtool(daemon, "alert", "add", "alertname=slow", "severity=warning", "cluster=a")
        shown = amtool(daemon, "alert", "query", "--inhibited")
        assert [one["labels"]["alertname"] for one in shown] == ["slow"]
        (down,) = amtool(daemon, "alert", "query", "alertname=down")
        assert (down["annotations"], down["receivers"]) == ({"summary": "gone"}, [{"name": "hook"}])
        assert shown[0]["status"]["inhibitedBy"] == [down["fingerprint"]]
        wait_for(lambda: hook.states() == {"down": "firing"})

        silence = amtool(daemon, "silence", "add", "alertname=down", "cluster=~a|b", "-c", "work", "-d", "1h").strip()
        (found,) = amtool(daemon, "silence", "query")
        assert (found["id"], found["comment"], found["status"]["state"]) == (silence, "work", "active")
        assert [one["labels"]["alertname"] for one in amtool(daemon, "alert", "query", "--silenced")] == ["down"]
        amtool(daemon, "silence", "update", "-d", "2h", silence)
        (found,) = amtool(daemon, "silence", "query")
        assert found["id"] == silence
        amtool(daemon, "silence", "expire", silence)
        assert amtool(daemon, "silence", "query") == []
        assert [one["id"] for one in amtool(daemon, "silence", "query", "--expired")] == [silence]
        assert amtool(daemon, "config", "routes", "test", "severity=x").strip() == "hook"
        assert "hook" in amtool(daemon, "config", "routes", "show")
        assert "disabled" in str(amtool(daemon, "cluster", "show"))
        assert daemon.get("/api/v2/receivers") == [{"name": "hook"}, {"name": "other"}]
        (group,) = [one for one in daemon.get("/api/v2/alerts/groups") if one["labels"] == {"alertname": "down"}]
        assert (group["receiver"], len(group["alerts"])) == ({"name": "hook"}, 1)


@pytest.mark.long
def test_bad_requests_are_told_and_stop_nothing(tmp_path: Path, hook: Hook) -> None:
    """An alert with an annotation of 1 MB, no alert at all, a silence of everything; the others are taken."""
    with running(tmp_path / "data", environment=settings(tmp_path, hook)) as daemon:
        open_routing(daemon)
        status, body = post_alerts(daemon, {"alertname": "good"}, {"alertname": ""}, {"alertname": "x" * 5_000})
        assert (status, json.loads(body).split("; ")) == (
            400,
            [
                "alerts[1].labels: at least one is needed",
                "alerts[2].labels.alertname: 5009 bytes are over the limit of 4096 (alerting.label_size_max)",
            ],
        )
        wait_for(lambda: hook.states() == {"good": "firing"})
        assert daemon.request("POST", "/api/v2/silences")[0] == 400
        assert daemon.request("GET", "/api/v2/silence/none")[0] == 404
        assert daemon.request("DELETE", "/api/v2/silence/none")[0] == 404
        assert daemon.request("GET", "/api/v2/alerts?active=perhaps")[0] == 400
    with running(tmp_path / "other") as daemon:
        assert daemon.request("GET", "/api/v2/alerts") == (
            400,
            b'"alerting is not configured (alerting.config_file, alerting.receivers)"',
        )


@pytest.mark.long
@pytest.mark.needs_debian("prometheus")
def test_prometheus_sends_its_alerts(tmp_path: Path, hook: Hook) -> None:
    """Its rule fires and resolves; the webhook hears both, with the annotations of the rule."""
    port, value = free_port(), tmp_path / "rules.yml"
    rule = '{{alert: Odd, expr: "vector({}) > 0", annotations: {{summary: "v"}}}}'
    rule = f"groups: [{{{{name: g, interval: 1s, rules: [{rule}]}}}}]"
    value.write_text(rule.format(1))
    with running(tmp_path / "data", environment=settings(tmp_path, hook)) as daemon:
        open_routing(daemon)
        api = daemon.api_url.removeprefix("http://")
        (tmp_path / "prometheus.yml").write_text(
            f'rule_files: ["{value}"]\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ["{api}"]}}]}}]}}\n'
        )
        command = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb"]
        # Four times that long an alert fires without being sent again, however busy the machine is.
        command += ["--rules.alert.resend-delay=5s"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle"]
        prometheus = subprocess.Popen(command)
        try:
            wait_for(lambda: hook.states() == {"Odd": "firing"})
            (alert,) = daemon.get("/api/v2/alerts")
            assert (alert["annotations"], alert["status"]["state"]) == ({"summary": "v"}, "active")
            value.write_text(rule.format(0))
            urllib.request.urlopen(f"http://127.0.0.1:{port}/-/reload", b"")
            wait_for(lambda: hook.states() == {"Odd": "resolved"})
            assert [body["status"] for _, body in hook.posted] == ["firing", "resolved"]
        finally:
            prometheus.terminate()
            prometheus.wait(60)


@pytest.mark.long
def test_kills_lose_no_notification(tmp_path: Path, hook: Hook) -> None:
    """``kill -9`` at any moment: every accepted alert is notified, as firing once and under one id of delivery.

    A delivery that the kill caught before its outcome was stored is repeated with the same id.
    """
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice, taken, number = random.Random(seed), set(), 0
    environment = settings(tmp_path, hook, CONFIG.replace("group_interval: 200ms", "group_interval: 1h"))
    for kill in range(5):
        hook.status = 503 if kill % 3 == 1 else 200
        with running(tmp_path / "data", environment=environment) as daemon:
            open_routing(daemon)
            killing = threading.Timer(dice.uniform(0.0, 0.4), daemon.process.kill)
            killing.start()
            with contextlib.suppress(OSError):
                for _ in range(40):
                    number += 1
                    names = [f"a{number}-{one}" for one in range(3)]
                    if post_alerts(daemon, *({"alertname": name} for name in names))[0] == 200:
                        taken.update(names)
            killing.join()
    hook.status = 200
    with running(tmp_path / "data", environment=environment) as daemon:
        open_routing(daemon)
        wait_for(lambda: taken <= set(hook.states()) and daemon.get("/api/status")["alerting"]["alerts"] >= len(taken))
        wait_for(lambda: all(one["waiting"] == 0 for one in daemon.get("/api/status")["alerting"]["channels"].values()))
        assert daemon.stop() == 0
    ids: dict[str, set[str]] = {}
    for delivery, body in hook.posted:
        for one in body["alerts"]:
            ids.setdefault(one["labels"]["alertname"], set()).add(delivery)
    assert {name: found for name, found in ids.items() if len(found) > 1} == {}
    assert set(hook.states().values()) == {"firing"}
    repeated = sum(count - 1 for count in Counter(delivery for delivery, _ in hook.posted).values())
    print(f"{len(taken)} alerts, {repeated} deliveries repeated")


def test_a_reload_takes_all_or_nothing(tmp_path: Path, hook: Hook) -> None:
    """A configuration at fault changes nothing; a good one routes alerts that fire to its receiver."""
    with running(tmp_path / "data", environment=settings(tmp_path, hook)) as daemon:
        open_routing(daemon)
        post_alerts(daemon, {"alertname": "one"})
        wait_for(lambda: len(hook.posted) == 1)
        path = tmp_path / "alertmanager.yml"
        good = path.read_text()
        path.write_text(good.replace("receiver: hook", "receiver: nobody"))
        status, body = daemon.request("POST", "/-/reload")
        assert status >= 400
        assert b"route.receiver: receiver 'nobody' is not defined" in body
        post_alerts(daemon, {"alertname": "two"})
        wait_for(lambda: len(hook.posted) == 2)
        path.write_text(good.replace("receiver: hook", "receiver: again").replace("name: hook", "name: again"))
        assert daemon.request("POST", "/-/reload")[0] == 200
        wait_for(lambda: {body["receiver"] for _, body in hook.posted} == {"hook", "again"})
        wait_for(lambda: len(hook.posted) == 4)


@pytest.mark.long
def test_dead_letters_are_replayed_by_hand(tmp_path: Path, hook: Hook) -> None:
    """Notifications that a channel refuses for good are listed, delivered again, or dropped, over restarts."""
    hook.status = 404
    with running(tmp_path / "data", environment=settings(tmp_path, hook)) as daemon:
        open_routing(daemon)
        post_alerts(daemon, {"alertname": "one"}, {"alertname": "two"}, {"alertname": "three"})
        wait_for(lambda: daemon.get("/api/status")["alerting"]["dead_letters"] == 3)
    with running(tmp_path / "data", environment=settings(tmp_path, hook)) as daemon:
        open_routing(daemon)
        api = ("--api", daemon.api_url)
        listed = nissa_command("dead-letters", "list", "notifications", "--json", *api).splitlines()
        letters = {json.loads(line)["content"].split()[2]: json.loads(line)["letter"] for line in listed}
        assert set(letters) == {"alertname=one,", "alertname=two,", "alertname=three,"}
        assert b"HTTP status 404" in nissa_command(
            "dead-letters", "show", "notifications", str(min(letters.values())), *api
        )
        hook.status = 200
        number = str(letters["alertname=one,"])
        assert nissa_command("dead-letters", "replay", "notifications", number, *api) == b"1 queued\n"
        wait_for(lambda: hook.states() == {"one": "firing"})
        assert nissa_command("dead-letters", "drop", "notifications", *api) == b"2 dropped\n"
        assert daemon.get("/api/v1/notifications/dead_letters")["data"] == []


@pytest.mark.long
def test_a_storm_makes_few_messages_and_loses_no_alert(tmp_path: Path, hook: Hook) -> None:
    """10,000 alerts of 10 names come at once: one message for each group, then at most one for each interval."""
    text = CONFIG.replace("group_wait: 0s", "group_wait: 2s")
    with running(tmp_path / "data", environment=settings(tmp_path, hook, text)) as daemon:
        open_routing(daemon)
        begun = time.monotonic()
        for start in range(0, 10_000, 1_000):
            labels = [{"alertname": f"name{one % 10}", "instance": str(one)} for one in range(start, start + 1_000)]
            assert post_alerts(daemon, *labels)[0] == 200
        print(f"10,000 alerts stored within {time.monotonic() - begun:.2f} s")

        def told() -> int:
            return len({one["fingerprint"] for _, body in hook.posted for one in body["alerts"]})

        wait_for(lambda: told() == 10_000)
        print(f"and told within {time.monotonic() - begun:.2f} s by {len(hook.posted)} messages")
        assert len(hook.posted) < 100


@pytest.mark.long
@pytest.mark.needs_debian("prometheus-alertmanager")
def test_rules_reach_an_alertmanager_and_its_webhook(tmp_path: Path, hook: Hook) -> None:
    """A rule of Nissa fires: Debian's Alertmanager has the alert until further notice, and its webhook hears of it."""
    port = free_port()
    (tmp_path / "peer.yml").write_text(CONFIG.format(url=hook.url))
    rules = tmp_path / "rules.yml"
    rule = (
        '{{alert: Odd, expr: "vector({})  > 0", labels: {{team: x}}, annotations: {{summary: "v {{{{ $value }}}}"}}}}'
    )
    text = f"groups: [{{{{name: g, interval: 200ms, rules: [{rule}]}}}}]"
    rules.write_text(text.format(1))
    routing = "route: {{receiver: peer, group_wait: 0s, group_interval: 500ms}}\n"
    routing += f'receivers: [{{{{name: peer, alertmanager_configs: [{{{{url: "http://127.0.0.1:{port}"}}}}]}}}}]\n'
    command = ["prometheus-alertmanager", f"--config.file={tmp_path}/peer.yml", f"--storage.path={tmp_path}/peer"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=error"]
    peer = subprocess.Popen(command)
    try:
        environment = settings(tmp_path, hook, routing) | {"NISSA_RULES__FILES": json.dumps([str(rules)])}
        with running(tmp_path / "data", environment=environment) as daemon:
            wait_for(lambda: hook.states() == {"Odd": "firing"})
            ((_, body), *_) = hook.posted
            assert body["commonAnnotations"] == {"summary": "v 1"}
            assert body["commonLabels"] == {"alertname": "Odd", "team": "x"}
            rules.write_text(text.format(0))
            assert daemon.request("POST", "/-/reload")[0] == 200
            wait_for(lambda: hook.states() == {"Odd": "resolved"})
    finally:
        peer.terminate()
        peer.wait(60)


@pytest.mark.long
def test_an_acknowledgement_ends_repetition(tmp_path: Path, hook: Hook) -> None:
    """PagerDuty gets it under the key of the incident; nothing is repeated, also after kill -9."""
    rules = tmp_path / "rules.yml"
    text = 'groups: [{{name: g, interval: 200ms, rules: [{{alert: Odd, expr: "vector({}) > 0"}}]}}]'
    rules.write_text(text.format(1))
    routing = "route: {{receiver: r, group_wait: 0s, group_interval: 100ms, repeat_interval: 100ms}}\n"
    routing += 'receivers: [{{name: r, pagerduty_configs: [{{routing_key: k, url: "{url}"}}]}}]\n'
    environment = settings(tmp_path, hook, routing) | {"NISSA_RULES__FILES": json.dumps([str(rules)])}
    environment["NISSA_RULES__RESTORE_GRACE"] = "1s"

    def actions() -> list[str]:
        return [body["event_action"] for _, body in hook.posted]

    def evaluate(daemon: Daemon) -> None:
        before = daemon.get("/api/status")["rules"]["evaluations"]
        wait_for(lambda: daemon.get("/api/status")["rules"]["evaluations"] > before + 4)

    with running(tmp_path / "data", environment=environment) as daemon:
        wait_for(lambda: actions().count("trigger") > 2)
        (alert,) = daemon.get("/api/v1/alerts")["data"]["alerts"]
        assert daemon.request("POST", f"/api/alerts/{alert['fingerprint']}/ack?user=ann")[0] == 200
        wait_for(lambda: "acknowledge" in actions())
        evaluate(daemon)  # deliveries are noted meanwhile
        daemon.kill()
    with running(tmp_path / "data", environment=environment) as daemon:
        open_routing(daemon)
        evaluate(daemon)
        rules.write_text(text.format(0))
        assert daemon.request("POST", "/-/reload")[0] == 200
        wait_for(lambda: actions()[-1] == "resolve")
    told = actions()
    assert told[told.index("acknowledge") :] == ["acknowledge", "resolve"]
    assert len({body["dedup_key"] for _, body in hook.posted}) == 1


@pytest.mark.long
@pytest.mark.needs_debian("nats-server")
def test_a_critical_event_on_nats_is_notified(tmp_path: Path, hook: Hook) -> None:
    """From a message of the specification's subject to the webhook, with what the message says."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("event_alerts: [{name: Crash, by: [worker], expiry: 1h, description: '{{ $labels.event }}'}]")
    server = NatsServer(tmp_path / "nats")
    server.make_stream("telemetry", "esper.>")
    environment = {
        **from_nats(server.url, stream="telemetry", subjects='["simulation_worker.process_crash"]'),
        **settings(tmp_path, hook),
        "NISSA_RULES__FILES": json.dumps([str(rules)]),
        "NISSA_RULES__INTERVAL": "200ms",
    }
    request = GenericEventRequest(event_id="e-1", event_type="crash", worker_id="w-3", simulation_id="sim-9")

    async def publish(client: Any, _jetstream: Any) -> None:
        await client.publish("simulation_worker.process_crash", request.SerializeToString())

    try:
        with running(tmp_path / "data", environment=environment) as daemon:
            open_routing(daemon)
            wait_for(lambda: daemon.get("/api/status")["sources"]["nats"]["state"] == "up")
            server.ask(publish)
            _, body = wait_for(lambda: hook.posted)[0]
    finally:
        server.kill()
    (alert,) = body["alerts"]
    assert (alert["status"], alert["labels"]["alertname"], alert["labels"]["worker"]) == ("firing", "Crash", "w-3")
    assert alert["annotations"]["description"] == "crash"


TEXTS = """{{ define "team.title" }}{{ template "__subject" . }} at {{ .ExternalURL }}{{ end }}
{{ define "team.text" }}{{ range .Alerts.Firing -}}
{{ .Labels.instance | toUpper }} since {{ .StartsAt.Format "Mon, 02 Jan 2006 15:04:05 MST" }} {{ .Fingerprint }}
{{ with .Labels.Remove (stringSlice "alertname") }}{{ .SortedPairs.Values | join ", " }}{{ end }}
{{ end }}{{ template "__text_alert_list" .Alerts }}{{ end }}
"""
WITH_TEXTS = """
templates: [texts/*.tmpl]
route: {{receiver: team, group_by: [alertname], group_wait: 300ms, group_interval: 1s}}
receivers:
  - name: team
    slack_configs:
      - api_url: "{url}"
        channel: x
        title: '{{{{ template "team.title" . }}}}'
        text: '{{{{ template "team.text" . }}}}'
"""


@pytest.mark.long
@pytest.mark.needs_debian("prometheus-alertmanager")
def test_texts_of_a_message_are_those_of_alertmanager(tmp_path: Path, hook: Hook) -> None:
    """Both read one configuration with a file of templates, get the same alerts, and send the same title and text."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "team.tmpl").write_text(TEXTS)
    address = f"127.0.0.1:{free_port()}"
    environment = settings(tmp_path, hook, WITH_TEXTS, external_url="http://alerts.example")
    config = environment["NISSA_ALERTING__CONFIG_FILE"]
    options = [f"--config.file={config}", f"--storage.path={tmp_path}/am", "--cluster.listen-address="]
    options += [f"--web.listen-address={address}", "--web.external-url=http://alerts.example", "--web.route-prefix=/"]
    labels = [{"alertname": "load", "instance": f"host{number}", "job": "node"} for number in range(2)]
    times = {"startsAt": "2026-01-02T03:04:05.678Z", "generatorURL": "http://q/?a=1&b=2"}
    alertmanager = subprocess.Popen(["prometheus-alertmanager", *options], stderr=subprocess.DEVNULL)
    try:
        with running(tmp_path / "data", environment=environment) as daemon:
            open_routing(daemon)
            assert post_alerts(daemon, *labels, **times)[0] == 200
            wait_for(lambda: len(hook.posted) == 1)
            wait_for(lambda: posted_to_alertmanager(address, labels, times))
            wait_for(lambda: len(hook.posted) == 2)
    finally:
        alertmanager.terminate()
        alertmanager.wait(60)
    (attachment,) = hook.posted[1][1]["attachments"]
    ours = hook.posted[0][1]
    assert ours["text"] == attachment["title"] == "[FIRING:2] load (node) at http://alerts.example"
    assert ours["attachments"][0]["blocks"][1]["text"]["text"] == attachment["text"]
    assert "HOST0 since Fri, 02 Jan 2026 03:04:05 UTC" in attachment["text"]


def posted_to_alertmanager(address: str, labels: list[dict[str, str]], times: dict[str, str]) -> bool:
    """True if it took the alerts; False while it does not listen yet."""
    body = json.dumps([{"labels": one, **times} for one in labels]).encode()
    kind = {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{address}/api/v2/alerts", body, kind)) as answer:
            return answer.status == 200
    except OSError:
        return False
