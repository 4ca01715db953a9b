"""``nissa.Engine`` and ``nissa.open``: the engine in this process, and a directory read from outside."""

from pathlib import Path

import pytest

import nissa
from nissa.config.tree import Config, Ingest
from nissa.model.columns import Metadata
from nissa.model.counters import Counters
from nissa.model.errors import BadQuery, ConfigInvalid, Damaged, DirectoryLocked, TooLarge
from nissa.model.frame import Codec, Encoding
from nissa.model.status import SeriesStatus
from nissa.service.clock import wall_ms
from nissa.store.quarantine import Quarantined
from oracle.bodies import field
from oracle.engine import ONE, body_of, wait_until

TWO = 0x4000_0000_0000_0000
EMBEDDED = "embedded/remote_write_1"


def test_in_and_out_of_one_directory(tmp_path: Path) -> None:
    """Another reader sees the engine's samples at once, from the journal, and later from blocks."""
    now_ms = wall_ms()
    body = body_of([("up", now_ms, ONE), ("up", now_ms - 1_000, TWO), ("up", now_ms, ONE)])
    with nissa.Engine(tmp_path / "data") as engine:
        receipt = engine.ingest(body, Codec.REMOTE_WRITE_1)
        assert (receipt.samples, receipt.refused) == (3, {})
        with nissa.open(tmp_path / "data") as data:
            assert data.samples("up")["value"].to_pylist() == [2.0, 1.0]
            assert data.accounting() == engine.accounting()
        engine.flush()
    with nissa.open(tmp_path / "data") as data:
        assert data.samples("up")["value"].to_pylist() == [2.0, 1.0]
        assert data.accounting() == {EMBEDDED: Counters(frames=1, received=3, stored=2, duplicate=1)}


def test_leaving_the_block_closes(tmp_path: Path) -> None:
    """The engine is closed however its block is left, and its directory can be opened again."""
    engine = nissa.Engine(str(tmp_path))
    with pytest.raises(DirectoryLocked):
        nissa.Engine(tmp_path)
    with pytest.raises(ZeroDivisionError), engine:
        raise ZeroDivisionError
    assert not engine.ready
    nissa.Engine(tmp_path).close()


def test_settings_are_given(tmp_path: Path) -> None:
    """A configuration of the caller is in force; encodings are undone under its limits."""
    config = Config(ingest=Ingest(decompressed_bytes_max=64 * 1024))
    with nissa.Engine(tmp_path, config) as engine, pytest.raises(TooLarge, match="decompressed_size_max"):
        engine.ingest(b"\xff\xff\x3f" + bytes(60_000), Codec.REMOTE_WRITE_1, Encoding.SNAPPY)


def test_a_reader_sees_the_moment_it_was_opened(tmp_path: Path) -> None:
    """Later samples are seen after a refresh, even if blocks were merged or the journal trimmed meanwhile."""
    now_ms = wall_ms()
    with nissa.Engine(tmp_path) as engine:
        engine.ingest(body_of([("a", now_ms, ONE)]), Codec.REMOTE_WRITE_1)
        with nissa.open(tmp_path) as data:
            engine.ingest(body_of([("a", now_ms + 1, TWO)]), Codec.REMOTE_WRITE_1)
            engine.flush()
            assert data.samples("a")["value"].to_pylist() == [1.0]
            data.refresh()
            assert data.samples("a")["value"].to_pylist() == [1.0, 2.0]


def test_facts_about_a_directory(tmp_path: Path) -> None:
    """A reader has series, metadata and the result of recovery, from blocks and journal together."""
    now_ms = wall_ms()
    note = field(3, field(1, 1) + field(2, b"a") + field(4, b"What it is.") + field(5, b"bytes"))
    with nissa.Engine(tmp_path) as engine:
        engine.ingest(body_of([("a", now_ms, ONE)]) + note, Codec.REMOTE_WRITE_1)
        engine.flush()
        engine.ingest(body_of([("b", now_ms, ONE)]), Codec.REMOTE_WRITE_1)
        with nissa.open(tmp_path) as data:
            status = data.status()
            assert (status.mode, status.series) == ("offline", SeriesStatus(2, 2))
            assert status.recovery["frames"] >= 1
            assert data.metadata() == engine.metadata() == [Metadata("a", "counter", "What it is.", "bytes")]
            assert data.label_values("__name__") == ["a", "b"]


def test_what_is_no_directory(tmp_path: Path) -> None:
    """Nothing is made where there is nothing; a selector that cannot be read is said so."""
    with pytest.raises(ConfigInvalid):
        nissa.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    nissa.Engine(tmp_path).close()
    with nissa.open(tmp_path) as data:
        assert len(data.samples("up")) == 0
        with pytest.raises(BadQuery):
            data.samples("{")


def test_what_is_in_quarantine_is_told(tmp_path: Path) -> None:
    """A reader raises for blocks in quarantine, or reports them and gives all other samples."""
    now_ms = wall_ms()
    with nissa.Engine(tmp_path) as engine:
        for name in ("hit", "sound"):
            engine.ingest(body_of([(name, now_ms, ONE)]), Codec.REMOTE_WRITE_1)
            engine.flush()
        hit = min((tmp_path / "blocks").glob("raw-*"))
        hit.write_bytes(b"")
        engine.admin.suspect(f"blocks/{hit.name}")
        wait_until(lambda: bool(engine._sealer.blocks.quarantine))
    with nissa.open(tmp_path) as data:
        with pytest.raises(Quarantined, match="1 rows"):
            data.samples('{__name__=~".+"}')
        told: list[Damaged] = []
        assert data.samples('{__name__=~".+"}', on_damage=told.append)["name"].to_pylist() == ["sound"]
        assert [Path(one.path).name for one in told] == [hit.name + ".damaged"]


def test_a_check_ends_a_question(tmp_path: Path) -> None:
    """Every kind of question calls the check that the directory was opened with, and ends with what it raises."""
    with nissa.Engine(tmp_path) as engine:
        engine.ingest(body_of([("a", wall_ms(), ONE)]), Codec.REMOTE_WRITE_1)
        engine.flush()

    def no_more(_: int = 0, /) -> None:
        raise TimeoutError

    questions = [
        lambda data: data.samples("a"),
        lambda data: data.samples("a", resolution="1m"),
        lambda data: data.query("a"),
        lambda data: data.query_range("a", 0, 10, 1),
        lambda data: data.series("a"),
        lambda data: data.label_values("__name__", "a"),
        lambda data: data.files("raw", "a"),
    ]
    for ask in questions:
        with nissa.open(tmp_path, no_more) as data, pytest.raises(TimeoutError):
            ask(data)
