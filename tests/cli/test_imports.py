"""nissa import: each form brings the same samples, faults are named, and an interrupted import goes on."""

import gzip
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from cramjam import zstd
from pyarrow import parquet
from typer.testing import CliRunner

from nissa.cli import imports
from nissa.cli.import_pieces import Fault, ImportPiece, JsonLinesReader, OpenMetricsReader
from nissa.cli.import_progress import ProgressFile
from nissa.cli.import_targets import Taken
from nissa.cli.main import app
from nissa.model.errors import Unavailable
from nissa.model.units import DAY_MS

RUNNER = CliRunner()
START_MS = int(time.time() * 1000) // DAY_MS * DAY_MS - 3 * DAY_MS
TIMES = [START_MS + 60_000 * at for at in range(300)]
HOSTS = ("a", "b")
ROWS = [
    (host, ts_ms, float(at * (1 + len(host)) + number))
    for number, host in enumerate(HOSTS)
    for at, ts_ms in enumerate(TIMES)
]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ImportProgress files stand in the test's own directory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def json_lines() -> bytes:
    lines = []
    for host in HOSTS:
        own = [row for row in ROWS if row[0] == host]
        metric = {"__name__": "cpu_user", "host": host}
        lines.append(
            json.dumps({"metric": metric, "timestamps": [row[1] for row in own], "values": [row[2] for row in own]})
        )
    return "\n".join(lines).encode() + b"\n"


def write_all(directory: Path) -> dict[str, tuple[Path, list[str]]]:
    """The same samples in every form: name, file, further arguments."""
    directory.mkdir()
    (directory / "a.jsonl").write_bytes(json_lines())
    (directory / "b.jsonl.gz").write_bytes(gzip.compress(json_lines()))
    (directory / "c.jsonl.zst").write_bytes(bytes(zstd.compress(json_lines())))
    lines = [f'cpu_user{{host="{host}"}} {value} {ts_ms / 1000:.3f}' for host, ts_ms, value in ROWS]
    (directory / "d.om").write_text("\n".join(["# TYPE cpu_user gauge", *lines, "# EOF", ""]))
    rows = [f"cpu_user,{host},{ts_ms},{value}" for host, ts_ms, value in ROWS]
    (directory / "e.csv").write_text("\n".join(["name,host,timestamp_ms,value", *rows, ""]))
    moments = [f"{datetime.fromtimestamp(ts_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ},{host},{v}" for host, ts_ms, v in ROWS]
    (directory / "f.csv").write_text("\n".join(["at,machine,user", *moments, ""]))
    table = pa.table(
        {
            "name": pa.array(["cpu_user"] * len(ROWS)).dictionary_encode(),
            "labels": [json.dumps({"host": host}) for host, _, _ in ROWS],
            "timestamp": pa.array([ts_ms for _, ts_ms, _ in ROWS], pa.timestamp("ms", tz="UTC")),
            "value": [value for _, _, value in ROWS],
        }
    )
    parquet.write_table(table, directory / "g.parquet")
    maps = ["--map", "at=time", "--map", "machine=label:host", "--map", "user=metric:cpu_user"]
    return {path.name: (path, maps if path.name == "f.csv" else []) for path in sorted(directory.iterdir())}


def hours(directory: Path) -> str:
    """Windows of an hour of everything."""
    found = RUNNER.invoke(app, ["export", str(directory), "--resolution", "1h"])
    assert found.exit_code == 0, found.stderr
    return found.stdout


def test_every_form_brings_the_same(tmp_path: Path) -> None:
    """JSON lines plain and compressed, OpenMetrics, CSV by names and by map, Parquet: the windows are the same."""
    found = {}
    for name, (path, arguments) in write_all(tmp_path / "forms").items():
        data = tmp_path / f"data-{name}"
        result = RUNNER.invoke(app, ["import", str(path), "--to", str(data), *arguments])
        assert result.exit_code == 0, (name, result.stderr)
        assert result.stdout == f"{path}: samples={len(ROWS)} refused=0\n"
        found[name] = hours(data)
    assert len(set(found.values())) == 1, found
    lines = [json.loads(line) for line in found["a.jsonl"].splitlines()]
    assert [sum(line["count"]) for line in lines] == [len(TIMES)] * 2
    for line in lines:
        own = [row for row in ROWS if row[0] == line["metric"]["host"]]
        assert sum(line["sum"]) == sum(value for _, _, value in own)
    assert not list((tmp_path / "state").rglob("*.json"))


def test_a_directory_of_files(tmp_path: Path) -> None:
    """A directory is read file by file; what one file brought the next one does not bring again."""
    write_all(tmp_path / "forms")
    (tmp_path / "forms" / "f.csv").unlink()
    (tmp_path / "forms" / "notes.md").write_text("no samples")
    result = RUNNER.invoke(app, ["import", str(tmp_path / "forms"), "--to", str(tmp_path / "data")])
    assert result.exit_code == 0, result.stderr
    assert [json.loads(line)["count"][0] for line in hours(tmp_path / "data").splitlines()] == [60, 60]
    exported = RUNNER.invoke(app, ["audit", "export", "--data-dir", str(tmp_path / "data")]).stdout.splitlines()
    entries = [json.loads(line) for line in exported]
    assert {(one["action"], one["via"]) for one in entries} == {("samples.import", "command")}
    assert any(one["target"].endswith("a.jsonl") and one["after"]["samples"] == len(ROWS) for one in entries)


