"""Text of a push, by metric family: POST replaces those of a name, and what is gone of them ends with a marker.

    # TYPE h histogram          family h: its TYPE and HELP lines, samples of h_bucket, h_sum, h_count
    h_bucket{le="1"} 2
    x 7                         family x, of no type

The compiled codec reads the samples (``codec/exposition.py``): this file knows which family a line belongs to.
"""

import re
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from nissa._fast.batch import Batch
from nissa._fast.context import set_context
from nissa._fast.series import SeriesIndex
from nissa.codec.exposition import TIMESTAMP, decode
from nissa.model.context import NAME_LABEL, Context
from nissa.model.decoded import Window
from nissa.model.errors import InvariantBroken, Malformed
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.text_faults import LineFault

PUSHED: Final = "push_time_seconds"
FAILED: Final = "push_failure_time_seconds"
_SUFFIXES: Final[dict[str, tuple[str, ...]]] = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "info": ("_info",),
    **dict.fromkeys(("gauge", "untyped", "unknown", "stateset"), ()),
}
_COMMENT: Final = re.compile(rb'#[ \t]*(HELP|TYPE)[ \t]+("(?:[^"\\]|\\.)*"|[^ \t]+)(?:[ \t]+(.*))?')
_PLAIN: Final = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")
_ESCAPE: Final = re.compile(r'\\([\\n"])')
_SAME_MS: Final = 2**60 + secrets.randbelow(2**60)  # the time given to lines without a timestamp: no sender knows it
_WINDOW: Final = Window(1, 1 << 32, -(2**62), 2**62)


class Family(msgspec.Struct, omit_defaults=True):
    """Lines of one metric family as they were pushed, without line feeds."""

    type: bytes = b""
    help: bytes = b""
    samples: list[bytes] = []

    def lines(self) -> list[bytes]:
        """All lines, those of TYPE and HELP first."""
        return [line for line in (self.help, self.type) if line] + self.samples


def read_families(body: bytes, reader: "SeriesReader") -> dict[str, Family]:
    """Families of a pushed body by name, without those that Nissa adds itself.

    body: text 0.0.4. reader: of the grouping key, whose labels replace those of the same name.
    Raises: Malformed for a line that cannot be read, a timestamp, a series twice, a second or late TYPE, a last line
    without its line feed; the message names the line.
    """
    if body and not body.endswith(b"\n"):
        raise Malformed("the last line does not end with a line feed: the body was cut")
    rows = reader.read(body)
    families: dict[str, Family] = {}
    types: dict[str, str] = {}
    sampled: set[str] = set()
    at = 0
    for number, line in enumerate(body.split(b"\n"), 1):
        line = line.strip(b" \t")
        if not line:
            continue
        if line.startswith(b"#"):
            _describe(number, line, families, types, sampled)
            continue
        if at == len(rows):
            raise InvariantBroken("the codec read fewer samples than a pushed body has lines")
        plain = _PLAIN.match(line)
        name = _family_of(reader.name(rows[at]) if plain is None else plain[0].decode(), types)
        families.setdefault(name, Family()).samples.append(line)
        sampled.add(name)
        at += 1
    if at != len(rows):
        raise InvariantBroken("the codec read more samples than a pushed body has lines")
    return {name: family for name, family in families.items() if name not in (PUSHED, FAILED)}


