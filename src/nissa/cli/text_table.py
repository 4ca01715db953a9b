"""Tables on standard output: aligned columns for people, one JSON object per line for programs."""

from collections.abc import Iterable, Sequence

import orjson

GAP = "  "


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]], *, as_json: bool) -> None:
    """Print rows under ``header``. as_json: one object per line instead, with the title as its ``kind``."""
    if as_json:
        for row in rows:
            print(orjson.dumps({"kind": title, **dict(zip(header, row, strict=True))}, default=str).decode())
        return
    cells = [[*header], *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    print(f"{title} ({len(cells) - 1})")
    if len(cells) == 1:
        return
    numeric = [all(_is_number(row[column]) for row in cells[1:]) for column in range(len(header))]
    for row in cells:
        padded = (
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        )
        print(f"  {GAP.join(padded).rstrip()}")


def utc(ms: int, *, to_the_second: bool = False) -> str:
    """Unix milliseconds as people write a moment; ``Z`` is UTC."""
    from datetime import UTC, datetime, timedelta

    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    except OverflowError:  # a timestamp beyond the year 9999 is legal in a sample
        return f"{ms}ms"
    fraction = "" if to_the_second else f".{ms % 1000:03d}"
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction}Z"


def printable(text: str) -> str:
    """Text that changes nothing of a terminal, on one line: what a sender wrote is not to be trusted."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else printable(str(value))


def _is_number(text: str) -> bool:
    return text.replace(",", "").lstrip("-").isdigit()
