"""nissa replay: replays a capture into a daemon or a directory."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nissa.cli.fault import existing, run_command, warning
from nissa.config.load import load_config

if TYPE_CHECKING:
    from nissa.cli.play import Played


def replay(
    capture: Annotated[
        Path, typer.Argument(help="A capture file, a journal segment, or a data directory.", metavar="CAPTURE")
    ],
    to: Annotated[
        str, typer.Option(help="A daemon's ingest port (http://HOST:PORT) or a data directory.", metavar="URL|DIR")
    ],
    full_speed: Annotated[bool, typer.Option("--full-speed", help="As fast as the target accepts it.")] = False,
    speed: Annotated[
        float, typer.Option(help="Multiple of the recorded speed.", min=0.001, max=1e6, metavar="N")
    ] = 1.0,
    limit: Annotated[int, typer.Option(help="Maximum number of frames; 0: all.", min=0, metavar="N")] = 0,
    config: Annotated[Path | None, typer.Option(help="Settings for a replay into a directory.", metavar="FILE")] = None,
) -> None:
    """Replay a capture: send its frames again, exactly as they were received.

    A capture is a file of `nissa-ingest --capture FILE`, or a journal segment. A second replay of it stores nothing
    twice. A replay into a directory uses the times of the capture as its clock, so nothing is too old, and the same
    capture always gives the same content. A daemon refuses samples older than its acceptance.past.


    \b
    Examples:
      nissa replay monday.capture --to ./replayed --full-speed       into a directory
      nissa replay monday.capture --to http://127.0.0.1:9470         into a daemon, at the recorded speed
      nissa replay ./nissa-data --to http://127.0.0.1:9470 --speed 10
    """
    pace = 0.0 if full_speed else speed
    run_command("nissa replay", lambda: _replay(capture, to, pace, limit, config))


def _replay(capture: Path, to: str, speed: float, limit: int, config_path: Path | None) -> None:
    # Loaded here: the engine and its libraries are not for --help.
    from itertools import islice

    from nissa.cli.play import DaemonTarget, DirectoryTarget, Pace, Played, play_frames
    from nissa.journal.capture import capture_bytes, read_capture
    from nissa.journal.recovery import RecoveryReport
    from nissa.service.clock import monotonic_ms

    existing(capture)
    played, report = Played(), RecoveryReport()
    frames = read_capture(capture, report)
    target: DaemonTarget | DirectoryTarget
    if "://" in to:
        target = DaemonTarget(to, played)
    else:
        config = load_config(config_path, os.environ, {"storage.data_dir": to}, warning("nissa replay"))
        target = DirectoryTarget(Path(to), config, played)
    pace = Pace(speed, monotonic_ms)
    started_ms = monotonic_ms()
    with _progress_bar(capture_bytes(capture)) as advance, closing(target):
        play_frames(islice(frames, limit or None), target, pace, played, lambda: advance(report.bytes))
    _tell(played, report.rot_frames, max(1, monotonic_ms() - started_ms))


def _tell(played: "Played", rot_frames: int, took_ms: int) -> None:
    """The sum, one line, and a line per outcome that is not plain success."""
    counts = f"frames={played.frames} bytes={played.bytes} samples={played.samples}"
    print(f"{counts} seconds={took_ms / 1000:.2f} samples/s={1000 * played.samples // took_ms}")
    for reason, count in sorted(played.outcomes.items()):
        print(f"  {reason}: {count}")
    if rot_frames:
        print(f"  damaged frames in the capture, left out: {rot_frames}")


@contextmanager
def _progress_bar(total_bytes: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while it is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    # Loaded here: only a terminal needs it.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("replay"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("replay", total=total_bytes)
        yield lambda done_bytes: bar.update(task, completed=done_bytes)
