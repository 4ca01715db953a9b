"""nissa status: one screen about a running daemon, and an exit code for scripts."""

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nissa.cli.fault import run_command
from nissa.cli.text_table import printable

if TYPE_CHECKING:
    from nissa.cli.daemon_figures import Figures
    from nissa.cli.health import Finding, Judgement

NOT_WELL: Final = 1
NOT_REACHED: Final = 2
ALERTS_MAX: Final = 10
FACT_CHARACTERS_MAX: Final = 160


def status(
    api: Annotated[str, typer.Option(help="The API of the daemon.", metavar="URL")] = "http://127.0.0.1:9471",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the state of a running daemon on one screen.

    Exit code 0: well, or parts are worth a look. 1: a part needs attention, an alert that nobody has acknowledged is
    firing, or the daemon is still starting. 2: the daemon is not reached, or does not let us in.

    \b
    Examples:
      nissa status
      nissa --token-file viewer.token status --api https://nissa.lab.example:9471
      nissa status --json | jq -r '.findings[] | select(.level == "bad") | .fact'
    """
    run_command("nissa status", lambda: _status(api, as_json))


def _status(api: str, as_json: bool) -> None:
    import orjson

    from nissa.cli.daemon_figures import ask_figures
    from nissa.cli.health import Level, findings, verdict
    from nissa.model.errors import NissaError

    try:
        figures = ask_figures(api)
    except NissaError as error:
        if as_json:
            print(orjson.dumps({"reached": False, "well": False, "sentence": str(error)}).decode())
        else:
            print(f"nissa status: {printable(str(error))}", file=sys.stderr)
        sys.exit(NOT_REACHED)
    found = findings(figures.status)
    judged = verdict(figures.status, found, figures.alerts)
    well = judged.level is not Level.BAD and figures.asked
    if as_json:
        print(orjson.dumps(_document(figures, found, judged, well=well)).decode())
    else:
        print("\n".join(_lines(api, figures, found, judged)))
    sys.exit(0 if well else NOT_WELL)


def _document(figures: "Figures", found: "list[Finding]", judged: "Judgement", *, well: bool) -> dict[str, Any]:
    status = figures.status
    return {
        "reached": True,
        "well": well,
        "level": judged.level.word,
        "sentence": judged.sentence,
        "version": status.get("version"),
        "state": status.get("mode"),
        "mode": status.get("safeguards", {}).get("mode", {}).get("mode"),
        "uptime_ms": status.get("uptime_ms"),
        "samples_per_second": figures.samples_per_second,
        "events_per_second": figures.events_per_second,
        "refused_per_minute": figures.refused_per_minute if figures.received_per_second else None,
        "latency_seconds_p99": figures.latency_seconds,
        "findings": [{"name": one.name, "level": one.level.word, "fact": one.fact} for one in found],
        "alerts": figures.alerts,
    }


def _lines(api: str, figures: "Figures", found: "list[Finding]", judged: "Judgement") -> list[str]:
    from shutil import get_terminal_size
    from textwrap import wrap

    from nissa.cli.health import Level, size_text, span_text

    status = figures.status
    up = f", up {span_text(status['uptime_ms'])}" if "uptime_ms" in status else ""
    lines = [f"nissa {status.get('version', '')} at {api}{up}".replace("  ", " "), judged.sentence, ""]
    if figures.asked:
        mode = status.get("safeguards", {}).get("mode", {})
        why = f" ({'forced' if mode.get('forced') else mode.get('reason')})" if mode.get("reason") else ""
        refused = sum(figures.refused_per_minute.values())
        reasons = ", ".join(figures.refused_per_minute)
        rates = f"{rate_text(figures.samples_per_second)} samples/s, {rate_text(figures.events_per_second)} events/s"
        latency = "no request" if (p99 := figures.latency_seconds) is None else f"99 % within {span_text(p99 * 1_000)}"
        blocks, journal = status["blocks"], size_text(status["journal"]["bytes"])
        lines += [
            f"mode        {mode.get('mode', 'unknown')}{printable(why)}, durability {status.get('durability')}",
            f"received    {rates}",
            f"latency     {latency} in the last minute",
            f"refused     {refused:,.0f}/min{f': {printable(reasons)}' if reasons else ''}",
            f"stored      {size_text(blocks['bytes'])} in {blocks['count']:,} blocks, journal {journal}",
            "",
        ]
    for one in found:
        if one.level in (Level.BAD, Level.WARN):
            lines.append(f"{one.level.word:<4}  {one.name}: {printable(one.fact)[:FACT_CHARACTERS_MAX]}")
    good = [one.name for one in found if one.level not in (Level.BAD, Level.WARN)]
    if good:
        lines += wrap(f"good  {printable(', '.join(good))}", get_terminal_size().columns, subsequent_indent=" " * 6)
    firing = [alert for alert in figures.alerts if alert["state"] == "firing"]
    lines += [f"fires {alert_text(alert)}" for alert in firing[:ALERTS_MAX]]
    return lines + ([f"fires {len(firing) - ALERTS_MAX} more"] if len(firing) > ALERTS_MAX else [])


def rate_text(rate: float | None) -> str:
    """A rate with as many digits as say something."""
    return "?" if rate is None else f"{rate:,.0f}" if rate >= 10 or rate == 0 else f"{rate:.2g}"


def alert_text(alert: dict[str, Any]) -> str:
    """An alert on one line: its name, its labels, since when."""
    labels = {name: value for name, value in alert["labels"].items() if name != "alertname"}
    told = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    seen = ", acknowledged" if "acknowledgement" in alert else ""
    text = f"{alert['labels'].get('alertname', '')} {{{told}}} since {alert['activeAt'][:19]}Z{seen}"
    return printable(text)[:FACT_CHARACTERS_MAX]
