"""Pages of the documentation against the code they speak of."""

import re
import subprocess
import sys

from house.plan import FLOORS, ROOT, SRC

LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#|mailto:)([^)#\s]+)")
MENTIONED = re.compile(r"`((?:docs|src|tests|scripts|bench|proto)/[\w./-]+)`")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_commands_page_is_what_help_says() -> None:
    """docs/cli.md is written anew whenever an option changes: run scripts/write-cli-page."""
    script = ROOT / "scripts" / "write-cli-page"
    assert subprocess.run([sys.executable, str(script), "--check"], check=False).returncode == 0


def test_links_between_pages_lead_somewhere() -> None:
    """Every relative link names a file that is there."""
    dead = []
    for page in PAGES:
        for target in LINK.findall(page.read_text()):
            if not (page.parent / target).exists():
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert not dead, "\n".join(dead)


def test_files_that_pages_mention_are_there() -> None:
    """A path in backquotes names a file or directory of the repository; words in capitals stand for names to choose."""
    gone = []
    for page in PAGES:
        for path in MENTIONED.findall(page.read_text()):
            if not re.search(r"[A-Z]{4,}", path.removesuffix(".md")) and not (ROOT / path).exists():
                gone.append(f"{page.relative_to(ROOT)}: {path}")
    assert not gone, "\n".join(gone)


def test_the_map_shows_every_room() -> None:
    """docs/ARCHITECTURE.md names each room that is there."""
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    rooms = [path.name for path in SRC.iterdir() if path.is_dir() and path.name in FLOORS]
    assert [room for room in rooms if f"{room}/" not in text] == []


def test_every_requirement_named_is_shown_by_a_test_that_exists() -> None:
    """docs/requirements.md: each row's tests are there."""
    gone = []
    for line in (ROOT / "docs" / "requirements.md").read_text().splitlines():
        match = re.match(r"\| (\d{3}-\d{3}) \|.*\|(.*)\|$", line)
        for path in re.findall(r"`([^`]+)`", match[2]) if match else ():
            name, _, test = path.partition("::")
            file = ROOT / name
            if not file.exists() or (test and f"def {test}(" not in file.read_text()):
                gone.append(f"{match[1] if match else ''}: {path}")
    assert not gone, "\n".join(gone)
