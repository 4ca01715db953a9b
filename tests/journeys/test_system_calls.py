"""Kill at every I/O system call of a small workload: recovery finds all that was acknowledged."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from journeys.rig import parse_export
from journeys.workload import CONFIG, ledger_of

import nissa
from nissa.model.selector import read_selectors
from nissa.query.export import export_samples
from nissa.query.export_form import ExportForm

CALLS = ("pwritev", "pwrite64", "fdatasync", "fsync", "rename", "unlink", "ftruncate", "fallocate", "write")
STRIDE = int(os.environ.get("NISSA_SWEEP_STRIDE", "12"))
WORKLOAD = Path(__file__).parent / "workload.py"


def counted(tmp_path: Path) -> dict[str, int]:
    """Number of times a clean run makes each call, on the thread that makes it most often."""
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-ff", "-o", str(trace), "-e", f"trace={','.join(CALLS)}", sys.executable, str(WORKLOAD)]
    subprocess.run([*command, str(tmp_path / "clean"), str(tmp_path / "clean.notes")], check=True, timeout=120)
    most: dict[str, int] = {}
    for path in tmp_path.glob("trace.*"):
        names = re.findall(r"^(\w+)\(", path.read_text(errors="replace"), re.MULTILINE)
        for call in CALLS:
            most[call] = max(most.get(call, 0), names.count(call))
    return most


def kill_at(call: str, number: int, directory: Path, notes: Path) -> None:
    """Run the workload and kill it when it makes this call for the number-th time."""
    command = [
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:signal=KILL:when={number}",
    ]
    subprocess.run([*command, sys.executable, str(WORKLOAD), str(directory), str(notes)], timeout=120, check=False)


def check(directory: Path, notes: Path) -> None:
    """Open the directory as the kill left it, and compare it with the notes."""
    ledger = ledger_of()
    for line in notes.read_text().splitlines() if notes.exists() else []:
        word, claim = line.split()
        (ledger.claimed if word == "claim" else ledger.acknowledged).add(int(claim))
    with nissa.Engine(directory, CONFIG) as engine:
        whole = (-(2**63), 2**63 - 1)
        body = b"".join(export_samples(engine, read_selectors('{job="ledger"}'), whole, ExportForm.JSONL))
    ledger.check(parse_export(body))


@pytest.mark.needs_debian("strace")
def test_a_kill_at_any_io_call_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """For every I/O call of the workload: killed there, reopened, everything acknowledged is there bit for bit."""
    points = [(call, number) for call, most in counted(tmp_path).items() for number in range(1, most + 1)]
    assert len(points) > 50
    for place, (call, number) in enumerate(points[::STRIDE]):
        directory, notes = tmp_path / f"d{place}", tmp_path / f"n{place}"
        kill_at(call, number, directory, notes)
        check(directory, notes)
    print(f"kill points {len(points[::STRIDE])} of {len(points)}, failures 0")
