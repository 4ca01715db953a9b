"""Reads the files of ``templates:`` in Alertmanager's configuration: texts that receivers include by name.

    templates: [texts/*.tmpl] ──► TemplateFile(path, text)    in the order of the patterns, then of the names

Files are read here and parsed by ``notifiers/go_texts.py``. A pattern without a file is no fault, as in Alertmanager.
"""

from pathlib import Path
from typing import Any, Final

import msgspec

from nissa.config.document import Fail

FILES_MAX: Final = 100  # of all patterns
BYTES_MAX: Final = 1 << 20  # of one file


class TemplateFile(msgspec.Struct, frozen=True):
    """A file of templates."""

    path: Path
    text: str


def read_text_files(patterns: Any, folder: Path, fail: Fail) -> tuple[tuple[TemplateFile, ...], list[str]]:
    """The files of ``patterns``, and a warning for each pattern without a file.

    patterns: as the configuration has them; none where it has none. folder: that they are relative to. Raises: what
    ``fail`` makes.
    """
    if isinstance(patterns, str) or patterns is None:
        patterns = [patterns] if patterns else []
    if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
        raise fail("templates", "expected a list of files")
    found: list[TemplateFile] = []
    warnings = []
    for number, pattern in enumerate(patterns):
        place = f"templates[{number}]"
        try:
            paths = _matching(folder / pattern)
        except (OSError, ValueError, RecursionError) as error:
            raise fail(place, f"{pattern[:200]} cannot be looked for: {error}") from None
        if len(found) + len(paths) > FILES_MAX:
            raise fail(place, f"{pattern[:200]} and those before match over {FILES_MAX} files")
        if not paths:
            warnings.append(str(fail(place, f"{pattern[:200]} matches no file")))
        found += [TemplateFile(path, _read(path, place, fail)) for path in paths]
    return tuple(found), warnings


def _matching(path: Path) -> list[Path]:
    anchor = Path(path.anchor)
    return sorted(one for one in anchor.glob(str(path.relative_to(anchor))) if one.is_file())


def _read(path: Path, place: str, fail: Fail) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        if len(content) > BYTES_MAX:
            raise fail(place, f"{path} has over {BYTES_MAX} bytes")
        return content.decode()
    except OSError as error:
        raise fail(place, f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise fail(place, f"{path}, line {line}: is not UTF-8") from None
