"""Pages of the documentation against the code they speak of."""

import re
import subprocess
import sys

from house.plan import FLOORS, ROOT, SRC

LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#|mailto:)([^)#\s]+)")
MENTIONED = re.compile(r"`((?:docs|src|tests|scripts|bench|proto)/[\w./-]+)`")
REQUIREMENTS = ROOT / "docs" / "requirements.md"
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
    for ids, *cells in requirement_rows():
        paths = re.findall(r"`([^`]+)`", cells[-1]) if len(cells) > 1 else []
        if len(cells) > 1 and not paths:
            gone.append(f"{ids}: shown by nothing")
        for path in paths:
            name, _, test = path.partition("::")
            file = ROOT / name
            if not file.exists() or (test and f"def {test}(" not in file.read_text()):
                gone.append(f"{ids}: {path}")
    assert not gone, "\n".join(gone)


def test_every_item_of_the_specification_is_in_a_row() -> None:
    """docs/requirements.md: rows have all items that its first paragraph counts, and no others."""
    introduction, _, _ = REQUIREMENTS.read_text().partition("\n## ")
    found = re.search(r"has (\d+) items", introduction)
    assert found
    items = items_of(introduction.partition("documents:")[2])
    assert len(items) == int(found[1])
    listed = {item for ids, *_ in requirement_rows() for item in items_of(ids)}
    assert sorted(items ^ listed) == []


def requirement_rows() -> list[list[str]]:
    """Cells of each row of docs/requirements.md that begins with an item."""
    lines = REQUIREMENTS.read_text().splitlines()
    return [line.strip("| ").split(" | ") for line in lines if re.match(r"\| \d{3}-\d{3}", line)]


def items_of(text: str) -> set[str]:
    """Items that a text names, by themselves or as ranges such as ``000-055 to 000-058``."""
    found = re.findall(r"(\d{3})-(\d{3})(?: to \1-(\d{3}))?", text)
    return {f"{part}-{item:03}" for part, first, last in found for item in range(int(first), int(last or first) + 1)}
