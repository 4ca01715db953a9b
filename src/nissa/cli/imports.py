"""nissa import: history into a daemon or a directory."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nissa.cli.fault import OUTSIDE, existing, run_command, warning
from nissa.cli.text_table import printable
from nissa.cli.time_options import TIME_FORMS

if TYPE_CHECKING:
    from nissa.cli.import_pieces import ImportPiece, ImportReader
    from nissa.cli.import_progress import ProgressFile
    from nissa.cli.import_targets import ImportTarget, Taken

DAEMON = "http://127.0.0.1:9470"
FORMS = "jsonl, openmetrics, csv or parquet"
IN_FLIGHT_MAX = 3  # pieces parsed ahead of the one that is sent
FAULTS_SHOWN = 20
_SUFFIXES = {
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".om", ".openmetrics", ".prom", ".txt"), "openmetrics"),
    ".csv": "csv",
    ".parquet": "parquet",
}


def imports(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files, or directories of them.", metavar="FILE|DIR")
    ] = None,
    url: Annotated[str, typer.Option(help="A daemon's ingest port.", metavar="URL")] = DAEMON,
    to: Annotated[
        Path | None, typer.Option(help="Instead of --url: a data directory without a running daemon.", metavar="DIR")
    ] = None,
    form: Annotated[str, typer.Option("--format", help=f"{FORMS}. Default: by the suffix.", metavar="FORM")] = "",
    map: Annotated[
        list[str] | None,
        typer.Option(
            help="A column of CSV or Parquet: time[:UNIT], value, metric[:NAME], name, labels, label[:NAME] or skip."
        ),
    ] = None,
    from_prometheus: Annotated[
        str, typer.Option(help="Instead of files: a running Prometheus, over remote read.", metavar="URL")
    ] = "",
    match: Annotated[
        list[str] | None, typer.Option(help="With --from-prometheus: a selector; may be repeated. Default: everything.")
    ] = None,
    start: Annotated[
        str, typer.Option(help=f"With --from-prometheus: start of the range; {TIME_FORMS}.", metavar="TIME")
    ] = "now-30d",
    end: Annotated[
        str, typer.Option(help="With --from-prometheus: end of the range, included.", metavar="TIME")
    ] = "now",
    restart: Annotated[bool, typer.Option("--restart", help="Start an interrupted import from the beginning.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings for --to.", metavar="FILE")] = None,
) -> None:
    """Import samples of any age up to acceptance.import_past (365d).

    Samples older than the retention of samples are folded into the tiers of their age. Samples that are already stored
    are not counted twice, so an import may be repeated. JSON lines and OpenMetrics may be compressed with gzip or zstd.
    Lines and rows that cannot be read are printed and left out, and the exit code is 1.

    Imported samples are durable. An interrupted import continues where it stopped when it is run again; its progress is
    in $XDG_STATE_HOME/nissa (~/.local/state/nissa). If the daemon does not answer, the import retries for a minute.

    CSV and Parquet: the columns timestamp, timestamp_ms or time are times, value is the value, name the metric name,
    and labels a JSON object of labels. Every other column is a label. --map overrides this.

    \b
    Examples:
      nissa import backup.jsonl.gz                                      what `nissa export` or VictoriaMetrics wrote
      nissa import metrics.om --url http://nissa:9470
      nissa import cpu.csv --map time=time:s --map host=label --map user=metric:cpu_user
      nissa import ./parquet --to ./nissa-data
      nissa import --from-prometheus http://prometheus:9090 --match '{job="api"}' --start now-15d
    """
    source = (from_prometheus, match or [], start, end)
    target = (url, to, config)
    run_command("nissa import", lambda: _import(files or [], form, map or [], source, target, restart=restart))


def _import(
    files: list[Path],
    form: str,
    columns: list[str],
    source: tuple[str, list[str], str, str],
    target: tuple[str, Path | None, Path | None],
    *,
    restart: bool,
) -> None:
    # Loaded here: numpy and the readers are not for --help.
    from nissa.cli.import_progress import ProgressFile
    from nissa.model.errors import BadQuery

    if bool(files) == bool(source[0]):
        raise BadQuery("give either files or --from-prometheus")
    inputs = [_prometheus(*source)] if source[0] else [_file(path, form, columns) for path in _all_files(files)]
    name = str(target[1].absolute()) if target[1] else target[0]
    faults = 0
    with ExitStack() as stack:
        to = _target(*target)
        stack.callback(to.close)
        for label, stamp, reader in inputs:
            file = ProgressFile(label, name, stamp, os.environ)
            if restart:
                file.remove()
            with _progress_bar(label, reader.total) as advance:
                taken = _send_all(reader, to, file, lambda reader=reader: advance(reader.done))  # type: ignore[misc]
            faults += _tell(label, taken)
            if target[1] is not None:
                _note(label, target[1], target[2], taken)
        to.fold()
    if faults:
        sys.exit(OUTSIDE)


def _note(label: str, directory: Path, config: Path | None, taken: "Taken") -> None:
    """Write an import into a directory to its audit log; the samples are there, whether it can be written or not."""
    from nissa.cli.own_database import note_command, own_database
    from nissa.model.errors import NissaError

    try:
        with own_database(config, directory) as database:
            after = {"samples": taken.samples, "refused": dict(taken.refused)}
            note_command(database, "samples.import", label, None, after)
    except NissaError as error:
        warning("nissa import")(f"the audit log has no entry of this import: {error}")


def _send_all(
    reader: "ImportReader", target: "ImportTarget", file: "ProgressFile", advance: Callable[[], None]
) -> "Taken":
    """Send every piece behind what was sent before; parse the next ones meanwhile."""
    from nissa.cli.import_targets import Taken
    from nissa.service.clock import monotonic_ms

    progress, total = file.read(), Taken()
    waiting: deque[tuple[ImportPiece, Future[Taken]]] = deque()

    def complete() -> None:
        piece, future = waiting.popleft()
        _add(total, piece, future.result())
        progress.position, progress.samples = piece.position, progress.samples + future.result().samples
        file.write(progress, monotonic_ms())
        advance()

    with ThreadPoolExecutor(1) as pool:
        try:
            for piece in reader.pieces(progress.position):
                waiting.append((piece, pool.submit(target.send, piece)))
                while len(waiting) > IN_FLIGHT_MAX:
                    complete()
            while waiting:
                complete()
        except BaseException:  # raised again; what was acknowledged is noted
            pool.shutdown(cancel_futures=True)
            file.write(progress, monotonic_ms(), at_once=True)
            raise
    file.remove()
    return total


def _add(total: "Taken", piece: "ImportPiece", taken: "Taken") -> None:
    total.samples += taken.samples
    for reason, count in taken.refused.items():
        total.refused[reason] = total.refused.get(reason, 0) + count
    if piece.refused:
        total.refused["record_malformed"] = total.refused.get("record_malformed", 0) + piece.refused
    total.faults += [*piece.faults, *taken.faults][: FAULTS_SHOWN - len(total.faults)]


def _tell(label: str, taken: "Taken") -> int:
    """One line of counts, and a line per record that is named; returns how many were refused."""
    refused = sum(taken.refused.values())
    print(f"{printable(label)}: samples={taken.samples} refused={refused}")
    for fault in taken.faults:
        print(f"nissa import: {printable(label)}: line {fault.line}: {printable(fault.words)}", file=sys.stderr)
    for reason, count in sorted(taken.refused.items()):
        print(f"nissa import: {printable(label)}: {reason}: {count}", file=sys.stderr)
    return refused


def _target(url: str, to: Path | None, config_path: Path | None) -> "ImportTarget":
    from nissa.cli.import_targets import DaemonImport, DirectoryImport
    from nissa.config.load import load_config

    if to is None:
        return DaemonImport(url)
    config = load_config(config_path, os.environ, {"storage.data_dir": str(to)}, warning("nissa import"))
    return DirectoryImport(to, config)


def _all_files(paths: list[Path]) -> Iterator[Path]:
    """The files, and those of directories in order of their names."""
    from nissa.files.names import CATALOGUE
    from nissa.model.errors import BadQuery

    for path in paths:
        if not existing(path).is_dir():
            yield path
            continue
        if (path / CATALOGUE).exists():
            raise BadQuery(f"{path} is a data directory; `nissa export {path}` writes what can be imported")
        found = sorted(one for one in path.rglob("*") if one.is_file() and _form_of(one))
        if not found:
            raise BadQuery(f"{path}: no file in it has a suffix of {FORMS}")
        yield from found


def _form_of(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return next((_SUFFIXES[suffix] for suffix in reversed(suffixes) if suffix in _SUFFIXES), "")


def _file(path: Path, form: str, columns: list[str]) -> tuple[str, str, "ImportReader"]:
    """Name, stamp and reader of one file. Raises: BadQuery."""
    from nissa.cli.import_pieces import JsonLinesReader, OpenMetricsReader
    from nissa.cli.import_tables import TableReader
    from nissa.model.errors import BadQuery

    form = form or _form_of(path)
    facts = path.stat()
    stamp = f"{facts.st_size} {facts.st_mtime_ns} {form} {sorted(columns)}"
    if form in ("csv", "parquet"):
        roles = dict(one.rpartition("=")[::2] for one in columns)
        return str(path.absolute()), stamp, TableReader(path, roles, parquet=form == "parquet")
    if columns or form not in ("jsonl", "openmetrics"):
        what = "--map is for CSV and Parquet" if columns else f"expected --format {FORMS}"
        raise BadQuery(f"{path}: {what}")
    return str(path.absolute()), stamp, (JsonLinesReader if form == "jsonl" else OpenMetricsReader)(path)


def _prometheus(url: str, match: list[str], start: str, end: str) -> tuple[str, str, "ImportReader"]:
    from nissa.cli.import_prometheus import PrometheusReader
    from nissa.model.selector import read_selector
    from nissa.query.times import read_time
    from nissa.service.clock import wall_ms

    now_ms = wall_ms()
    first_ms, last_ms = read_time(start, "start", now_ms), read_time(end, "end", now_ms)
    selectors = [read_selector(text) for text in match or ['{__name__=~".+"}']]
    # Relative times move: an import of "the last 30 days" that is called again goes on from where it was.
    return url, f"{sorted(match)} {start} {end}", PrometheusReader(url, selectors, first_ms, last_ms)


@contextmanager
def _progress_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while it is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    # Loaded here: only a terminal needs it.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(printable(Path(label).name or label), total=total)
        yield lambda done: bar.update(task, completed=done)
