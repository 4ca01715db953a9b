"""StatsD in plain Python, line by line: the twin of ``_fast/statsd`` and ``codec/statsd``.

It adds up like them, and keeps every value of an interval, so that its quantiles are exact.
"""

import math
import re
from typing import NamedTuple

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
KINDS = {"c": "c", "g": "g", "s": "s", "ms": "o", "h": "o", "d": "o"}
Labels = tuple[tuple[str, str], ...]


class Parts(NamedTuple):
    """One sound line."""

    name: str
    kind: str
    labels: Labels
    values: list[str]
    rate: float
    divisor: float


class Twin:
    """Sums of all lines. refused: how many lines were."""

    def __init__(self) -> None:
        self.kinds: dict[tuple[str, Labels], str] = {}
        self.totals: dict[tuple[str, Labels], float] = {}
        self.counts: dict[tuple[str, Labels], float] = {}
        self.observed: dict[tuple[str, Labels], list[tuple[float, float]]] = {}
        self.members: dict[tuple[str, Labels], set[str]] = {}
        self.refused = 0
        self.lines = 0
        self.events: list[bytes] = []

    def add(self, data: bytes) -> None:
        """Add lines."""
        for line in data.split(b"\n"):
            stripped = line.rstrip(b"\r ")
            if not stripped:
                continue
            if stripped.startswith((b"_e{", b"_sc|")) and len(stripped) >= 4:
                self.events.append(stripped)
                continue
            self.lines += 1
            parts = read(stripped)
            if parts is None or self.kinds.setdefault((parts.name, parts.labels), parts.kind) != parts.kind:
                self.refused += 1
            else:
                self._add(parts)

    def _add(self, parts: Parts) -> None:
        key = (parts.name, parts.labels)
        total = self.totals.setdefault(key, 0.0)
        if parts.kind == "s":
            self.members.setdefault(key, set()).add(parts.values[0])
            return
        for text in parts.values:
            value = float(text)
            if parts.kind == "c":
                total += value / parts.rate
            elif parts.kind == "g":
                total = total + value if text[0] in "+-" else value
            else:
                value, weight = value / parts.divisor, 1.0 / parts.rate
                total += value * weight
                self.counts[key] = self.counts.get(key, 0.0) + weight
                self.observed.setdefault(key, []).append((value, weight))
        self.totals[key] = total

    def flush(
        self, quantiles: tuple[float, ...]
    ) -> tuple[dict[tuple[str, Labels], float], dict[tuple[str, Labels], float]]:
        """Exact values by name and labels, and quantiles by name and labels with ``quantile``; begins an interval."""
        exact: dict[tuple[str, Labels], float] = {}
        near: dict[tuple[str, Labels], float] = {}
        for (name, labels), kind in self.kinds.items():
            total = self.totals[name, labels]
            if kind == "c":
                exact[f"{name}_total", labels] = total
            elif kind == "g":
                exact[name, labels] = total
            elif kind == "s":
                exact[name, labels] = float(len(self.members.get((name, labels), ())))
            else:
                exact[f"{name}_sum", labels] = total
                exact[f"{name}_count", labels] = self.counts.get((name, labels), 0.0)
                for quantile in quantiles:
                    if (name, labels) in self.observed:
                        found = nearest(self.observed[name, labels], quantile)
                        near[name, tuple(sorted((*labels, ("quantile", f"{quantile:g}"))))] = found
        self.observed, self.members = {}, {}
        return exact, near


def nearest(observed: list[tuple[float, float]], quantile: float) -> float:
    """The value of the nearest rank by weight."""
    values = sorted(observed)
    wanted = quantile * math.fsum(weight for _, weight in values) * (1 - 1e-12)
    reached = 0.0
    for value, weight in values:
        reached += weight
        if reached >= wanted:
            return value
    return values[-1][0]


def read(line: bytes) -> Parts | None:
    """One line; None where it is not of its form."""
    head, *parts = line.split(b"|")
    name, colon, packed = head.partition(b":")
    if not colon or not name or not packed or not parts:
        return None
    kind = KINDS.get(parts[0].decode("latin-1"))
    if kind is None:
        return None
    rate, tags = 1.0, b""
    for part in parts[1:]:
        if not part:
            return None
        if part[:1] == b"#":
            tags = part[1:]
        elif part[:1] == b"@":
            text = part[1:].decode("latin-1")
            if not NUMBER.fullmatch(text) or not 1e-9 <= float(text) <= 1.0:
                return None
            rate = float(text)
    values = [packed.decode("latin-1")] if kind == "s" else packed.decode("latin-1").split(":")
    if kind != "s" and not all(_is_sound(value, kind) for value in values):
        return None
    try:
        labels = _labels(tags.decode(), kind)
        plain = name.decode()
    except UnicodeDecodeError:
        return None
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in plain):
        return None
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_:") else "_" for letter in plain)
    plain = f"_{plain}" if plain[0].isdigit() else plain
    if kind == "c" and plain != "_total":
        plain = plain.removesuffix("_total")
    return Parts(plain, kind, labels, values, rate, 1000.0 if parts[0] == b"ms" else 1.0)


def _is_sound(text: str, kind: str) -> bool:
    if not NUMBER.fullmatch(text) or len(text) > 400 or math.isinf(float(text)):
        return False
    return float(text) >= 0 or kind != "c"


def _labels(tags: str, kind: str) -> Labels:
    found: dict[str, str] = {}
    for tag in tags.split(","):
        key, colon, value = tag.partition(":")
        if not key:
            continue
        label = "".join(letter if letter.isascii() and (letter.isalnum() or letter == "_") else "_" for letter in key)
        label = f"_{label}" if label[0].isdigit() else label
        if label == "__name__" or (label == "quantile" and kind == "o"):
            label = f"exported_{label}"
        found[label] = value if colon else "true"
    return tuple(sorted((key, value) for key, value in found.items() if value))
