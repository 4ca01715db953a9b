"""The data stream is made as each server needs it, and templates made by others are left alone."""

import asyncio
from typing import Any

import msgspec
import pytest

from nissa.config.sinks import ElasticsearchSink
from nissa.forwarders.elasticsearch_setup import SetupFailed, StreamSetup
from nissa.forwarders.sink_client import SinkClient
from nissa.model.units import DAY_MS
from oracle.bulk_server import BulkReply, BulkServer, bulk_server

TEMPLATE = "/_index_template/nissa-events"


def make(server: BulkServer, **changes: Any) -> StreamSetup:
    """Make the stream with these settings."""
    config = msgspec.structs.replace(ElasticsearchSink(url=f"{server.url}/"), **changes)

    async def work() -> StreamSetup:
        client = SinkClient(config, "sinks.s")
        try:
            setup = StreamSetup(config, client, "sinks.s")
            await setup.make()
        finally:
            await client.close()
        return setup

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("kind", "retention", "attributes"),
    [
        ("elasticsearch 8", "lifecycle", "flattened"),
        ("elasticsearch 7", "ilm", "flattened"),
        ("opensearch", "ism", "flat_object"),
    ],
)
def test_each_server_gets_what_it_knows(kind: str, retention: str, attributes: str) -> None:
    """Retention by its own means; a second time, with another age, too."""
    with bulk_server(kind) as server:
        setup = make(server)
        assert (setup.retention, setup.done, setup.server.split()[0]) == (retention, True, kind.split(maxsplit=1)[0])
        template = server.puts[TEMPLATE]
        assert template["template"]["mappings"]["properties"]["attributes"]["type"] == attributes
        assert "/_data_stream/nissa-events" in server.puts
        make(server, retention_ms=30 * DAY_MS)
        if retention == "lifecycle":
            assert server.puts[TEMPLATE]["template"]["lifecycle"] == {"data_retention": "30d"}
            assert server.puts["/_data_stream/nissa-events/_lifecycle"] == {"data_retention": "30d"}
        elif retention == "ilm":
            policy = server.puts["/_ilm/policy/nissa-events"]["policy"]
            assert policy["phases"]["delete"]["min_age"] == "30d"
            assert template["template"]["settings"] == {"index.lifecycle.name": "nissa-events"}
        else:
            policy = server.puts["/_plugins/_ism/policies/nissa-events"]["policy"]
            assert policy["states"][0]["transitions"][0]["conditions"] == {"min_index_age": "31d"}


@pytest.mark.parametrize("kind", ["elasticsearch 7", "opensearch"])
def test_a_server_without_policies_gets_a_stream_without_retention(kind: str) -> None:
    """The status says so."""
    with bulk_server(kind) as server:
        server.policies = False
        assert make(server).retention == "none"
        assert "/_data_stream/nissa-events" in server.puts


def test_a_server_that_does_not_say_what_it_is_is_tried() -> None:
    """Some close GET / to those who only write."""
    for kind, retention in (("elasticsearch 8", "lifecycle"), ("elasticsearch 7", "ilm")):
        with bulk_server(kind) as server:
            server.reply = lambda method, path: BulkReply(403, {"error": "no"}) if path == "/" else None
            assert make(server).retention == retention


@pytest.mark.parametrize(
    ("kind", "path", "content"),
    [
        ("elasticsearch 8", TEMPLATE, {"index_patterns": ["nissa-*"], "template": {}}),
        ("elasticsearch 7", "/_ilm/policy/nissa-events", {"policy": {"phases": {}}}),
        ("opensearch", "/_plugins/_ism/policies/nissa-events", {"policy": {"description": "mine", "states": []}}),
    ],
)
def test_what_somebody_else_made_is_left_alone(kind: str, path: str, content: dict[str, Any]) -> None:
    """The message names the setting that helps."""
    with bulk_server(kind) as server:
        server.puts[path] = content
        with pytest.raises(
            SetupFailed, match=r"was not made by Nissa: .* sinks\.s\.stream, or set sinks\.s\.setup"
        ) as failed:
            make(server)
        assert failed.value.blocked
        assert server.puts[path] == content


def test_a_conflict_that_the_server_finds_is_told() -> None:
    """A conflict has the server's own words and blocks the sink; a busy server is asked again."""
    with bulk_server() as server:
        error = {"error": {"type": "illegal_argument_exception", "reason": "template [other] has the same priority"}}
        server.reply = lambda method, path: BulkReply(400, error) if method == "PUT" else None
        with pytest.raises(
            SetupFailed, match=r"400 to PUT /_index_template/nissa-events: illegal.*same priority"
        ) as failed:
            make(server)
        assert failed.value.blocked
        server.reply = lambda method, path: BulkReply(503)
        with pytest.raises(SetupFailed) as busy:
            make(server)
        assert not busy.value.blocked


@pytest.mark.parametrize("kind", ["elasticsearch 8", "elasticsearch 7", "opensearch"])
@pytest.mark.parametrize("content", [[], {}, {"index_templates": {"a": 1}}, {"index_templates": [None]}, "welcome"])
def test_an_answer_that_cannot_be_read_replaces_nothing(kind: str, content: Any) -> None:
    """A template that may be somebody else's stays; the message names the address."""
    with bulk_server(kind) as server:
        mine = {"index_patterns": ["nissa-*"]}
        server.puts[TEMPLATE] = mine
        server.reply = lambda method, path: BulkReply(200, content) if (method, path) == ("GET", TEMPLATE) else None
        with pytest.raises(SetupFailed, match=r"not that of a server .* \(sinks\.s\.url\)") as failed:
            make(server)
        assert failed.value.blocked
        assert server.puts[TEMPLATE] is mine


def test_a_long_template_of_somebody_else_is_left_alone() -> None:
    """Longer than what is read of an answer."""
    with bulk_server() as server:
        mine = {"template": {"mappings": {"properties": {f"field_{i}": {"type": "keyword"} for i in range(4_000)}}}}
        server.puts[TEMPLATE] = mine
        with pytest.raises(SetupFailed, match="was not made by Nissa"):
            make(server)
        assert server.puts[TEMPLATE] is mine


@pytest.mark.parametrize("content", [[], {"policy": []}, {"policy": {"description": []}}, {"nissa-events": [1]}])
def test_a_policy_that_cannot_be_read_is_left_alone(content: Any) -> None:
    """It counts as somebody else's."""
    for kind, path in (("elasticsearch 7", "_ilm/policy"), ("opensearch", "_plugins/_ism/policies")):
        with bulk_server(kind) as server:
            here = f"/{path}/nissa-events"
            replies = {("GET", here): BulkReply(200, content)}
            server.reply = lambda method, path, known=replies: known.get((method, path))  # type: ignore[misc]
            with pytest.raises(SetupFailed, match="was not made by Nissa"):
                make(server)
            assert here not in server.puts


@pytest.mark.parametrize("version", ["8.²", "x", "8", 8, None, ["8"], "9" * 100])
def test_a_version_that_is_none_is_no_fault(version: Any) -> None:
    """The server is tried as one that does not say what it is."""
    with bulk_server() as server:
        content = {"version": {"number": version}}
        server.reply = lambda method, path: BulkReply(200, content) if path == "/" else None
        assert make(server).done
