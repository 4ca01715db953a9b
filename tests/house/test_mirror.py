"""The tests mirror the source: whoever reads a file knows where its proof is."""

from pathlib import Path

from house.plan import SRC, TESTS, python_files, shown

# Rooms and files whose proof stands elsewhere, each with where.
ELSEWHERE = {
    "model/columns.py": "data only; every room's tests build them",
    "model/decoded.py": "data only; codec tests read it",
    "model/errors.py": "data only; messages are checked where errors are raised",
    "model/frame.py": "data only; on-disk numbers are checked by the goldens",
    "model/intake.py": "a protocol; mypy checks who offers it",
    "model/level.py": "data only; every question for events reads it",
    "model/receipt.py": "data only",
    "model/refusal.py": "compared with _fast/types.pxd by tests/house/test_compiled.py",
    "model/tally.py": "data only; conservation is a journey",
    "model/units.py": "constants",
    "query/backend.py": "a protocol; mypy checks who offers it",
    "service/clock.py": "two reads of the clock",
    "service/daemon.py": "a process, proven as one: tests/journeys/test_stop.py",
    "service/telemetry.py": "proven in the running daemon: tests/journeys/test_self.py",
}
# A compiled module is proven in the room that uses it (follow the noun).
COMPILED_ROOMS = ("codec", "series", "store", "rollup", "ttl", "ingest", "fast")


def files_named(stem: str) -> list[Path]:
    """Test files of a stem anywhere below tests/."""
    return sorted(TESTS.rglob(f"test_{stem}.py")) + sorted(TESTS.rglob(f"test_{stem}_*.py"))


def test_every_source_file_has_its_test_file() -> None:
    """src/nissa/ROOM/FILE.py is proven in tests/ROOM/test_FILE.py; exceptions are listed with their reason."""
    missing = []
    for path in python_files():
        relative = path.relative_to(SRC)
        if path.name == "__init__.py" or str(relative) in ELSEWHERE:
            continue
        directory = TESTS / relative.parent
        if not sorted(directory.glob(f"test_{path.stem}.py")) and not sorted(directory.glob(f"test_{path.stem}_*.py")):
            missing.append(shown(path))
    assert not missing, "no tests/ROOM/test_FILE.py for:\n" + "\n".join(missing)


def test_exceptions_are_still_true() -> None:
    """Every listed exception names a file that exists, and so does a test it points to."""
    gone = [name for name in ELSEWHERE if not (SRC / name).exists()]
    named = [word for reason in ELSEWHERE.values() for word in reason.split() if word.startswith("tests/")]
    gone += [word for word in named if not (TESTS.parent / word).exists()]
    assert not gone


def test_every_compiled_module_has_a_test_file() -> None:
    """src/nissa/_fast/NOUN.pyx is proven by a test_NOUN file in the room of its noun."""
    missing = []
    for path in sorted((SRC / "_fast").glob("*.pyx")):
        homes = [found for found in files_named(path.stem) if found.parent.name in {*COMPILED_ROOMS, "oracle"}]
        if not homes:
            missing.append(shown(path))
    assert not missing, "no test file for:\n" + "\n".join(missing)
