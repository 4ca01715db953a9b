"""Events in a real OpenSearch and a real Elasticsearch: each of them once, over their outages and Nissa's."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from journeys.rig import Daemon, connect, running
from journeys.search_servers import Elasticsearch, OpenSearch, SearchServer
from journeys.test_sinks import balance, is_done, nissa_command, wait_for

from oracle.log_frames import logs_frame

CONFIG = """
safeguards: {{breakers: {{timeout: 500ms}}}}
sinks:
  search: {{type: elasticsearch, url: "http://127.0.0.1:{port}", linger: 20ms, timeout: 5s, batch_events_max: 50}}
"""


def send(nissa: Daemon, texts: list[str], value: str = 'a "b"') -> None:
    """Log records of now, in one request."""
    frame = logs_frame(texts, "error", {"order": value}, time_ms=int(time.time() * 1000) - 1_000)
    link = connect(nissa.ingest_url)
    link.request("POST", "/v1/logs", frame.body, {"Content-Type": "application/x-protobuf"})
    reply = link.getresponse()
    assert reply.status == 200, reply.read()
    link.close()


@contextmanager
def journey(tmp_path: Path, search: SearchServer) -> Iterator[Daemon]:
    """The server is killed, refuses writes, Nissa is killed: all events are there with their texts, none twice."""
    texts = [f"event {number} é\n" for number in range(300)]
    config = tmp_path / "nissa.yaml"
    config.write_text(CONFIG.format(port=search.port))
    arguments = ("--config", str(config))
    with running(tmp_path / "data", *arguments) as nissa:
        send(nissa, texts[:100])
        wait_for(lambda: is_done(nissa, "search"))
        assert len(search.documents()) == 100

        block = {"index.blocks.read_only_allow_delete": True}
        search.ask("PUT", "nissa-events/_settings", block)
        send(nissa, texts[100:150])
        wait_for(lambda: "status 429 for an event" in str(facts(nissa)["error"]))
        search.ask("PUT", "nissa-events/_settings", dict.fromkeys(block))
        wait_for(lambda: is_done(nissa, "search"))

        search.server.kill()
        send(nissa, texts[150:200])
        wait_for(lambda: facts(nissa)["state"] == "failing")
        nissa.kill()
    with running(tmp_path / "data", *arguments) as nissa:
        send(nissa, texts[200:])
        search.start()
        wait_for(lambda: is_done(nissa, "search"))
        counts = balance(nissa, "search")
        assert (counts["dead"], counts["lost_frames"], counts["unaccounted"]) == (0, 0, 0)
        found = search.documents()
        assert sorted(one["description"] for one in found) == sorted(texts)
        assert (found[0]["level"], found[0]["source"], found[0]["attributes"]["order"]) == ("error", "shop", 'a "b"')
        query = {"query": {"term": {"attributes.order": 'a "b"'}}}
        assert search.ask("POST", "nissa-events/_count", query)["count"] == len(texts)
        yield nissa
        assert nissa.stop() == 0


@pytest.mark.slow
def test_opensearch_gets_every_event_once(tmp_path: Path) -> None:
    """After the journey an event that it does not take becomes a dead letter."""
    with killed_at_the_end(OpenSearch(tmp_path / "server")) as search, journey(tmp_path, search) as nissa:
        assert (facts(nissa)["server"], facts(nissa)["retention"]) == ("opensearch 2.19.6", "none")
        check_dead_letter(nissa, "immense term")


@pytest.mark.slow
def test_elasticsearch_gets_every_event_once(tmp_path: Path) -> None:
    """After the journey its stream has a retention, and an event that it does not take becomes a dead letter."""
    with killed_at_the_end(Elasticsearch(tmp_path / "server")) as search, journey(tmp_path, search) as nissa:
        assert (facts(nissa)["server"], facts(nissa)["retention"]) == ("elasticsearch", "lifecycle")
        streams = search.ask("GET", "_cluster/state/metadata")["metadata"]["data_stream"]["data_stream"]
        assert streams["nissa-events"]["lifecycle"] == {"enabled": True, "data_retention": "7d"}
        longer = {"properties": {"attributes": {"type": "flattened", "ignore_above": 100_000}}}
        search.ask("PUT", "nissa-events/_mapping", longer)
        check_dead_letter(nissa, "immense")


def check_dead_letter(nissa: Daemon, reason: str) -> None:
    """An event with a text that is too long for a term is set aside."""
    send(nissa, ["too long for a term"], "x" * 40_000)
    wait_for(lambda: is_done(nissa, "search"))
    assert balance(nissa, "search")["dead"] == 1
    assert reason in nissa_command(nissa, "dead-letters", "list", "search")


@contextmanager
def killed_at_the_end(search: SearchServer) -> Iterator[SearchServer]:
    """The server, killed at the end."""
    try:
        yield search
    finally:
        search.server.kill()


def facts(nissa: Daemon) -> dict[str, Any]:
    """Status of the sink."""
    found: dict[str, Any] = nissa.get("/api/status")["sinks"]["search"]
    return found
