"""``--capture``: every frame as received, judged or not; and a recording that fails stops nothing."""

import resource
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from nissa.journal.capture import read_capture
from nissa.journal.recovery import RecoveryReport
from nissa.model.errors import Malformed, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.intake import Settle
from nissa.model.receipt import Receipt
from nissa.service.capturing import FLUSH_INTERVAL_MS, CapturingIntake
from oracle.engine import NOW_MS, ONE, Rig, body_of


class Taken:
    """An intake that takes everything."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.pressure = False
        self.durability = "interval:7"
        self.ready = True

    def submit(self, frame: Frame, complete: Settle) -> None:
        self.frames.append(frame)
        complete(Receipt())


def frame_of(body: bytes, received_ms: int = NOW_MS, **other: object) -> Frame:
    """A frame."""
    return Frame(Codec.REMOTE_WRITE_1, other.get("encoding", Encoding.IDENTITY), Source.HTTP, received_ms, body)  # type: ignore[arg-type]


def ignored(_: object) -> None:
    """Nobody waits."""


@contextmanager
def file_bytes_max(count: int) -> Iterator[None]:
    """No file may grow over ``count`` bytes: writes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_frames_are_captured_as_received(tmp_path: Path) -> None:
    """Good, malformed and refused frames alike come back from the capture, in order, before and after a close."""
    rig = Rig(tmp_path / "data")
    intake = CapturingIntake(rig.engine, tmp_path / "x.capture", lambda: NOW_MS)
    frames = [
        frame_of(body_of([("a", NOW_MS, ONE)])),
        frame_of(b"\x0a\x7f"),
        frame_of(b"no snappy", encoding=Encoding.SNAPPY),
        frame_of(body_of([("a", 0, ONE)]), NOW_MS + 5),
        Frame(Codec.NISSA_POINT, Encoding.ZSTD, Source.SELF, 0, b"", delimited=True),
    ]
    for frame in frames:
        intake.submit(frame, ignored)
    intake.close()
    intake.submit(frame_of(body_of([("late", NOW_MS, ONE)])), ignored)
    intake.close()
    assert list(read_capture(tmp_path / "x.capture")) == frames
    rig.engine.close()
    rig.engine = rig._open()
    assert rig.read() == {("a", NOW_MS): ONE, ("late", NOW_MS): ONE}
    rig.engine.close()


def test_it_answers_as_the_intake_behind_it(rig_intake: tuple[Taken, CapturingIntake]) -> None:
    """Pressure, durability, readiness and outcomes are those of the inner intake."""
    taken, intake = rig_intake
    assert (intake.pressure, intake.durability, intake.ready) == (False, "interval:7", True)
    taken.pressure, taken.ready = True, False
    assert (intake.pressure, intake.ready) == (True, False)
    outcomes: list[object] = []
    intake.submit(frame_of(b""), outcomes.append)
    assert outcomes == [Receipt()]


@pytest.fixture
def rig_intake(tmp_path: Path) -> Iterator[tuple[Taken, CapturingIntake]]:
    """An intake and the capturing one in front of it."""
    taken = Taken()
    with closing(CapturingIntake(taken, tmp_path / "x.capture", lambda: NOW_MS)) as intake:
        yield taken, intake


def test_a_capture_is_never_overwritten(tmp_path: Path) -> None:
    """A file that is there is refused, and left as it is."""
    path = tmp_path / "x.capture"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        CapturingIntake(Taken(), path, lambda: NOW_MS)
    assert path.read_bytes() == b"mine"


def test_edges_on_several_threads(rig_intake: tuple[Taken, CapturingIntake], tmp_path: Path) -> None:
    """Frames handed in by several threads at once are captured whole, each once."""
    taken, intake = rig_intake

    def send(lane: int) -> None:
        for turn in range(200):
            intake.submit(frame_of(bytes([lane]) * turn), ignored)

    threads = [threading.Thread(target=send, args=(lane,)) for lane in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    intake.close()
    captured = [frame.body for frame in read_capture(tmp_path / "x.capture")]
    assert sorted(captured) == sorted(frame.body for frame in taken.frames)
    assert len(captured) == 800


def test_a_second_passes_and_it_is_on_disk(rig_intake: tuple[Taken, CapturingIntake], tmp_path: Path) -> None:
    """Frames captured a second ago are in the file, even if the daemon is killed and the file is not closed."""
    _, intake = rig_intake
    intake.submit(frame_of(b"first"), ignored)
    intake.submit(frame_of(b"second", NOW_MS + FLUSH_INTERVAL_MS), ignored)
    intake.submit(frame_of(b"third", NOW_MS + FLUSH_INTERVAL_MS + 1), ignored)
    assert [frame.body for frame in read_capture(tmp_path / "x.capture")] == [b"first", b"second"]


def test_a_full_disk_ends_the_recording_only(rig_intake: tuple[Taken, CapturingIntake], tmp_path: Path) -> None:
    """Frames go on to the engine, and frames captured before can be read."""
    taken, intake = rig_intake
    with file_bytes_max(600_000):
        for turn in range(20):
            intake.submit(frame_of(bytes([turn]) * 100_000, NOW_MS + turn), ignored)
        intake.close()
    assert len(taken.frames) == 20
    captured = list(read_capture(tmp_path / "x.capture", RecoveryReport()))
    assert captured == taken.frames[: len(captured)]
    assert 3 <= len(captured) <= 5


def test_a_refusal_passes_through(tmp_path: Path) -> None:
    """Errors of the engine reach the edge unchanged: malformed ones, and those after its close."""
    rig = Rig(tmp_path / "data")
    with closing(CapturingIntake(rig.engine, tmp_path / "x.capture", lambda: NOW_MS)) as intake:
        outcomes: list[object] = []
        intake.submit(frame_of(b"\x0a\x7f"), outcomes.append)
        rig.engine.close()
        intake.submit(frame_of(b""), outcomes.append)
    assert [type(one) for one in outcomes] == [Malformed, Unavailable]
