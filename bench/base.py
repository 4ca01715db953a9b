"""The base revision that benchmarks are compared with: its tree and its compiled modules, under ``build/base``.

``bench/baseline/revision`` names it; ``NISSA_BENCH_BASE`` names another one, a tag or a commit. A release writes its
own commit there. It is built once, as a release build, by the same compiler as the tree it is compared with.
"""

import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parents[1]
REVISION = ROOT / "bench" / "baseline" / "revision"


def base_tree() -> Path | None:
    """The tree of the base revision, its modules in ``lib``; built at first use. None without its history."""
    name = os.environ.get("NISSA_BENCH_BASE") or REVISION.read_text().strip()
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"], cwd=ROOT, capture_output=True, check=False
    )
    if found.returncode:
        return None
    revision = found.stdout.decode().strip()
    tree = ROOT / "build" / "base" / revision[:12]
    if not (tree / "built").exists():
        _build(revision, tree)
    return tree


def _build(revision: str, tree: Path) -> None:
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
    tree.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(tree, filter="data")
    command = [sys.executable, "setup.py", "--quiet", "build", "--build-lib", "lib"]
    subprocess.run(command, cwd=tree, env={**os.environ, "NISSA_BUILD": "release"}, check=True)
    (tree / "built").touch()
