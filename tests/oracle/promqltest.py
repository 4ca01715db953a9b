"""Prometheus' promqltest scripts: read into commands, and run against the evaluator.

    load 5m                                       eval instant at 10m rate(x_total[5m])
      x_total{job="a"} 0+10x5 _ stale 3             expect no_warn
    clear                                           {job="a"} 0.033

Samples and expectations that are native histograms (``{{…}}``) are not stored; a case that needs them is skipped.
"""

import ast
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nissa.model.errors import BadQuery, NissaError
from nissa.model.predicate import takes
from nissa.promql.evaluate import evaluate_instant, evaluate_range
from nissa.promql.expression import Select, parts_of
from nissa.promql.memory_source import MemorySource
from nissa.promql.parse import read_expression
from nissa.promql.values import QueryResult

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
TOLERANCE = 1e-6
_SERIES = re.compile(
    r"""((?:[A-Za-z_:][\w:]*)?(?:\{(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^"'}])*\})?)(?:\s+(.*))?$"""
)
_LABEL = re.compile(r"""\s*(?:([\w.]+|"(?:[^"\\]|\\.)*")\s*(?:=\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'))?)\s*(?:,|$)""")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}

Key = tuple[tuple[str, str], ...]


class Case(NamedTuple):
    """One eval. range: start, end and step in ms, or None; lines: the expected answer."""

    place: str
    expression: str
    at_ms: int
    range_ms: tuple[int, int, int] | None
    kind: str
    lines: list[str]
    expects: list[str]


class Outcome(NamedTuple):
    """state: passed, failed or skipped, and why."""

    case: Case
    state: str
    why: str


def duration_ms(text: str) -> int:
    """A duration such as ``1h30m``, or seconds."""
    if re.fullmatch(r"-?[\d.]+(e\d+)?", text):
        return round(float(text) * 1000)
    sign = -1 if text.startswith("-") else 1
    parts = re.findall(r"([\d.]+)(ms|[smhdwy])", text)
    return sign * round(sum(float(count) * _UNITS[unit] for count, unit in parts))


def unquoted(text: str) -> str:
    """A quoted string's text."""
    if text[:1] == "`":
        return text.strip("`")
    return str(ast.literal_eval(text)) if text[:1] in "\"'" else text


def read_series(text: str) -> tuple[dict[str, str], str]:
    """Labels of a series as written, and what follows."""
    found = _SERIES.match(text)
    if found is None:
        raise ValueError(f"no series: {text}")
    head, rest = found[1], found[2] or ""
    name, _, inside = head.partition("{")
    labels = {"__name__": name} if name else {}
    for label in _LABEL.finditer(inside.removesuffix("}")):
        if label[2] is None:
            labels["__name__"] = unquoted(label[1])
        else:
            labels[unquoted(label[1])] = unquoted(label[2])
    return {key: value for key, value in labels.items() if value}, rest.strip()


def read_points(text: str) -> list[float | str | None]:
    """Values in the notation of the scripts: None for a gap, ``histogram`` for histograms, which are not stored."""
    points: list[float | str | None] = []
    text = re.sub(r"\{\{[^}]*\}\}([-+]\{\{[^}]*\}\})?(x\d+)?", lambda m: f"histogram{m[2] or ''}", text)
    for word in text.split():
        base, _, times = word.partition("x")
        count = int(times) if times else 0
        if base in ("_", ""):
            points += [None] * max(count, 1)
        elif base == "stale":
            points.append(STALE)
        elif base == "histogram":
            points += ["histogram"] * (count + 1)
        elif (steps := re.fullmatch(r"([-+]?[^-+]*(?:e[-+]?\d+)?)([-+])(.+)", base)) and times:
            first, slope = float(steps[1]), float(steps[3]) * (-1 if steps[2] == "-" else 1)
            points += [first + slope * step for step in range(count + 1)]
        else:
            points += [float(base)] * (count + 1)
    return points


