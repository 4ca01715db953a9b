"""Opening a directory left in any state: acknowledged samples are there, and memory is bounded."""

import errno
import json
import shutil
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

import nissa
from nissa.catalogue.catalogue import Catalogue
from nissa.config.tree import Config
from nissa.files.checked_file import FileGone
from nissa.ingest import frame_decoder
from nissa.ingest.frozen_head import FrozenHead, FrozenHeadWriter
from nissa.ingest.pipeline import Pipeline
from nissa.ingest.recover import open_directory, read_directory
from nissa.ingest.replay import HEADS_MAX
from nissa.ingest.restored_series import LOST_NAME
from nissa.model.errors import ConfigInvalid, Damaged, DirectoryLocked, Malformed, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.model.units import HOUR_MS, KIB
from nissa.store.read import Snapshot
from nissa.store.verify import verify_directory
from oracle.bodies import field, label, sample
from oracle.engine import NOW_MS, ONE, BadDisk, Rig, Rows, config_of, rows_in, stamps, wait_until
from oracle.packet_frames import Sent, alert_frame, frame_of

GOLDENS = Path(__file__).parents[1] / "goldens"
SEAL_SAMPLES = 50


def filled(rig: Rig, frames: int = 60) -> None:
    """Frames of 10 rows, one duplicate among them, all in the journal; a small head from the next opening on."""
    for turn in range(frames):
        rows = [(f"m{at}", NOW_MS + turn, ONE) for at in range(9)]
        rig.keep([*rows, rows[0]])
    rig.config = config_of(storage={"seal_samples": SEAL_SAMPLES})


def seen_outside(path: Path) -> Rows:
    """Rows that a reader without the lock sees."""
    read = read_directory(path)
    return rows_in(Snapshot(path, read.blocks, read.pipeline.head.snapshot()), read.pipeline.index)


