"""Settings of sinks that no sink can have are refused before the start, by their path."""

from pathlib import Path

import pytest

from nissa.config.load import load_config
from nissa.config.sinks import ElasticsearchSink
from nissa.model.errors import ConfigInvalid
from nissa.model.units import DAY_MS, MIB

SINK = """
sinks:
  search:
    type: elasticsearch
    url: https://search:9200/prefix
"""


def test_a_sink_of_events_is_read(tmp_path: Path) -> None:
    """A sink of events has its own settings in their units, also from the environment alone."""
    path = tmp_path / "nissa.yaml"
    path.write_text(SINK + "    retention: 30d\n    batch_size_max: 1MiB\n    levels: [error, critical]\n")
    environ = {"NISSA_SINKS__SEARCH__TIMEOUT": "5s", "NISSA_SINKS__SEARCH__BACKLOG_SIZE_MAX": "1MiB"}
    assert load_config(path, environ, warn=pytest.fail).sinks["search"] == ElasticsearchSink(
        url="https://search:9200/prefix",
        retention_ms=30 * DAY_MS,
        batch_bytes_max=MIB,
        levels=("error", "critical"),
        timeout_ms=5_000,
        backlog_bytes_max=MIB,
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stream: Nissa Events", "sinks.search.stream: 'Nissa Events' is no name"),
        ("levels: [loud]", "sinks.search.levels: 'loud' is none of"),
        ("retention: 1s", "sinks.search.retention: expected 1h to 36500d, got 1s"),
        ("matchers: []", "sinks.search.matchers: unknown setting"),
        ("api_key_file: a\n    bearer_token_file: b", "sinks.search.api_key_file: is set beside bearer_token_file"),
        ("headers: {authorization: x}", "sinks.search.headers.authorization: is set by Nissa"),
        ("compression: lzma", "sinks.search.compression: "),
    ],
)
def test_a_wrong_sink_of_events_is_named(tmp_path: Path, line: str, message: str) -> None:
    """The message begins with the path of the setting."""
    path = tmp_path / "nissa.yaml"
    path.write_text(f"{SINK}    {line}\n")
    with pytest.raises(ConfigInvalid) as refused:
        load_config(path)
    assert str(refused.value).startswith(message)


def test_a_url_names_no_query(tmp_path: Path) -> None:
    """The paths of the bulk API come behind it."""
    path = tmp_path / "nissa.yaml"
    path.write_text(SINK.replace("/prefix", "/?pretty"))
    with pytest.raises(ConfigInvalid, match=r"sinks\.search\.url: has a query"):
        load_config(path)


@pytest.mark.parametrize("url", ["", "relative/folder", "/", "http://a/b", "s3://", "s3://bucket/a?b"])
def test_a_destination_of_files_is_a_folder_or_a_bucket(tmp_path: Path, url: str) -> None:
    """A folder by its whole path: a daemon may be started anywhere."""
    path = tmp_path / "nissa.yaml"
    path.write_text(f"sinks:\n  archive: {{type: files, url: '{url}'}}\n")
    with pytest.raises(ConfigInvalid, match=r"sinks\.archive\.url: expected an absolute folder"):
        load_config(path)
    for good in ("/mnt/archive", "s3://bucket/prefix", "s3://bucket"):
        path.write_text(f"sinks:\n  archive: {{type: files, url: '{good}', interval: 5m}}\n")
        assert load_config(path, warn=pytest.fail).sinks["archive"].interval_ms == 300_000


