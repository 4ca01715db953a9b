"""Sinks in the configuration: sections by names that the operator chooses."""

from pathlib import Path

import pytest

from nissa.config.check import written_leaves
from nissa.config.load import load_config
from nissa.config.sinks import RemoteWriteSink
from nissa.model.errors import ConfigInvalid
from nissa.model.relabel import RelabelRule
from nissa.model.units import GIB, HOUR_MS

SINK = """
sinks:
  store:
    type: remote_write
    url: http://127.0.0.1:9090/api/v1/write
    matchers: ['{job="a"}']
    write_relabel_configs:
      - {source_labels: [__name__], regex: go_.*, action: drop}
    external_labels: {cluster: east}
    backlog_size_max: 2GiB
    backlog_age_max: 2h
    connections: 2
"""


def load(tmp_path: Path, text: str) -> dict[str, RemoteWriteSink]:
    """The sinks of a configuration file."""
    path = tmp_path / "nissa.yaml"
    path.write_text(text)
    return load_config(path, warn=pytest.fail).sinks


def test_a_sink_is_read(tmp_path: Path) -> None:
    """With names and units as everywhere, defaults for missing settings, and shown as it is written."""
    (sink,) = load(tmp_path, SINK).values()
    assert sink == RemoteWriteSink(
        url="http://127.0.0.1:9090/api/v1/write",
        matchers=('{job="a"}',),
        write_relabel_configs=(RelabelRule(source_labels=("__name__",), regex="go_.*", action="drop"),),
        external_labels={"cluster": "east"},
        backlog_bytes_max=2 * GIB,
        backlog_ms_max=2 * HOUR_MS,
        connections=2,
    )
    shown = written_leaves(load_config(tmp_path / "nissa.yaml"))["sinks"]["store"]
    assert shown["backlog_size_max"] == "2GiB"
    assert shown["external_labels"] == {"cluster": "east"}


def test_a_sink_is_set_by_the_environment(tmp_path: Path) -> None:
    """A variable names the sink and its setting; it replaces one of the file and can add a sink."""
    (tmp_path / "nissa.yaml").write_text(SINK)
    environ = {"NISSA_SINKS__STORE__CONNECTIONS": "8", "NISSA_SINKS__OTHER__URL": "https://other/w"}
    found = load_config(tmp_path / "nissa.yaml", {**environ, "NISSA_SINKS__OTHER__TYPE": "remote_write"}).sinks
    assert (found["store"].connections, found["other"].url) == (8, "https://other/w")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("url: ftp://a/b", "sinks.store.url: expected http://"),
        ("url: http://user:word@a/b", "sinks.store.url: has a user or password"),
        ("url: 'http://a:99999/'", "sinks.store.url: 'http://a:99999/'"),
        ("connections: 65", "sinks.store.connections: expected 1 to 64, got 65"),
        ("connections: many", "sinks.store.connections: expected `int`, got 'many'"),
        ("backlog_size_max: 1XiB", "sinks.store.backlog_size_max: "),
        ("colour: red", "sinks.store.colour: unknown setting"),
        ("bearer_token: a", "sinks.store.bearer_token: unknown setting; did you mean sinks.store.bearer_token_file?"),
        ("matchers: up", "sinks.store.matchers: expected a list, got 'up'"),
        ("type: carrier_pigeon", "sinks.store.type: 'carrier_pigeon' is no type of sink: expected remote_write or "),
        ("protocol: '3.0'", "sinks.store.protocol: expected auto or 1.0 or 2.0, got '3.0'"),
        ("matchers: ['{job=']", "sinks.store.matchers[0]: "),
        ("write_relabel_configs: [{action: hashmod}]", "sinks.store.write_relabel_configs: rule 1: "),
        ("external_labels: {'a b': c}", "sinks.store.external_labels.a b: "),
        ("headers: {Authorization: x}", "sinks.store.headers.Authorization: is set by Nissa"),
        ('headers: {X-A: "a\\nb"}', "sinks.store.headers.X-A: is not a header"),
        ("headers: {X-A: b, x-a: c}", "sinks.store.headers.x-a: is set twice"),
        ('url: "http://a/b\\r\\nX: c"', "sinks.store.url: has a space or control character"),
        ("basic_auth: {username: 'u:v', password_file: p}", "sinks.store.basic_auth.username: has a colon"),
        ("basic_auth: {username: u}", "sinks.store.basic_auth: needs both"),
        ("tls: {cert_file: a}", "sinks.store.tls: needs both"),
        ("bearer_token_file: a\n    basic_auth: {username: u, password_file: p}", "sinks.store.bearer_token_file: "),
    ],
)
def test_a_wrong_sink_is_named(tmp_path: Path, line: str, message: str) -> None:
    """The message begins with the path of the setting."""
    text = f"sinks:\n  store:\n    {line}\n"
    for setting in ("type: remote_write", "url: http://a/b"):
        if setting.split(":")[0] + ":" not in line:
            text += f"    {setting}\n"
    with pytest.raises(ConfigInvalid) as refused:
        load(tmp_path, text)
    assert str(refused.value).startswith(message)


def test_names_of_sinks_are_plain(tmp_path: Path) -> None:
    """Names become names of files and values of labels, so they are restricted; a list is no mapping."""
    with pytest.raises(ConfigInvalid, match=r"sinks\.\.\./x: the name of a sink"):
        load(tmp_path, SINK.replace("store:", "../x:"))
    with pytest.raises(ConfigInvalid, match=r"sinks\.notifications: has a name that the commands"):
        load(tmp_path, SINK.replace("store:", "notifications:"))
    with pytest.raises(ConfigInvalid, match="sinks: expected a mapping"):
        load(tmp_path, "sinks: [a]")
    assert load(tmp_path, "sinks:") == {}
