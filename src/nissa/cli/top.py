"""nissa top: a running daemon, live: rates, lag, refusals, sources, sinks, alerts."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nissa.cli.fault import run_command
from nissa.cli.text_table import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from nissa.cli.daemon_figures import Figures

WIDE_COLUMNS: Final = 110
ROWS_MAX: Final = 8
INTERVAL_MS_MIN: Final = 500
STYLES: Final = {"bad": "bold red", "warn": "yellow", "good": "green", "idle": "dim"}


def top(
    api: Annotated[str, typer.Option(help="The API of the daemon.", metavar="URL")] = "http://127.0.0.1:9471",
    interval: Annotated[str, typer.Option(help="Time between two looks, from 500ms.", metavar="DURATION")] = "2s",
    once: Annotated[bool, typer.Option("--once", help="Print one screen and exit.")] = False,
) -> None:
    """Show a running daemon live: samples and events per second, lag, refusals by reason, sources, sinks, alerts.

    Ends with Ctrl-C. Where the daemon is away, the last figures stay with their age until it answers again. Into a pipe
    or a file it prints one screen.

    \b
    Examples:
      nissa top
      nissa --user ann top --api https://nissa.lab.example:9471 --interval 5s
    """
    run_command("nissa top", lambda: _top(api, interval, once))


def _top(api: str, interval: str, once: bool) -> None:
    import time

    from rich.console import Console
    from rich.live import Live

    from nissa.cli.daemon_figures import ask_figures
    from nissa.model.errors import BadQuery, Unavailable
    from nissa.model.quantity import Unit, read_quantity
    from nissa.service.clock import monotonic_ms

    try:
        interval_ms = read_quantity(interval, Unit.DURATION)
    except ValueError as error:
        raise BadQuery(f"--interval: {error}") from None
    if interval_ms < INTERVAL_MS_MIN:
        raise BadQuery(f"--interval: at least {INTERVAL_MS_MIN}ms")
    console = Console(highlight=False)
    figures, away, seen_ms = ask_figures(api), "", monotonic_ms()  # what is wrong at the start ends the command
    if once or not console.is_terminal:
        console.print(screen(api, figures, console.width))
        return
    with Live(screen(api, figures, console.width), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(interval_ms / 1_000)
            try:
                figures, away, seen_ms = ask_figures(api), "", monotonic_ms()
            except (BadQuery, Unavailable) as error:
                away = str(error)
            age_ms = max(monotonic_ms() - seen_ms, 0) if away else 0
            live.update(screen(api, figures, console.width, away=away, age_ms=age_ms), refresh=True)


def screen(api: str, figures: "Figures", width: int, *, away: str = "", age_ms: float = 0) -> "RenderableType":
    """One screen. width: columns. away: why the daemon does not answer; age_ms: of the figures then."""
    from rich.console import Group
    from rich.table import Table

    parts: list[RenderableType] = [_title(api, figures, away, age_ms), "", _numbers(figures, width), ""]
    tables = [_received(figures), _refused(figures), _sources(figures), _sinks(figures)]
    if width >= WIDE_COLUMNS:
        grid = Table.grid(expand=True, padding=(0, 2))
        for _ in range(2):
            grid.add_column(ratio=1)
        for row in (tables[:2], ("", ""), tables[2:], ("", "")):
            grid.add_row(*row)
        parts.append(grid)
    else:
        parts += tables
    return Group(*parts, _alerts(figures), _worst(figures))


def _title(api: str, figures: "Figures", away: str, age_ms: float) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from nissa.cli.health import findings, span_text, verdict

    status = figures.status
    judged = verdict(status, findings(status), figures.alerts)
    mode = status.get("safeguards", {}).get("mode", {}).get("mode", status.get("mode", ""))
    line = Text.assemble(("nissa ", "bold"), (f"{status.get('version', '')}  ", "bold"), f"{api}  ")
    if "uptime_ms" in status:
        line.append(f"up {span_text(status['uptime_ms'])}  ")
    line.append(f"mode {mode}", "" if mode == "normal" else STYLES["warn"])
    if away:
        stale = f"stale since {span_text(age_ms)}: {printable(away)}"
        return Group(line, Text(stale, STYLES["bad"], no_wrap=True, overflow="ellipsis"))
    return Group(line, Text(judged.sentence, STYLES[judged.level.word]))


def _numbers(figures: "Figures", width: int) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    from nissa.cli.health import span_text
    from nissa.cli.status import rate_text

    status, latency = figures.status, figures.latency_seconds
    fill = status.get("safeguards", {}).get("mode", {}).get("load_percent", {}).get("queue")
    shown = (
        ("samples/s", rate_text(figures.samples_per_second)),
        ("events/s", rate_text(figures.events_per_second)),
        ("received to durable, p99", "-" if latency is None else span_text(latency * 1_000)),
        ("refused/min", rate_text(sum(figures.refused_per_minute.values()) if figures.received_per_second else None)),
        ("queue full", "-" if fill is None else f"{fill:.0f} %"),
        ("series", f"{status.get('series', {}).get('active', 0):,}"),
    )
    grid = Table.grid(expand=width >= WIDE_COLUMNS, padding=(0, 3))
    for _ in shown:
        grid.add_column(no_wrap=True)
    grid.add_row(*(Text(value, "bold") for _, value in shown))
    grid.add_row(*(Text(name if width >= WIDE_COLUMNS else name.partition(",")[0], "dim") for name, _ in shown))
    return grid


def _received(figures: "Figures") -> "Table":
    from nissa.cli.status import rate_text

    rates = sorted(figures.received_per_second.items(), key=lambda item: -item[1])
    return _table("Received", ("source", "per second"), [(source, rate_text(rate)) for source, rate in rates])


def _refused(figures: "Figures") -> "Table":
    from nissa.cli.status import rate_text

    rows = [(reason, rate_text(rate)) for reason, rate in figures.refused_per_minute.items()]
    return _table("Refused", ("reason", "per minute"), rows)


def _sources(figures: "Figures") -> "Table":
    rows = [
        (name, one["state"], one["error"] or "", "good" if one["up"] else "bad")
        for name, one in figures.status.get("sources", {}).items()
    ]
    return _table("Sources", ("source", "state", "error"), rows)


def _sinks(figures: "Figures") -> "Table":
    from nissa.cli.health import size_text, span_text

    levels = {"up": "good", "paused": "warn", "failing": "bad", "blocked": "bad"}
    rows = [
        (
            name,
            one["state"],
            size_text(one.get("backlog_bytes", 0)),
            span_text(one["backlog_age_ms"]) if one.get("backlog_age_ms") else "-",
            one["error"] or "",
            levels.get(one["state"], "idle"),
        )
        for name, one in figures.status.get("sinks", {}).items()
    ]
    return _table("Sinks", ("sink", "state", "behind", "lag", "error"), rows)


def _alerts(figures: "Figures") -> "RenderableType":
    from rich.text import Text

    from nissa.cli.status import alert_text

    firing = [alert for alert in figures.alerts if alert["state"] == "firing"]
    text = Text(f"Firing alerts ({len(firing)})", "bold", no_wrap=True, overflow="ellipsis")
    for alert in firing[:ROWS_MAX]:
        text.append(f"\n{alert_text(alert)}", STYLES["idle" if "acknowledgement" in alert else "bad"])
    return text


def _worst(figures: "Figures") -> "RenderableType":
    from rich.text import Text

    from nissa.cli.health import Level, findings

    text = Text("", no_wrap=True, overflow="ellipsis")
    shown = [one for one in findings(figures.status) if one.level in (Level.BAD, Level.WARN)]
    for one in shown[:ROWS_MAX]:
        text.append(f"\n{one.level.word:<4} {printable(one.name)}: {printable(one.fact)}", STYLES[one.level.word])
    return text


def _table(title: str, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> "Table":
    """A table; a value behind those of the header is the level of the second column."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, expand=True, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    for number in range(len(header)):
        last = number == len(header) - 1
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1 if last else None, max_width=None if last else 40)
    count = f"{title} ({len(rows)})" if rows else f"{title}: none"
    names = header[1:] if rows else ("",) * (len(header) - 1)
    table.add_row(Text(count, "bold"), *(Text(name, "dim") for name in names))
    for row in rows[:ROWS_MAX]:
        style = STYLES[row[len(header)]] if len(row) > len(header) else ""
        cells = [printable(str(value)) for value in row[: len(header)]]
        table.add_row(*(Text(cell, style if number == 1 else "") for number, cell in enumerate(cells)))
    return table