@pytest.mark.parametrize(
    ("name", "text", "taken", "said"),
    [
        (
            "a.jsonl",
            b'{"metric":{"__name__":"m"},"timestamps":[%d],"values":[1]}\n{"metric":3}\n' % START_MS,
            1,
            "line 2: ",
        ),
        ("a.om", b"# TYPE m gauge\nm 1 %d\nm{ 1 2\n# EOF\n" % (START_MS // 1000), 1, "line 3: "),
        ("a.csv", b"name,time,value\nm,%d,1\nm,soon,2\nm,1\n" % START_MS, 1, "line 3: time: 'soon'"),
        ("b.csv", b"name,time,value\nm,%d,1\nm,%d,much\n" % (START_MS, START_MS), 1, "line 3: value: 'much'"),
    ],
)
def test_faults_name_their_lines(tmp_path: Path, name: str, text: bytes, taken: int, said: str) -> None:
    """Unreadable lines are named and counted, the others are imported, and the exit code is 1."""
    (tmp_path / name).write_bytes(text)
    result = RUNNER.invoke(app, ["import", str(tmp_path / name), "--to", str(tmp_path / "data")])
    assert (result.exit_code, said in result.stderr) == (1, True), result.stderr
    assert f"samples={taken} refused=" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either files or --from-prometheus"),
        (["missing.jsonl"], "no such file"),
        (["strange.bin"], "expected --format"),
        (["strange.csv"], "one column of times"),
        (["--from-prometheus", "ftp://x"], "expected http://HOST:PORT"),
        (["strange.bin", "--format", "jsonl", "--map", "a=b"], "--map is for CSV"),
    ],
)
def test_wrong_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str) -> None:
    """A wrong call ends with exit code 2 and says what is expected."""
    monkeypatch.chdir(tmp_path)
    Path("strange.bin").write_bytes(b"\x00")
    Path("strange.csv").write_text("a,b\n1,2\n")
    result = RUNNER.invoke(app, ["import", *arguments, "--to", "data"])
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


class Target:
    """Accepts chunks until the configured one, which fails."""

    def __init__(self, fail_at: int) -> None:
        self.sent: list[ImportPiece] = []
        self._fail_at = fail_at

    def send(self, piece: ImportPiece) -> Taken:
        if len(self.sent) == self._fail_at:
            raise Unavailable("the daemon is gone", 1)
        self.sent.append(piece)
        return Taken(1)

    def fold(self) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """Nothing to close."""


def test_an_interrupted_import_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Acknowledged batches are not sent again, all others are, and a changed file is imported from its beginning."""
    monkeypatch.setattr("nissa.cli.import_pieces.BLOCK_BYTES", 3_000)
    path = tmp_path / "a.jsonl"
    line = b'{"metric":{"__name__":"m%d"},"timestamps":[1,2,3],"values":[1,2,3]}\n'
    path.write_bytes(b"".join(line % at for at in range(200)))
    pieces = list(JsonLinesReader(path).pieces((0, 0)))
    assert len(pieces) > 4
    file = ProgressFile(str(path), "target", "stamp", {"XDG_STATE_HOME": str(tmp_path)})
    first, second = Target(3), Target(-1)
    with pytest.raises(Unavailable):
        imports._send_all(JsonLinesReader(path), first, file, lambda: None)
    taken = imports._send_all(JsonLinesReader(path), second, file, lambda: None)
    assert [piece.body for piece in first.sent + second.sent] == [piece.body for piece in pieces]
    assert taken.samples == len(second.sent)
    assert not file.path.exists()
    file.write(msgspec.structs.replace(file.read(), position=(5, 1)), 0, at_once=True)
    assert file.read().position == (5, 1)
    other = ProgressFile(str(path), "target", "another stamp", {"XDG_STATE_HOME": str(tmp_path)})
    assert other.read().position == (0, 0)


def test_pieces_of_exposition_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece is a whole exposition that begins with the TYPE line of its family and says where its lines are."""
    monkeypatch.setattr("nissa.cli.import_pieces.TEXT_BYTES", 64)
    path = tmp_path / "a.om"
    path.write_bytes(b"# TYPE m gauge\n" + b"".join(b"m %d 1\n" % at for at in range(50)) + b"# EOF\n")
    pieces = list(OpenMetricsReader(path).pieces((0, 0)))
    lines = path.read_bytes().splitlines()
    for piece in pieces:
        own = piece.body.splitlines()
        assert own[0] == b"# TYPE m gauge"
        assert own[-1] == b"# EOF"
        assert own.count(b"# EOF") == 1
        for at, line in enumerate(own[1:-1], 1):
            assert lines[piece.first_line + at - 1] == line
    again = list(OpenMetricsReader(path).pieces(pieces[1].position))
    assert b"".join(piece.body for piece in again).count(b"m ") > 0
    assert Fault(1, "x") != Fault(2, "x")
