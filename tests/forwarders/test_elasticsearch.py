"""The sink elasticsearch beside servers that fail: every event arrives once, or is a dead letter with its reason."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from forwarders.conftest import SinkRig

from nissa.config.events import EnrichmentRule, EventMatch, EventRoute, Events
from nissa.config.redaction import Redaction
from nissa.config.sinks import ElasticsearchSink, SinkBasicAuth, SinkTls
from nissa.model.receipt import Receipt
from oracle.bulk_server import BulkReply, BulkServer, bulk_server
from oracle.engine import NOW_MS, ONE
from oracle.log_frames import logs_frame, packet_frame


@pytest.fixture
def server() -> Iterator[BulkServer]:
    """Elasticsearch 8 on a free port."""
    with bulk_server() as one:
        yield one


def config_of(server: BulkServer, **changes: Any) -> ElasticsearchSink:
    """Settings of a sink that sends at once, in small batches."""
    config = ElasticsearchSink(url=server.url, linger_ms=0, batch_events_max=7)
    return msgspec.structs.replace(config, **changes)


def take(rig: SinkRig, frame: Any) -> None:
    """Hand a frame in that is stored."""
    assert isinstance(rig.submit_frame(frame).get(timeout=60), Receipt)


def facts(rig: SinkRig) -> dict[str, Any]:
    """Status of the only sink."""
    return rig.sinks.status()["s"]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_every_event_arrives_once(tmp_path: Path, server: BulkServer, compression: str) -> None:
    """With its content; samples stay out; over restarts; and what an attempt repeats makes no second document."""
    answers = itertools.cycle([None, BulkReply(503), None])
    server.after_store = lambda: next(answers)
    rig = SinkRig(tmp_path / "d", s=config_of(server, compression=compression))
    texts = [f"text {number}" for number in range(60)]

    async def scenario() -> None:
        take(rig, logs_frame(texts[:50], "error", {"a": 'quote "', "trace_id": "1"}))
        rig.keep([("m", NOW_MS, ONE)])
        take(rig, packet_frame("p1", texts[50:]))
        await rig.until_delivered()
        counts = facts(rig)
        assert (counts["samples"], counts["delivered"], counts["dead"], counts["state"]) == (60, 60, 0, "up")

    rig.go(scenario)
    assert server.texts() == sorted(texts)
    one = next(document for document in server.documents.values() if document["description"] == "text 3")
    assert (one["level"], one["source"], one["@timestamp"]) == ("error", "shop", NOW_MS + 3)
    assert (one["attributes"]["a"], one["attributes"]["trace_id"]) == ('quote "', "1")
    assert max(server.stored.values()) > 1, "no request was repeated"
    assert max(server.bulk_sizes) == 7
    rig.crash()

    async def again() -> None:
        take(rig, packet_frame("p1", texts[50:]))  # redelivered: known by its content
        take(rig, logs_frame(["text 3"], "error"))  # an event of its own
        await rig.until_delivered()

    rig.go(again)
    assert len(server.documents) == 61
    rig.engine.close()


def test_items_are_judged_one_by_one(tmp_path: Path, server: BulkServer) -> None:
    """429 goes again, 400 becomes a dead letter that a replay sends, the others are delivered at once."""
    busy = {f"t{number}": 2 for number in (3, 11)}
    bad = {"t5", "t17"}

    def item(document: dict[str, Any]) -> BulkReply | None:
        text = document["description"]
        if busy.get(text, 0):
            busy[text] -= 1
            return BulkReply(429, "queue is full")
        return BulkReply(400, "failed to parse") if text in bad else None

    server.item = item
    rig = SinkRig(tmp_path / "d", s=config_of(server))
    texts = [f"t{number}" for number in range(30)]

    async def scenario() -> None:
        take(rig, logs_frame(texts))
        await rig.until_delivered()
        counts = facts(rig)
        assert (counts["delivered"], counts["dead"], counts["dead_letters"]) == (28, 2, 2)
        assert counts["failures"] >= 2
        letters = await rig.sinks.dead_letters("s")
        assert {one.event["description"] for one in letters if one.event} == bad
        assert "status 400 for an event: planned: failed to parse" in letters[0].reason
        assert await rig.sinks.replay("s", None) == (0, 2)
        bad.clear()
        assert await rig.sinks.replay("s", None) == (2, 0)

    rig.go(scenario)
    assert server.texts() == sorted(texts)
    assert set(server.stored.values()) == {1}
    rig.engine.close()


def test_a_request_that_is_too_large_is_halved(tmp_path: Path, server: BulkServer) -> None:
    """413: down to the one event that is too large by itself."""
    server.bytes_max = 2_000
    rig = SinkRig(tmp_path / "d", s=config_of(server, batch_events_max=100))

    async def scenario() -> None:
        take(rig, logs_frame([*(f"t{number}" for number in range(40)), "x" * 3_000]))
        await rig.until_delivered()
        counts = facts(rig)
        assert (counts["delivered"], counts["dead"]) == (40, 1)
        assert counts["halvings"] > 3

    rig.go(scenario)
    rig.engine.close()


def test_levels_choose_and_redaction_holds(tmp_path: Path, server: BulkServer) -> None:
    """Events of other levels are left out and counted; secrets are replaced as in the store."""
    rig = SinkRig(tmp_path / "d", s=config_of(server, levels=("error", "critical")))
    assert Redaction().enabled

    async def scenario() -> None:
        take(rig, logs_frame(["quiet"], "info"))
        take(rig, logs_frame(["mail to a@b.org"], "error"))
        await rig.until_delivered()
        counts = facts(rig)
        assert (counts["samples"], counts["delivered"], counts["filtered"]) == (2, 1, 1)

    rig.go(scenario)
    (text,) = server.texts()
    assert "a@b.org" not in text
    rig.engine.close()


def test_an_answer_that_is_none_is_not_success(tmp_path: Path, server: BulkServer) -> None:
    """Status 200 with a page, or with fewer items: the events are sent again."""
    planned: list[BulkReply] = [BulkReply(200, b"<html>"), BulkReply(200, {"errors": False, "items": []})]
    server.reply = lambda method, path: planned.pop() if planned and path.endswith("_bulk") else None
    rig = SinkRig(tmp_path / "d", s=config_of(server, connections=1))

    async def scenario() -> None:
        take(rig, logs_frame(["a"]))
        await rig.until(lambda: "the answer" in str(facts(rig)["error"]))
        await rig.until_delivered()
        assert facts(rig)["failures"] == 2

    rig.go(scenario)
    assert server.texts() == ["a"]
    rig.engine.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (BulkReply(503, b""), "HTTP status 503"),
        (BulkReply(200, b" " * 400_000), "the answer is longer than"),
        (BulkReply(200, b"{", {"Content-Length": "2"}), "no answer within"),
        (BulkReply(200, b"[]"), "the answer is not that of a bulk request"),
    ],
)
def test_a_lost_answer_to_a_stored_request_stores_nothing_twice(
    tmp_path: Path, server: BulkServer, answer: BulkReply, reason: str
) -> None:
    """An answer with an error, too long, stalled in the middle, or of another form: the same ids are sent again."""
    server.after_store = lambda: answer if len(server.bulk_sizes) == 1 else None
    rig = SinkRig(tmp_path / "d", s=config_of(server, connections=1, timeout_ms=300))

    async def scenario() -> None:
        take(rig, logs_frame(["a", "b"]))
        await rig.until(lambda: reason in str(facts(rig)["error"]))
        await rig.until_delivered()
        assert (facts(rig)["delivered"], facts(rig)["dead"], facts(rig)["state"]) == (2, 0, "up")

    rig.go(scenario)
    assert server.texts() == ["a", "b"]
    assert set(server.stored.values()) == {2}
    rig.engine.close()


def test_a_redirect_blocks_the_sink(tmp_path: Path, server: BulkServer) -> None:
    """It is not followed, nothing is given up, and the error names it."""
    moved = True
    answer = BulkReply(302, b"", {"Location": "http://127.0.0.1:1/"})
    server.reply = lambda method, path: answer if moved and path.endswith("_bulk") else None
    rig = SinkRig(tmp_path / "d", s=config_of(server))

    async def scenario() -> None:
        nonlocal moved
        take(rig, logs_frame(["a"]))
        await rig.until(lambda: facts(rig)["state"] == "blocked")
        assert "HTTP status 302" in facts(rig)["error"]
        moved = False
        await rig.sinks.resume("s")
        await rig.until_delivered()

    rig.go(scenario)
    assert server.texts() == ["a"]
    rig.engine.close()


def test_a_stream_that_is_deleted_is_made_again(tmp_path: Path, server: BulkServer) -> None:
    """Its events are not refused for that."""
    rig = SinkRig(tmp_path / "d", s=config_of(server))

    async def scenario() -> None:
        take(rig, logs_frame(["a"]))
        await rig.until_delivered()
        del server.puts["/_data_stream/nissa-events"]
        take(rig, logs_frame(["b"]))
        await rig.until_delivered()
        assert (facts(rig)["delivered"], facts(rig)["dead"], facts(rig)["state"]) == (2, 0, "up")

    rig.go(scenario)
    rig.engine.close()


def test_wrong_credentials_block_the_sink(tmp_path: Path, server: BulkServer) -> None:
    """Nothing is lost, the state says why, and the right key, read again from its file, ends it."""
    key = tmp_path / "key"
    key.write_text("wrong\n")
    server.reply = lambda method, path: (
        None if server.headers[-1].get("Authorization") == "ApiKey right" else BulkReply(401, {"error": "no"})
    )
    rig = SinkRig(tmp_path / "d", s=config_of(server, api_key_file=str(key)))

    async def scenario() -> None:
        take(rig, logs_frame(["a"]))
        await rig.until(lambda: facts(rig)["state"] == "blocked")
        assert "HTTP status 401" in facts(rig)["error"]
        key.write_text("right\n")
        await rig.sinks.resume("s")
        await rig.until_delivered()

    rig.go(scenario)
    assert server.texts() == ["a"]
    rig.engine.close()


def test_tls_with_a_certificate_authority_of_ones_own(tmp_path: Path, certificates: tuple[Path, Path]) -> None:
    """A sink connects with its own certificate authority and a password; without the authority it is blocked."""
    password = tmp_path / "password"
    password.write_text("secret")
    with bulk_server(certificate=certificates) as server:
        auth = SinkBasicAuth("nissa", str(password))
        trusted = config_of(server, tls=SinkTls(ca_file=str(certificates[0])), basic_auth=auth)
        rig = SinkRig(tmp_path / "d", s=trusted, t=config_of(server))

        async def scenario() -> None:
            take(rig, logs_frame(["a"]))
            await rig.until_delivered()
            await rig.until(lambda: rig.sinks.status()["t"]["state"] == "blocked")
            assert "the certificate is not accepted" in rig.sinks.status()["t"]["error"]

        rig.go(scenario)
        assert server.texts() == ["a"]
        assert server.headers[-1]["Authorization"] == "Basic bmlzc2E6c2VjcmV0"
        rig.engine.close()


def test_events_are_enriched_and_routed(tmp_path: Path, server: BulkServer) -> None:
    """Events that a route leaves out are counted by its name, exactly, over a crash in the middle of sending."""
    rules = Events(
        enrichment=(EnrichmentRule(EventMatch(sources=("shop*",)), set={"team": "sales"}),),
        routing=(
            EventRoute("noise", EventMatch(text="health"), keep_one_of=4),
            EventRoute("audit", EventMatch(sources=("audit",)), sinks=()),
        ),
    )
    rig = SinkRig(tmp_path / "d", s=config_of(server))
    rig.config = msgspec.structs.replace(rig.config, events=rules)
    down = True
    server.reply = lambda method, path: BulkReply(503) if down and len(server.documents) >= 7 else None

    async def scenario() -> None:
        for number in range(20):
            take(rig, logs_frame([f"health {number}-{one}" for one in range(10)], source="shop"))
        take(rig, logs_frame(["secret"] * 5, source="audit"))
        take(rig, logs_frame(["order"], source="shop-2"))
        await rig.until(lambda: facts(rig)["state"] == "failing")

    rig.go(scenario)
    rig.crash()
    down = False

    async def afterwards() -> None:
        await rig.until_delivered()
        counts = facts(rig)
        assert counts["left_out"] == {"noise": 200 - (counts["delivered"] - 1), "audit": 5}
        assert (counts["samples"], counts["filtered"]) == (206, sum(counts["left_out"].values()))
        assert counts["delivered"] == len(server.documents)
        assert 20 < counts["delivered"] < 90

    rig.go(afterwards)
    assert {one["attributes"].get("team") for one in server.documents.values()} == {"sales"}
    assert "order" in server.texts()
    rig.engine.close()
