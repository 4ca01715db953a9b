"""Output of scripts/check-package for archives that are complete, lack a file, or have one too many."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check-package"
WHEEL = [
    "nissa/__init__.py",
    "nissa/api/pages/index.html",
    "nissa/_fast/walk.pyi",
    "nissa/_fast/walk.cpython-311-x86_64-linux-gnu.so",
]
SDIST = ["CHANGELOG.md", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg", "setup.py"]
SDIST += [
    "proto/a.proto",
    "ui/index.html",
    "src/nissa/api/pages/index.html",
    "src/nissa/__init__.py",
    "src/nissa/_fast/walk.pyi",
    "src/nissa/_fast/walk.pyx",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository of one plain and one compiled module."""
    for name in ("scripts/check-package", *SDIST):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    return tmp_path


def said_of(tree: Path, names: list[str], suffix: str) -> list[str]:
    """Output of the script for an archive with these files. Checks the exit code too."""
    archive = tree / f"nissa-1{suffix}"
    if suffix == ".whl":
        with zipfile.ZipFile(archive, "w") as wheel:
            for name in [*names, "nissa-1.dist-info/RECORD"]:
                wheel.writestr(name, "")
    else:
        with tarfile.open(archive, "w:gz") as sdist:
            for name in [*names, "src/nissa.egg-info/PKG-INFO"]:
                sdist.addfile(tarfile.TarInfo(f"nissa-1/{name}"))
    command = [sys.executable, tree / "scripts" / "check-package", archive]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == (1 if result.stdout else 0)
    return result.stdout.splitlines()


@pytest.mark.parametrize(("names", "suffix"), [(WHEEL, ".whl"), (SDIST, ".tar.gz")], ids=["wheel", "sdist"])
def test_archives_hold_what_they_should(tree: Path, names: list[str], suffix: str) -> None:
    """A complete archive has no findings; missing and superfluous files are named."""
    assert said_of(tree, names, suffix) == []
    assert said_of(tree, names[:-1], suffix)[0].startswith(f"nissa-1{suffix} lacks ")
    assert said_of(tree, [*names, "nissa/_fast/walk.c"], suffix) == [f"nissa-1{suffix} holds nissa/_fast/walk.c"]