def heaviest_replay(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The heaviest head of replays from here on, in a list of one."""
    heaviest, real = [0], Pipeline.replay

    def replay(self: Pipeline, *arguments: object) -> None:
        real(self, *arguments)  # type: ignore[arg-type]
        heaviest[0] = max(heaviest[0], self.head.weight)

    monkeypatch.setattr(Pipeline, "replay", replay)
    return heaviest


def test_a_large_journal_is_sealed_on_the_way(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than fits a few heads is brought into blocks while it is replayed; nothing is lost or counted twice."""
    filled(rig)
    heaviest = heaviest_replay(monkeypatch)
    rig.crash()
    assert 0 < heaviest[0] <= HEADS_MAX * SEAL_SAMPLES + 11
    assert rig.engine.status().facts()["blocks"]["count"] >= 5
    rig.check()
    rig.keep([("after", NOW_MS, ONE)])
    rig.crash()
    rig.check()


@pytest.mark.parametrize("seals", [0, 1, 3])
def test_a_crash_while_it_is_sealed_on_the_way(rig: Rig, monkeypatch: pytest.MonkeyPatch, seals: int) -> None:
    """Killed after some of its seals, recovery goes on behind them the next time."""
    filled(rig)
    rig.engine.close()
    left, real = [seals], FrozenHeadWriter.write

    class Killed(BaseException):
        """No handler of errors sees it."""

    def write(self: FrozenHeadWriter, frozen_head: FrozenHead) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        real(self, frozen_head)

    with monkeypatch.context() as patch:
        patch.setattr(FrozenHeadWriter, "write", write)
        with pytest.raises(Killed):
            rig._open()
    assert seen_outside(rig.path) == rig.rows
    rig.engine = rig._open()
    rig.check()


def test_a_full_disk_does_not_keep_it_closed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """If nothing can be sealed on the way, recovery goes on in memory; a later seal succeeds when the disk has room."""
    filled(rig)
    rig.engine.close()
    disk = BadDisk(monkeypatch, "write", errno.ENOSPC)
    disk.failing = True
    heaviest = heaviest_replay(monkeypatch)
    rig.engine = rig._open()
    assert heaviest[0] >= 60 * 11
    assert 1 <= disk.calls <= 10
    rig.check()
    disk.failing = False
    rig.restart()
    rig.engine.flush()
    rig.check()


def test_a_journal_that_is_gone(rig: Rig) -> None:
    """With the journal deleted blocks are served, and new frames are numbered behind the checkpoint."""
    rig.keep([("a", NOW_MS, ONE)])
    rig.engine.close(seal=True)
    shutil.rmtree(rig.path / "journal")
    rig.engine = rig._open()
    rig.check()
    assert rig.keep([("b", NOW_MS, ONE)]).lsn > 1
    rig.crash()
    rig.check()


def test_frames_that_nobody_takes_any_more(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame this version refuses is counted and passed over; those behind it are replayed."""
    rig.keep([("a", NOW_MS, ONE)])
    rig.send([("b", NOW_MS, ONE)])
    rig.keep([("c", NOW_MS, ONE)])
    real, calls = frame_decoder.decode, [0]

    def decode(*arguments: object) -> object:
        calls[0] += 1
        if calls[0] == 2:
            raise Malformed("no longer understood")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(frame_decoder, "decode", decode)
    rig.crash()
    assert rig.engine.status().facts()["recovery"]["refused_frames"] == 1
    rig.check_rows()


def test_damage_costs_only_what_it_hit(rig: Rig) -> None:
    """A rotten frame is reported; samples of later frames are there, though its series counted against the limit."""
    rig.config = config_of(series={"active_max": 3})
    rig.restart()
    rig.keep([("first", NOW_MS, ONE)])
    assert isinstance(rig.send([("rotten", NOW_MS, ONE)]), Receipt)
    outcome = rig.send([("rotten", NOW_MS + 1, ONE), ("third", NOW_MS, ONE), ("fourth", NOW_MS, ONE)])
    assert isinstance(outcome, Receipt)
    assert outcome.refused == {"series_limit": 1}
    rig.engine.close()
    segments = [one for one in sorted((rig.path / "journal").glob("*.journal")) if b"rotten" in one.read_bytes()]
    segments[0].write_bytes(segments[0].read_bytes().replace(b"rotten", b"Rotten", 1))
    rig.engine = rig._open()
    assert rig.engine.status().facts()["recovery"]["rot_frames"] == 1
    rows = rig.read()
    assert rows.items() >= {("first", NOW_MS): ONE, ("rotten", NOW_MS + 1): ONE, ("third", NOW_MS): ONE}.items()
    assert ("rotten", NOW_MS) not in rows


def test_readers_beside_a_daemon(rig: Rig) -> None:
    """A reader from outside sees all samples acknowledged before, none twice, and none that were never sent."""
    rig.config = config_of(storage={"seal_samples": SEAL_SAMPLES, "segment_bytes": 16 * KIB, "compaction_fan_in": 2})
    rig.restart()
    done, wrong = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            before = set(rig.rows)
            try:
                seen = seen_outside(rig.path).keys()
            except (FileGone, Unavailable):  # merged since its catalogue was read; sealed faster than one can read
                continue
            if not before <= seen or len(seen) > len(rig.rows) + 10:
                wrong.append(before - seen)

    thread = threading.Thread(target=read)
    thread.start()
    for turn in range(80):
        rig.keep([(f"m{at}", NOW_MS + turn, ONE) for at in range(10)])
    done.set()
    thread.join()
    assert not wrong
    assert seen_outside(rig.path) == rig.rows


def test_reading_changes_nothing(rig: Rig, tmp_path: Path) -> None:
    """A reader leaves every file as it was, and takes no directory that is none."""
    filled(rig, 20)
    rig.engine.close()
    before = stamps(rig.path)
    assert seen_outside(rig.path) == rig.rows
    after = {path: stamp for path, stamp in stamps(rig.path).items() if not path.name.endswith("-wal")}
    assert after == before  # SQLite makes its empty log, for its locks
    with pytest.raises(ConfigInvalid):
        read_directory(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_an_older_catalogue_costs_no_file(rig: Rig) -> None:
    """Put in the place of a later one, it opens; what it does not name is put aside whole, and ingestion goes on."""
    rig.keep([("a", NOW_MS, ONE)])
    rig.engine.close(seal=True)
    older = (rig.path / "catalogue.sqlite").read_bytes()
    rig.engine = rig._open()
    for turn in range(1, 4):
        rig.keep([("a", NOW_MS + turn, ONE), (f"new{turn}", NOW_MS + turn, ONE)])
        rig.engine.close(seal=True)
        rig.engine = rig._open()
    rig.engine.close()
    written = {path: path.read_bytes() for path in rig.path.rglob("*.parquet")}
    (rig.path / "catalogue.sqlite").write_bytes(older)
    rig.engine = rig._open()
    rig.keep([("a", NOW_MS + 9, ONE), ("other", NOW_MS + 9, ONE)])
    rig.engine.close(seal=True)
    left = [path.read_bytes() for path in rig.path.rglob("*.parquet*")]
    assert len(written) >= 8
    assert all(data in left for data in written.values())


def test_a_lost_segment_of_the_series_table_costs_its_labels_only(rig: Rig) -> None:
    """A start goes on without the segment and reports the loss; returning series are new; a backup restores all."""
    for name in ("a", "b"):
        rig.keep([(name, NOW_MS, ONE)])
        rig.engine.flush()
    rig.keep([("c", NOW_MS, ONE)])
    rig.engine.close()
    lost = sorted(rig.path.rglob("series-*1.parquet"))
    assert [path.parent.name for path in lost] == ["copies", "series"]
    good = lost[0].read_bytes()
    for path in lost:
        path.unlink()
    rig.engine = rig._open()
    (said,) = rig.engine.status().facts()["recovery"]["lost_labels"]
    assert said.startswith("labels of 1 series up to 0: series/series-")
    assert rig.engine.index.labels(0) == [("__name__", LOST_NAME), ("series", "0")]
    assert rig.read() == {(LOST_NAME, NOW_MS): ONE, ("b", NOW_MS): ONE, ("c", NOW_MS): ONE}
    rig.keep([("a", NOW_MS + 1, ONE)])
    rig.engine.flush()
    wait_until(lambda: rig.engine.maintenance.facts()["scrub"]["damaged_files"])
    rig.engine.close()
    lost[1].write_bytes(good)
    rig.engine = rig._open()
    assert rig.engine.status().facts()["recovery"]["lost_labels"] == []
    rig.check_rows()
    rig.total()
    wait_until(lost[0].exists)
    rig.keep([("a", NOW_MS + 2, ONE), ("b", NOW_MS + 2, ONE)])
    assert rig.engine.index.series_count == 4
    rig.engine.flush()
    rig.restart()
    rig.check_rows()


def test_what_cannot_be_opened_is_given_back(rig: Rig) -> None:
    """Damage is reported by name and leaves no lock behind: once mended, the directory opens."""
    rig.keep([("a", NOW_MS, ONE)])
    rig.engine.close(seal=True)
    stray = rig.path / "journal" / "stray"
    stray.mkdir()
    for _ in range(2):
        with pytest.raises(Damaged, match=stray.name):
            open_directory(rig.path, rig.config, lambda: NOW_MS)
    stray.rmdir()
    opened = open_directory(rig.path, rig.config, lambda: NOW_MS)
    with pytest.raises(DirectoryLocked):
        rig._open()
    opened.close()
    rig.engine = rig._open()
    rig.check()


def test_a_directory_of_the_format_before_is_read_as_it_was(tmp_path: Path) -> None:
    """Packets that an older version took twice stay twice, read from outside and opened; new ones are stored once."""
    path = tmp_path / "data"
    shutil.copytree(GOLDENS / "directory-2-packets", path)

    def seen() -> Counter[str]:
        with nissa.open(path) as data:
            return Counter(data.events()["description"].to_pylist())

    before = Counter({"1": 2, "2": 2})
    assert seen() == before
    rig = Rig(path)
    assert seen() == before
    assert rig.engine.accounting()["embedded/nissa_packet"].stored == 6
    for turn in range(2):
        packets = [Sent("s", f"p{number}", events=(f"new {number}",)) for number in (1, 2)]
        outcome = rig.submit_frame(frame_of(packets, rig.now_ms)).get(timeout=60)
        assert isinstance(outcome, Receipt)
        assert outcome.duplicates == 2 * turn
        rig.restart()
    assert seen() == before + Counter({"new 1": 1, "new 2": 1})
    assert rig.engine.accounting()["embedded/nissa_packet"].unaccounted == 0
    rig.engine.close()


def test_a_directory_with_dropped_series_is_read_as_it_was(tmp_path: Path) -> None:
    """Format 5, frozen: of eight ids four are left; a series that was dropped comes back under the ninth."""
    path = tmp_path / "data"
    shutil.copytree(GOLDENS / "directory-5", path)
    there = {0: "p0", 4: "p4", 5: "p5", 6: "p6"}
    with nissa.open(path) as data:
        assert [one["pod"] for one in data.series(())] == list(there.values())
        samples = data.samples("up").to_pylist()
    assert [(json.loads(row["labels"])["pod"], row["value"]) for row in samples] == [
        (pod, 2.0**series) for series, pod in there.items()
    ]
    assert verify_directory(path).sound
    opened = open_directory(path, Config(), lambda: NOW_MS)
    index = opened.pipeline.index
    assert (index.series_count, index.known_count) == (8, 4)
    for pod in ("p4", "p2", "p6"):
        body = field(1, label("__name__", "up") + label("pod", pod) + sample(1.0, NOW_MS))
        frame = Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, body)
        opened.pipeline.take(frame, opened.journal.append)
    (rows,) = opened.pipeline.head.snapshot(3)
    assert rows.series.tolist() == [4, 8, 6]
    opened.close()


def test_what_this_format_remembers_is_known(tmp_path: Path) -> None:
    """Format 4, frozen: packets, a request and an alert of three seals; without a journal they are known still."""
    path = tmp_path / "data"
    shutil.copytree(GOLDENS / "directory-4", path)
    rig = Rig(path)
    rig.now_ms += 3_500
    packets = [Sent("s", name, events=("again",)) for name in ("p2", "p3", "p4")]
    outcome = rig.submit_frame(frame_of(packets, rig.now_ms)).get(timeout=60)
    assert isinstance(outcome, Receipt)
    assert outcome.duplicates == 2
    outcome = rig.submit_frame(alert_frame(NOW_MS, alert_id="a", state=2, timestamp_ms=NOW_MS)).get(timeout=60)
    assert isinstance(outcome, Receipt)
    assert outcome.duplicates == 1
    (found,) = rig.engine.admin.find_request(7, "r1")
    assert (found.kind, found.lsn, found.known_ms) == ("metric", 1, 2 * HOUR_MS - 3_500)
    rig.engine.close()


def delta_frame(second: int, value: int) -> Frame:
    """A counter of OTLP that grew by so much until this second."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    metric.sum.aggregation_temporality, metric.sum.is_monotonic = 1, True
    metric.sum.data_points.add(time_unix_nano=(NOW_MS + second * 1000) * 10**6, as_int=value)
    return Frame(Codec.OTLP_METRICS, Encoding.IDENTITY, Source.HTTP, NOW_MS, request.SerializeToString())


def test_totals_of_deltas_are_those_of_the_live_run(rig: Rig) -> None:
    """Killed before and after a seal, differences go on adding up to what they would have come to without."""
    wanted, total = {("m_total", NOW_MS + 999): 0}, 0
    for second in range(1, 9):
        outcome = rig.submit_frame(delta_frame(second, second)).get(timeout=60)
        assert isinstance(outcome, Receipt)
        total += second
        wanted["m_total", NOW_MS + second * 1000] = int(np.float64(total).view(np.uint64))
        if second == 4:
            rig.engine.flush()
        if second % 2 == 0:
            rig.crash()
            assert rig.read() == wanted
    again = rig.submit_frame(delta_frame(8, 8)).get(timeout=60)
    assert isinstance(again, Receipt)
    assert (again.samples, again.refused) == (0, {"temporality_unsupported": 1})
    assert seen_outside(rig.path) == wanted


def test_damaged_totals_of_deltas(rig: Rig) -> None:
    """Counters whose totals cannot be read restart with a 0, so their increases are right."""
    rig.submit_frame(delta_frame(1, 5)).get(timeout=60)
    rig.engine.flush()
    rig.engine.close()
    catalogue = Catalogue.open(rig.path)
    with catalogue.transaction("meta") as db:
        db.execute("UPDATE meta SET value = '~' WHERE key = 'delta_totals'")
    catalogue.close()
    rig.engine = rig._open()
    rig.submit_frame(delta_frame(3, 7)).get(timeout=60)
    values = [rig.read()["m_total", NOW_MS + ms] for ms in (1000, 2999, 3000)]
    assert np.array(values, np.uint64).view(np.float64).tolist() == [5, 0, 7]
