"""Prometheus' configuration file: its defaults, keys that are ignored, and keys that are refused, with their line."""

from pathlib import Path

import pytest

from nissa.config.prometheus_file import ScrapeFile, parse_inline_entries, parse_scrape_file, read_scrape_file
from nissa.config.scrape_configs import PROTOCOLS_ASKED
from nissa.model.errors import ConfigInvalid

PATH = Path("/etc/nissa/prometheus.yml")
WHOLE = """
global:
  scrape_interval: 30s
  scrape_timeout: 5s
  evaluation_interval: 1m
  external_labels: {region: eu}
  sample_limit: 1000
rule_files: [rules.yml]
scrape_configs:
  - job_name: node
    static_configs:
      - targets: [web-1:9100, "web-2:9100"]
        labels: {dc: ams}
  - job_name: app
    scrape_interval: 1m30s
    scheme: https
    metrics_path: /stats
    honor_labels: true
    honor_timestamps: false
    params: {module: [a, b]}
    body_size_limit: 10MB
    sample_limit: 50
    basic_auth: {username: u, password_file: secret}
    tls_config: {ca_file: /ca.pem, insecure_skip_verify: true}
    file_sd_configs: [{files: [targets/*.json], refresh_interval: 10s}]
    http_sd_configs: [{url: "http://sd/targets", bearer_token_file: token}]
    relabel_configs: [{source_labels: [__address__], target_label: host}]
    metric_relabel_configs: [{regex: go_.*, source_labels: [__name__], action: drop}]
    enable_http2: false
"""


def parsed(text: str) -> ScrapeFile:
    """Entries of a text, at 15 s where nothing says otherwise."""
    return parse_scrape_file(text.encode(), PATH, 15_000)


def entry(line: str) -> str:
    """A file with one entry that has a line more."""
    return f"scrape_configs:\n  - job_name: a\n    {line}\n"


def test_a_whole_file() -> None:
    """Values of an entry win over those of global, and paths are relative to the file."""
    file = parsed(WHOLE)
    node, app = file.entries
    assert (node.job_name, node.scrape_interval, node.scrape_timeout, node.sample_limit) == (
        "node",
        30_000,
        5_000,
        1000,
    )
    assert (node.metrics_path, node.scheme, node.scrape_protocols) == ("/metrics", "http", PROTOCOLS_ASKED)
    assert node.static_configs[0].targets == ("web-1:9100", "web-2:9100")
    assert node.static_configs[0].labels == {"dc": "ams"}
    assert (app.scrape_interval, app.sample_limit, app.body_size_limit) == (90_000, 50, 10 << 20)
    assert (app.honor_labels, app.honor_timestamps, app.params) == (True, False, {"module": ("a", "b")})
    assert app.basic_auth is not None
    assert app.basic_auth.password_file == "/etc/nissa/secret"
    assert (app.tls_config.ca_file, app.tls_config.insecure_skip_verify) == ("/ca.pem", True)
    assert app.file_sd_configs[0].files == ("/etc/nissa/targets/*.json",)
    assert app.http_sd_configs[0].bearer_token_file == "/etc/nissa/token"
    assert [rule.action for rule in (*app.relabel_configs, *app.metric_relabel_configs)] == ["replace", "drop"]
    assert file.warnings == (
        "/etc/nissa/prometheus.yml: rule_files: passed over; Nissa does not serve it",
        "/etc/nissa/prometheus.yml: global.evaluation_interval: passed over; Nissa does not serve it",
        "/etc/nissa/prometheus.yml: global.external_labels: passed over; Nissa does not serve it",
    )