class SeriesReader:
    """Reads lines to series, and says which came twice. One for each push."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        """labels: the grouping key."""
        self._index = SeriesIndex(b"\0" * 32)
        self._labels = dict(labels)
        self._rules = Context(labels=self._labels, conflict="replace").rules()
        self._empty = {name for name, value in labels.items() if not value}

    def read(self, body: bytes) -> list[int]:
        """Series of each sample line, in order. Raises: Malformed as ``read_families``."""
        batch = Batch()
        set_context(batch, self._rules)
        context = Context(parameters={TIMESTAMP: str(_SAME_MS)}).encode()
        frame = Frame(Codec.EXPOSITION, Encoding.IDENTITY, Source.PUSH, 0, body, context=context)
        decoded = decode(frame, body, self._index, batch, _WINDOW)
        if decoded.lines:
            raise Malformed(_words(decoded.lines[0]))
        if batch.refused:
            raise Malformed(f"samples are refused: {', '.join(sorted(batch.refused))}")
        series, ts_ms, _ = batch.columns()
        found: list[int] = series.tolist()
        timed = np.flatnonzero(ts_ms != _SAME_MS)
        if len(timed):
            row = int(timed[0])
            raise Malformed(f"sample {row + 1} ({self.text(found[row])}) has a timestamp; pushed samples have none")
        if len(set(found)) < len(found):
            twice, _ = Counter(found).most_common(1)[0]
            raise Malformed(f"series {self.text(twice)} stands twice in the group")
        if self._empty:
            self._refuse_empty(found)
        return found

    def name(self, series: int) -> str:
        """Metric name of a series."""
        return dict(self._index.labels(series)).get(NAME_LABEL, "")

    def text(self, series: int) -> str:
        """A series as a message shows it."""
        pairs = dict(self._index.labels(series))
        name = pairs.pop(NAME_LABEL, "")
        return f"{name}{{{', '.join(f'{key}={value!r}' for key, value in pairs.items())}}}"[:200]

    def _refuse_empty(self, found: Sequence[int]) -> None:
        for one in found:
            for name, _ in self._index.labels(one):
                if name in self._empty:
                    raise Malformed(f"{self.text(one)}: the path says that label {name!r} is empty")


def gone_lines(reader: SeriesReader, before: Mapping[str, Family], after: Mapping[str, Family]) -> list[bytes]:
    """Sample lines of ``before`` whose series are not in ``after``.

    reader: of the grouping key. Raises: Malformed where two families of ``after`` hold one series.
    """
    kept = set(reader.read(exposition_of(after)))
    lines = [line for family in before.values() for line in family.samples]
    series = reader.read(b"".join(line + b"\n" for line in lines))
    return [line for line, one in zip(lines, series, strict=True) if one not in kept]


def exposition_of(families: Mapping[str, Family]) -> bytes:
    """The families as a body of text 0.0.4."""
    return b"".join(line + b"\n" for family in families.values() for line in family.lines())


def _describe(number: int, line: bytes, families: dict[str, Family], types: dict[str, str], sampled: set[str]) -> None:
    """Take a comment. Raises: Malformed for a TYPE or HELP that contradicts the lines before it."""
    match = _COMMENT.fullmatch(line)
    if match is None:
        return
    keyword, name, rest = match[1].decode(), _unquoted(match[2].decode("utf-8", "replace")), match[3] or b""
    family = families.setdefault(name, Family())
    if keyword == "HELP":
        if family.help:
            raise Malformed(f"line {number}: a second HELP for metric {name[:100]!r}")
        family.help = line
        return
    kind = rest.decode("utf-8", "replace").strip()
    if kind not in _SUFFIXES:
        raise Malformed(f"line {number}: unknown type {kind[:40]!r} of metric {name[:100]!r}")
    if family.type or name in sampled:
        raise Malformed(f"line {number}: a second TYPE for metric {name[:100]!r}, or one behind its samples")
    family.type = line
    types[name] = kind


def _family_of(name: str, types: Mapping[str, str]) -> str:
    if name in types:
        return name
    stem, _, suffix = name.rpartition("_")
    return stem if f"_{suffix}" in _SUFFIXES.get(types.get(stem, ""), ()) else name


def _unquoted(name: str) -> str:
    if not name.startswith('"') or len(name) < 2:
        return name
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], name[1:-1])


def _words(fault: LineFault) -> str:
    return f"line {fault.line}: {fault.words or fault.reason}: {fault.text[:100]!r}"
