"""The built pages as files in memory."""

from pathlib import Path

import pytest

from nissa.api.page_files import read_pages


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A document, a script with both compressed forms, and a file that is not served."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(b"<!doctype html>")
    (tmp_path / "assets" / "index-1.js").write_bytes(b"plain")
    (tmp_path / "assets" / "index-1.js.br").write_bytes(b"brotli")
    (tmp_path / "assets" / "index-1.js.gz").write_bytes(b"gzip")
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_files_are_named_by_their_path(built: Path) -> None:
    """Files of known types are served; names with a hash are kept for good, the document is asked for anew."""
    files = read_pages(built)
    assert set(files) == {"index.html", "assets/index-1.js"}
    assert files["index.html"].cache_control == "no-cache"
    assert "immutable" in files["assets/index-1.js"].cache_control
    assert files["assets/index-1.js"].media_type.startswith("text/javascript")


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("br;q=0, gzip", "gzip"), ("", ""), ("zstd", ""), ("br;q=0.0", "")],
)
def test_the_best_accepted_coding_is_chosen(built: Path, accepted: str, coding: str) -> None:
    """Brotli before gzip before neither; a coding with q=0 is refused."""
    bodies = {"br": b"brotli", "gzip": b"gzip", "": b"plain"}
    assert read_pages(built)["assets/index-1.js"].choose(accepted) == (coding, bodies[coding])


def test_nothing_is_served_where_nothing_is_built(tmp_path: Path) -> None:
    """A source tree without the build has no files."""
    assert read_pages(tmp_path / "absent") == {}