def test_defaults(tmp_path: Path) -> None:
    """The interval is that of Nissa's settings, the timeout is never longer, and an empty file has no entries."""
    path = tmp_path / "prometheus.yml"
    path.write_text("global:\nscrape_configs: [{job_name: a}]\n")
    (only,) = read_scrape_file(path, 5_000).entries
    assert (only.scrape_interval, only.scrape_timeout, only.follow_redirects) == (5_000, 5_000, True)
    assert parsed("").entries == parsed("scrape_configs:\n").entries == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (entry("kubernetes_sd_configs: [{role: pod}]"), "scrape_configs[0].kubernetes_sd_configs: is a setting of"),
        (entry("oauth2: {client_id: a}"), "scrape_configs[0].oauth2: is a setting of Prometheus that Nissa does not"),
        (entry("http_sd_configs: [{url: 'http://a', http_headers: {}}]"), "http_sd_configs[0].http_headers: is a"),
        (
            entry("metric_path: /x"),
            "prometheus.yml, line 3: scrape_configs[0].metric_path: is no setting of Prometheus",
        ),
        (entry("tls_config:\n      min: x"), ", line 4: scrape_configs[0].tls_config.min: is no setting of Prometheus"),
        (entry("scrape_native_histograms: true"), "Nissa serves false or none only, got 'true'"),
        (
            entry("track_timestamps_staleness: true"),
            ", line 3: scrape_configs[0].track_timestamps_staleness: Nissa serves",
        ),
        (
            "global: {metric_name_validation_scheme: legacy}",
            ", line 1: global.metric_name_validation_scheme: Nissa serves",
        ),
        (
            entry("http_sd_configs: [{url: 'http://a', enable_http3: true}]"),
            "http_sd_configs[0].enable_http3: is no setting",
        ),
        (entry("scrape_interval: 15"), "scrape_configs[0].scrape_interval: expected a duration"),
        (entry("scrape_interval: [1s]"), "scrape_configs[0].scrape_interval: expected milliseconds, got a list"),
        (entry("scrape_timeout: 1m"), "scrape_configs[0].scrape_timeout: 60s is longer than the scrape interval, 15s"),
        (entry("body_size_limit: 10"), "scrape_configs[0].body_size_limit: expected a size"),
        (entry("body_size_limit: 9999999PB"), "scrape_configs[0].body_size_limit: expected a size"),
        (entry("sample_limit: -1"), "scrape_configs[0].sample_limit: expected `int` >= 0"),
        (entry("scheme: ftp"), "scrape_configs[0].scheme: invalid enum value"),
        (entry("scrape_protocols: [Avian]"), "scrape_configs[0].scrape_protocols: 'Avian' is none of"),
        (entry("relabel_configs: [{action: replace}]"), "relabel_configs: rule 1: replace needs a target_label"),
        (entry("metric_relabel_configs: [{regex: '('}]"), "metric_relabel_configs: rule 1: "),
        (entry("relabel_configs: [{action: explode}]"), "relabel_configs[0].action: invalid enum value"),
        (entry("http_sd_configs: [{url: 'file:///x'}]"), "http_sd_configs[0].url: expected an URL of http or https"),
        (entry("basic_auth: {password: x, password_file: y}"), "at most one of password and password_file"),
        (entry("bearer_token: x\n    basic_auth: {username: u}"), "at most one of basic_auth, authorization and"),
        (entry("authorization: {type: Basic}"), "authorization.type: basic is written as basic_auth"),
        (entry("tls_config: {cert_file: x}"), "scrape_configs[0].tls_config: cert and key are given together"),
        (entry("") + "  - job_name: a\n", "scrape_configs[1].job_name: 'a' is that of scrape_configs[0] too"),
        ("scrape_configs: [{}]", "scrape_configs[0]: job_name is missing"),
        ("scrape_config_files: [x]", "scrape_config_files: is a setting of Prometheus"),
        ("scrape_configs: {}", "scrape_configs: expected `array`, got `object`"),
        ("a: *a", "the alias 'a' names no anchor"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    """An error names the file and the path of a setting that is not supported, and repeats no secret."""
    with pytest.raises(ConfigInvalid) as caught:
        parsed(text)
    assert str(caught.value).startswith("/etc/nissa/prometheus.yml")
    assert message in str(caught.value)


def test_a_file_that_is_not_there() -> None:
    """The message names the file."""
    with pytest.raises(ConfigInvalid, match="/nowhere: cannot be read: No such file"):
        read_scrape_file(Path("/nowhere"), 1)


def test_entries_in_the_settings() -> None:
    """Entries in the settings are read as in the file, and faults have the path of the setting."""
    inline = [{"job_name": "a", "scrape_timeout": "5s", "tls_config": {"ca_file": "ca.pem"}, "enable_http2": "false"}]
    (only,) = parse_inline_entries(inline, "sources.scrape.scrape_configs", 15_000).entries
    assert (only.job_name, only.scrape_interval, only.scrape_timeout) == ("a", 15_000, 5_000)
    assert only.tls_config.ca_file == "ca.pem"
    with pytest.raises(ConfigInvalid, match="is no setting of Prometheus") as caught:
        parse_inline_entries([{"job_name": "a"}, {"job": "b"}], "sources.scrape.scrape_configs", 15_000)
    assert caught.value.path == "sources.scrape.scrape_configs[1].job"