def read_script(path: Path) -> Iterator[tuple[str, Any]]:
    """Commands: ("load", (command, step, lines)), ("clear", None), ("eval", Case)."""
    lines = path.read_text().splitlines()
    at = 0
    while at < len(lines):
        line = lines[at].split("#")[0].rstrip() if not lines[at].startswith("eval") else lines[at].rstrip()
        head, place = line.strip(), f"{path.stem}:{at + 1}"
        at += 1
        if not head or head.startswith("#"):
            continue
        body = []
        while at < len(lines) and (lines[at][:1] in (" ", "\t") or lines[at].lstrip().startswith("#")):
            inner = lines[at].strip()
            if inner and not inner.startswith("#"):
                body.append(inner)
            at += 1
        if head.startswith("load"):
            yield "load", (head.split()[0], duration_ms(head.split()[1]), body)
        elif head == "clear":
            yield "clear", None
        elif head.startswith("eval"):
            yield "eval", _read_case(place, head, body)
        else:
            raise ValueError(f"{place}: {head}")


def _read_case(place: str, head: str, body: list[str]) -> Case:
    kind, form, rest = head.split(None, 2)
    if form == "instant":
        _, at, expression = rest.split(None, 2)
        at_ms, interval = duration_ms(at), None
    else:
        _, start, _, end, _, step, expression = rest.split(None, 6)
        at_ms, interval = 0, (duration_ms(start), duration_ms(end), duration_ms(step))
    expects = [line for line in body if line.startswith(("expect ", "expected_fail"))]
    lines = [line for line in body if line not in expects]
    return Case(place, expression, at_ms, interval, kind, lines, expects)


def run_script(path: Path) -> list[Outcome]:
    """All cases of a file, in order."""
    outcomes = []
    source = MemorySource()
    histograms: list[dict[str, str]] = []
    for command, what in read_script(path):
        if command == "clear":
            source, histograms = MemorySource(), []
        elif command == "load":
            histograms += load(source, *what)
        else:
            outcomes.append(_run_case(source, histograms, what))
    return outcomes


def load(source: MemorySource, command: str, step_ms: int, lines: list[str]) -> list[dict[str, str]]:
    """Add data; returns the labels of series that have histograms among their samples."""
    histograms = []
    for line in lines:
        labels, points = read_series(line)
        values = read_points(points)
        if "histogram" in values:
            histograms.append(labels)
        if command == "load_with_nhcb":  # it also makes a native histogram of the buckets
            name = labels.get("__name__", "").removesuffix("_bucket")
            histograms.append({"__name__": name, **{k: v for k, v in labels.items() if k not in ("__name__", "le")}})
        source.add(labels, [(at * step_ms, value) for at, value in enumerate(values) if isinstance(value, float)])
    return histograms


def _run_case(source: MemorySource, histograms: list[dict[str, str]], case: Case) -> Outcome:
    needs = any("{{" in line for line in case.lines)
    if needs or any(_selects(case.expression, labels) for labels in histograms):
        return Outcome(case, "skipped", "needs native histograms")
    try:
        answer = _evaluate(source, case)
    except NissaError as error:
        return _judge_failure(case, str(error))
    except Exception as error:  # a crash of the evaluator is a failed case, not the end of the run
        return Outcome(case, "failed", f"{type(error).__name__}: {error}")
    if _fail_wanted(case):
        return Outcome(case, "failed", "expected to fail")
    why = _difference(case, answer) or _note_difference(case, answer)
    return Outcome(case, "failed" if why else "passed", why)


def _selects(text: str, labels: dict[str, str]) -> bool:
    """True if some selector of the expression selects the series."""
    try:
        waiting = [read_expression(text)]
    except BadQuery:
        return False
    while waiting:
        part = waiting.pop()
        if isinstance(part, Select) and all(takes(matcher, labels.get(matcher.name, "")) for matcher in part.matchers):
            return True
        waiting += parts_of(part)
    return False


def _evaluate(source: MemorySource, case: Case) -> QueryResult:
    if case.range_ms is None:
        return evaluate_instant(source, case.expression, case.at_ms)
    return evaluate_range(source, case.expression, *case.range_ms)


def _fail_wanted(case: Case) -> bool:
    return case.kind == "eval_fail" or any(line.startswith("expect fail") for line in case.expects)


def _judge_failure(case: Case, message: str) -> Outcome:
    if not _fail_wanted(case):
        unsupported = "computed durations" in message or "modifier" in message
        return Outcome(case, "skipped" if unsupported else "failed", message)
    for line in case.expects:
        if not _says(line, [message]):
            return Outcome(case, "failed", f"{line}: {message}")
    return Outcome(case, "passed", "")