@pytest.mark.parametrize("place", ["data", "data/blocks", "other/../data/", "link"])
def test_no_destination_is_in_the_data_directory(tmp_path: Path, place: str) -> None:
    """Its own files would be deleted there; behind a symbolic link too, and of tables as well."""
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    path, storage = tmp_path / "nissa.yaml", f"storage: {{data_dir: '{tmp_path}/data'}}\n"
    kinds = {
        "url": "{{type: files, url: '{}'}}",
        "warehouse": "{{type: iceberg, warehouse: '{}', catalog: {{type: sql, uri: 'sqlite:////mnt/c.db'}}}}",
    }
    for name, kind in kinds.items():
        path.write_text(f"{storage}sinks:\n  archive: {kind.format(tmp_path / place)}\n")
        with pytest.raises(ConfigInvalid, match=rf"sinks\.archive\.{name}: .* is in the data directory"):
            load_config(path)
        path.write_text(f"{storage}sinks:\n  archive: {kind.format(f'{tmp_path}/data-archive')}\n")
        load_config(path, warn=pytest.fail)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("brokers: []", "sinks.queue.brokers: expected addresses"),
        ("brokers: [kafka]", "sinks.queue.brokers: expected HOST:PORT, got 'kafka'"),
        ("samples_topic: a b", "sinks.queue.samples_topic: 'a b' is no name"),
        ("samples_topic: ''\n    events_topic: ''", "sinks.queue.samples_topic: is empty"),
        ("levels: [loud]", "sinks.queue.levels: 'loud' is none of"),
        ("matchers: ['{']", "sinks.queue.matchers[0]: "),
        ("basic_auth: {username: u}", "sinks.queue.basic_auth: needs both"),
        ("tls: {server_name: a}", "sinks.queue.tls.server_name: cannot be set"),
        ("event_format: xml", "sinks.queue.event_format: "),
    ],
)
def test_a_wrong_sink_of_kafka_is_named(tmp_path: Path, line: str, message: str) -> None:
    """The message begins with the path of the setting."""
    path = tmp_path / "nissa.yaml"
    brokers = "" if line.startswith("brokers") else "    brokers: ['127.0.0.1:9092']\n"
    path.write_text(f"sinks:\n  queue:\n    type: kafka\n{brokers}    {line}\n")
    with pytest.raises(ConfigInvalid) as refused:
        load_config(path)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dead_letters_redis: {url: 'http://:word@h/0'}", "dead_letters_redis.url: expected redis://"),
        ("dead_letters_redis: {url: 'redis://h:port/0'}", "dead_letters_redis.url: expected redis://"),
        ("alerting: {dead_letters_redis_url: x}", "alerting.dead_letters_redis_url: .*mean dead_letters_redis.url"),
        ("alerting: {dead_letters_redis_list: x}", "alerting.dead_letters_redis_list: .*mean dead_letters_redis.list"),
    ],
)
def test_one_setting_has_the_list_of_dead_letters(tmp_path: Path, text: str, message: str) -> None:
    """The setting for notifications alone is refused, naming the one for all."""
    path = tmp_path / "nissa.yaml"
    path.write_text(text)
    with pytest.raises(ConfigInvalid, match=f"^{message}") as refused:
        load_config(path)
    assert "word" not in str(refused.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("warehouse: lake", "sinks.lake.warehouse: expected an absolute folder"),
        ("catalog: {type: hive, uri: x}", "sinks.lake.catalog: expected a type, sql or rest, and a uri"),
        ("catalog: {type: sql}", "sinks.lake.catalog: expected a type, sql or rest, and a uri"),
        ("namespace: a.b", "sinks.lake.namespace: 'a.b' is no name that a namespace can have"),
        ("tables: []", "sinks.lake.tables: is empty"),
        ("tables: [logs]", "sinks.lake.tables"),
    ],
)
def test_a_wrong_lake_is_named(tmp_path: Path, line: str, message: str) -> None:
    """The message begins with the path of the setting."""
    settings = {"type": "iceberg", "warehouse": "/lake", "catalog": "{type: sql, uri: x}"}
    name, _, value = line.partition(": ")
    text = "".join(f"    {key}: {each}\n" for key, each in {**settings, name: value}.items())
    path = tmp_path / "nissa.yaml"
    path.write_text(f"sinks:\n  lake:\n{text}")
    with pytest.raises(ConfigInvalid) as refused:
        load_config(path, {})
    assert str(refused.value).startswith(message)
