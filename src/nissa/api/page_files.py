"""The built pages as files in memory, each with its compressed forms and the headers that it is served with.

``scripts/build-pages`` writes ``index.html`` and ``assets/NAME-HASH.SUFFIX`` beside this file, each also as ``.br`` and
``.gz`` where that is shorter. A name with a hash never stands for other bytes, so browsers may keep it for good;
``index.html`` is asked for anew each time. Nothing of the request but a whole name leads to a file.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

BUILT = Path(__file__).parent / "pages"
INDEX = "index.html"
_ENCODINGS = {"br": ".br", "gzip": ".gz"}  # in order of preference
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Styles and scripts come from this address alone, never from inside a document; so injected text cannot run.
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


class PageFile(msgspec.Struct, frozen=True):
    """bodies: bytes by content coding; an empty name is the file as it is."""

    media_type: str
    cache_control: str
    bodies: Mapping[str, bytes]

    def choose(self, accept_encoding: str) -> tuple[str, bytes]:
        """The best content coding that ``accept_encoding`` names (empty: none), and the body in it."""
        accepted = _accepted(accept_encoding)
        for coding, body in self.bodies.items():
            if coding in accepted:
                return coding, body
        return "", self.bodies[""]


def read_pages(directory: Path = BUILT) -> dict[str, PageFile]:
    """Every built file by its path below ``directory``, such as ``assets/index-4f.js``; empty if nothing is built."""
    files = sorted(path for path in directory.rglob("*") if path.suffix in _TYPES)
    return {path.relative_to(directory).as_posix(): _read(path) for path in files}


def _read(path: Path) -> PageFile:
    forms = {coding: path.with_name(path.name + suffix) for coding, suffix in _ENCODINGS.items()}
    bodies = {coding: form.read_bytes() for coding, form in forms.items() if form.exists()}
    return PageFile(
        media_type=_TYPES[path.suffix],
        cache_control="public, max-age=31536000, immutable" if path.parent.name == "assets" else "no-cache",
        bodies={**bodies, "": path.read_bytes()},
    )


def _accepted(header: str) -> set[str]:
    """Codings of an Accept-Encoding header that are not refused by ``q=0``."""
    accepted = set()
    for part in header.lower().split(","):
        coding, _, parameters = part.partition(";")
        if parameters.replace(" ", "").rstrip("0.") != "q=":
            accepted.add(coding.strip())
    return accepted