def _says(line: str, messages: list[str]) -> bool:
    """True if one of the messages is the one that the line expects."""
    wanted = re.match(r"expect \w+ (msg|regex):\s*(.*)", line) or re.match(r"expected_fail_(message|regexp) (.*)", line)
    if wanted is None:
        return bool(messages)
    text = wanted[2].strip()
    if wanted[1].startswith("reg"):
        return any(re.search(text, message) for message in messages)
    return any(text in (message, re.sub(r" \(\d+:\d+\)$", "", message)) for message in messages)


def _note_difference(case: Case, answer: QueryResult) -> str:
    for line in case.expects:
        kind = line.split()[1]
        found = list(answer.warnings if "warn" in kind else answer.infos)
        if (kind.startswith("no_") and found) or (kind in ("warn", "info") and not _says(line, found)):
            return f"{line}: {found}"
    return ""


def values_of(answer: QueryResult) -> list[tuple[Key, list[float | None]]]:
    """The series of an answer, each with a value or None per step."""
    vector = answer.vector
    if vector is None:
        return []
    return [
        (
            tuple(vector.labels.row(row).items()),
            [
                value if there else None
                for value, there in zip(vector.values[row].tolist(), vector.present[row].tolist(), strict=True)
            ],
        )
        for row in range(len(vector))
    ]


def same(left: float | None, right: float | None) -> bool:
    """Equal within the tolerance; NaN is NaN."""
    if left is None or right is None:
        return left is right
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return left == right or math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=1e-300)


def _difference(case: Case, answer: QueryResult) -> str:
    wanted_vector = next((line for line in case.expects if line.startswith("expect range vector")), "")
    wanted_text = next((line for line in case.expects if line.startswith("expect string")), "")
    if wanted_text:
        text = unquoted(wanted_text.removeprefix("expect string").strip())
        return "" if answer.kind == "string" and answer.text == text else f"{answer.kind} {answer.text!r}"
    if wanted_vector:
        return _samples_difference(case, answer, wanted_vector)
    if answer.scalar is not None:
        value = answer.scalar.values[0]
        return "" if case.lines and same(float(value), float(case.lines[0])) else f"scalar {value}"
    expected = []
    for line in case.lines:
        labels, points = read_series(line)
        expected.append((tuple(sorted(labels.items())), read_points(points)))
    found = values_of(answer)
    ordered = case.kind == "eval_ordered" or "expect ordered" in case.expects
    if not ordered:
        expected, found = sorted(expected, key=lambda series: series[0]), sorted(found, key=lambda series: series[0])
    if [series[0] for series in expected] != [series[0] for series in found]:
        return f"series {[series[0] for series in found]}, expected {[series[0] for series in expected]}"
    count = len(answer.at_ms)
    for (labels, wanted), (_, values) in zip(expected, found, strict=True):
        padded = [*wanted, *([None] * (count - len(wanted)))]
        if len(padded) != len(values) or not all(same(*pair) for pair in zip(padded, values, strict=True)):
            return f"{labels}: {values}, expected {wanted}"
    return ""


def _samples_difference(case: Case, answer: QueryResult, wanted: str) -> str:
    """``expect range vector from A to B step C``: samples on that grid."""
    words = wanted.split()
    start, end, step = duration_ms(words[4]), duration_ms(words[6]), duration_ms(words[8])
    samples = answer.samples
    if samples is None:
        return f"{answer.kind}, expected a range"
    found = {}
    for row in range(len(samples.labels)):
        own = slice(samples.offsets[row], samples.offsets[row + 1])
        pairs = zip(samples.ts_ms[own].tolist(), samples.value[own].tolist(), strict=True)
        found[tuple(samples.labels.row(row).items())] = dict(pairs)
    expected = {}
    for line in case.lines:
        labels, points = read_series(line)
        values = zip(range(start, end + 1, step), read_points(points), strict=False)
        expected[tuple(sorted(labels.items()))] = {at: value for at, value in values if value is not None}
    if found.keys() != expected.keys():
        return f"{list(found)}, expected {list(expected)}"
    for labels, values in expected.items():
        own = found[labels]
        if own.keys() != values.keys() or not all(same(own[at], values[at]) for at in values):
            return f"{labels}: {own}, expected {values}"
    return ""
