"""Checks of the settings of sinks before the start, other than of numbers against their bounds."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nissa.config.sinks import (
    DeadLetterRedis,
    ElasticsearchSink,
    FilesSink,
    HttpSink,
    IcebergSink,
    KafkaSink,
    RemoteWriteSink,
    Sink,
)
from nissa.model.errors import BadQuery, ConfigInvalid
from nissa.model.level import LEVELS

SINKS_MAX: Final = 32
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
RESERVED: Final = frozenset(("notifications",))
# A name that every version takes for an index; the dot and what follows belong to its parts.
STREAM: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}", re.ASCII)
PLACE: Final = re.compile(r"(?:/|(?:s3|gs|az)://[^/?#]+|memory:///)[^\0?#]*")
NAMESPACE: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,63}", re.ASCII)
BROKER: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}", re.ASCII)
TOPIC: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}", re.ASCII)
LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
# Headers that the protocol sets, and credentials, which stand in files.
OWN_HEADERS: Final = frozenset(
    (
        *("host", "content-type", "content-encoding", "content-length", "transfer-encoding", "connection", "expect"),
        *("x-prometheus-remote-write-version", "authorization", "proxy-authorization", "cookie"),
    )
)


def check_sinks(sinks: Mapping[str, Sink], data_dir: str) -> None:
    """Raise ConfigInvalid, naming the path, for the first sink that cannot be one. Numbers are checked elsewhere."""
    if len(sinks) > SINKS_MAX:
        raise ConfigInvalid("sinks", f"{len(sinks)} sinks; at most {SINKS_MAX} are allowed")
    for name, sink in sinks.items():
        path = f"sinks.{name}"[:100]
        if not NAME.fullmatch(name):
            raise ConfigInvalid(path, "the name of a sink has 1 to 64 characters of a-z, 0-9, _ and -")
        if name in RESERVED:
            raise ConfigInvalid(path, "has a name that the commands for dead letters use for notifications")
        if isinstance(sink, FilesSink):
            _check_place(sink.url, f"{path}.url", data_dir)
            continue
        if isinstance(sink, IcebergSink):
            _check_lake(sink, path, data_dir)
            continue
        if isinstance(sink, KafkaSink):
            _check_topics(sink, path)
            _check_rules(sink, path)
            continue
        _check_address(sink, path)
        _check_headers(sink, path)
        if isinstance(sink, RemoteWriteSink):
            _check_rules(sink, path)
        else:
            _check_stream(sink, path)


def check_dead_letters(redis: DeadLetterRedis) -> None:
    """Raise ConfigInvalid for an address that is none of Redis. It may have a password, and is not repeated."""
    if not redis.url:
        return
    try:
        parts = urlsplit(redis.url)
        is_address = parts.port != 0 and parts.scheme in ("redis", "rediss", "unix")
    except ValueError:
        is_address = False
    if not is_address:
        raise ConfigInvalid("dead_letters_redis.url", "expected redis://HOST:PORT/DATABASE, rediss://… or unix://…")


def _check_address(sink: HttpSink, path: str) -> None:
    if not sink.url.isprintable() or " " in sink.url:
        raise ConfigInvalid(f"{path}.url", f"has a space or control character: {sink.url[:200]!r}")
    try:
        parts = urlsplit(sink.url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigInvalid(f"{path}.url", f"{sink.url[:200]!r}: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigInvalid(f"{path}.url", f"expected http://HOST:PORT/PATH or https://…, got {sink.url[:200]!r}")
    if "@" in parts.netloc:
        raise ConfigInvalid(f"{path}.url", "has a user or password: use basic_auth, whose password is in a file")
    given = {"basic_auth": sink.basic_auth.username, "bearer_token_file": sink.bearer_token_file}
    if isinstance(sink, ElasticsearchSink):
        given["api_key_file"] = sink.api_key_file
    if len(names := [name for name, value in given.items() if value]) > 1:
        raise ConfigInvalid(f"{path}.{names[1]}", f"is set beside {names[0]}: use one of them")
    _check_pairs(sink, path)


def _check_headers(sink: HttpSink, path: str) -> None:
    seen: set[str] = set()
    for name, value in sink.headers.items():
        here = f"{path}.headers.{name[:80]}"
        if name.lower() in OWN_HEADERS:
            raise ConfigInvalid(here, "is set by Nissa; credentials are in settings of their own")
        if not HEADER_NAME.fullmatch(name) or not value.isprintable():
            raise ConfigInvalid(here, "is not a header that HTTP can carry")
        if name.lower() in seen:
            raise ConfigInvalid(here, "is set twice: names of headers have no case")
        seen.add(name.lower())


def check_external_labels(labels: dict[str, str], path: str) -> None:
    """Raises: ConfigInvalid."""
    for name, value in labels.items():
        if not LABEL_NAME.fullmatch(name) or not value:
            raise ConfigInvalid(f"{path}.{name[:80]}", "is not a label name with a value")


def _check_rules(sink: RemoteWriteSink | KafkaSink, path: str) -> None:
    from nissa.model.relabel import Relabelling  # here, as reading settings is part of every command
    from nissa.model.selector import read_selector

    for number, text in enumerate(sink.matchers):
        try:
            read_selector(text)
        except BadQuery as error:
            raise ConfigInvalid(f"{path}.matchers[{number}]", str(error)) from None
    try:
        Relabelling(sink.write_relabel_configs)
    except ValueError as error:
        raise ConfigInvalid(f"{path}.write_relabel_configs", str(error)) from None
    check_external_labels(sink.external_labels, f"{path}.external_labels")


def _check_stream(sink: ElasticsearchSink, path: str) -> None:
    if not STREAM.fullmatch(sink.stream):
        raise ConfigInvalid(f"{path}.stream", f"{sink.stream[:140]!r} is no name that a data stream can have")
    _check_levels(sink.levels, path)
    parts = urlsplit(sink.url)
    if parts.query or parts.fragment:
        raise ConfigInvalid(f"{path}.url", "has a query: expected the address of the server, without an index")


def takes_events(sink: Sink) -> bool:
    """True if a sink is sent events, so that routes decide about it; copies of sealed files have all of them."""
    return isinstance(sink, ElasticsearchSink) or (isinstance(sink, KafkaSink) and bool(sink.events_topic))


def _check_place(url: str, path: str, data_dir: str) -> None:
    if not PLACE.fullmatch(url) or url == "/":
        expected = "expected an absolute folder, or a bucket such as s3://BUCKET/PREFIX"
        raise ConfigInvalid(path, f"{expected}, got {url[:200]!r}")
    if url.startswith("/") and Path(url).resolve().is_relative_to(Path(data_dir).resolve()):
        what = f"{url[:200]!r} is in the data directory {data_dir[:200]!r} (storage.data_dir)"
        raise ConfigInvalid(path, f"{what}: expected a folder outside it, as each would delete files of the other")


def _check_lake(sink: IcebergSink, path: str, data_dir: str) -> None:
    _check_place(sink.warehouse, f"{path}.warehouse", data_dir)
    if sink.catalog.get("type") not in ("sql", "rest") or not sink.catalog.get("uri"):
        raise ConfigInvalid(f"{path}.catalog", "expected a type, sql or rest, and a uri")
    if not NAMESPACE.fullmatch(sink.namespace):
        raise ConfigInvalid(f"{path}.namespace", f"{sink.namespace[:80]!r} is no name that a namespace can have")
    if not sink.tables:
        raise ConfigInvalid(f"{path}.tables", "is empty: nothing would be sent")


def _check_levels(levels: tuple[str, ...], path: str) -> None:
    for level in levels:
        if level not in LEVELS:
            raise ConfigInvalid(f"{path}.levels", f"{level[:80]!r} is none of {', '.join(LEVELS)}")


def _check_pairs(sink: HttpSink | KafkaSink, path: str) -> None:
    if bool(sink.basic_auth.username) != bool(sink.basic_auth.password_file):
        raise ConfigInvalid(f"{path}.basic_auth", "needs both username and password_file")
    if isinstance(sink, HttpSink) and ":" in sink.basic_auth.username:
        raise ConfigInvalid(f"{path}.basic_auth.username", "has a colon, which ends the name in HTTP")
    if bool(sink.tls.cert_file) != bool(sink.tls.key_file):
        raise ConfigInvalid(f"{path}.tls", "needs both cert_file and key_file")


def _check_topics(sink: KafkaSink, path: str) -> None:
    if not sink.brokers:
        raise ConfigInvalid(f"{path}.brokers", 'expected addresses such as ["127.0.0.1:9092"]')
    for broker in sink.brokers:
        if not BROKER.fullmatch(broker):
            raise ConfigInvalid(f"{path}.brokers", f"expected HOST:PORT, got {broker[:200]!r}")
    topics = {"samples_topic": sink.samples_topic, "events_topic": sink.events_topic}
    for name, topic in topics.items():
        if topic and not TOPIC.fullmatch(topic):
            raise ConfigInvalid(f"{path}.{name}", f"{topic[:260]!r} is no name that a topic can have")
    if sink.tls.server_name:
        raise ConfigInvalid(f"{path}.tls.server_name", "cannot be set for kafka: a broker is known by its address")
    if not any(topics.values()):
        raise ConfigInvalid(f"{path}.samples_topic", "is empty, as events_topic is: nothing would be sent")
    _check_levels(sink.levels, path)
    _check_pairs(sink, path)
