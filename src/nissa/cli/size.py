"""nissa size: estimates cores, memory and disk of an installation."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nissa.cli.fault import run_command

if TYPE_CHECKING:
    from nissa.maintenance.sizing import Need

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(
    series: Annotated[int, typer.Option("--series", help="Active series.", metavar="N", min=1)],
    interval: Annotated[
        str, typer.Option("--interval", help="Time between two samples of a series.", metavar="DURATION")
    ] = "15s",
    rate: Annotated[
        float, typer.Option("--samples-per-second", help="In place of --interval.", metavar="N", min=0)
    ] = 0,
    new_series: Annotated[
        int, typer.Option("--new-series-per-hour", help="Series that were not there before.", metavar="N", min=0)
    ] = 0,
    events: Annotated[float, typer.Option("--events-per-second", help="Events.", metavar="N", min=0)] = 0,
    event_size: Annotated[
        int, typer.Option("--event-bytes", help="Size of one event as text.", metavar="N", min=1)
    ] = 400,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file, for retention and tiers.", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Estimate the cores, memory and disk that an installation needs, from the figures of docs/performance.md.

    Prints each part with how it comes about, and settings that would refuse this load.

    \b
    Examples:
      nissa size --series 200000
      nissa size --series 1000000 --interval 10s --new-series-per-hour 50000 --config nissa.yaml
      nissa size --series 50000 --samples-per-second 100000 --events-per-second 500 --json
    """

    def work() -> None:
        _size(config, rate or _rate(series, interval), series, new_series, events, event_size, as_json)

    run_command("nissa size", work)


def _rate(series: int, interval: str) -> float:
    """Samples per second of series with one sample per interval. Raises: BadQuery."""
    from nissa.model.errors import BadQuery
    from nissa.model.quantity import Unit, read_quantity

    try:
        interval_ms = read_quantity(interval, Unit.DURATION)
    except ValueError as error:
        raise BadQuery(f"--interval: {error}") from None
    if interval_ms < 1:
        raise BadQuery(f"--interval: expected at least 1ms, got {interval}")
    return series * 1000 / interval_ms


def _size(
    file: Path | None, per_s: float, series: int, new_series: int, events: float, event_bytes: int, as_json: bool
) -> None:
    import msgspec

    from nissa.config.load import load_config
    from nissa.maintenance.sizing import Workload, estimate

    workload = Workload(per_s, series, new_series, events, event_bytes)
    found = estimate(workload, load_config(file, os.environ))
    if as_json:
        print(msgspec.json.encode({"workload": workload, **found.totals, "parts": found}).decode())
        return
    totals = found.totals
    print(f"{per_s:,.0f} samples/s, {series:,} series, {new_series:,} new series/h, {events:,.0f} events/s")
    _print("cores", f"{totals['cores']:.1f}", found.cores, lambda amount: f"{amount:.2f}")
    _print("memory", in_words(totals["memory_bytes"]), found.memory, in_words)
    _print("disk", in_words(totals["disk_bytes"]), found.disk, in_words)
    for setting, value in found.settings.items():
        print(f"change {setting}: {value}")


def _print(what: str, total: str, needs: "tuple[Need, ...]", shown: Callable[[float], str]) -> None:
    print(f"\n{what:<10} {total:>10}")
    for need in needs:
        if need.amount:
            print(f"  {need.part:<8} {shown(need.amount):>10}  {need.because}")


def in_words(amount: float) -> str:
    """Bytes with the unit that fits."""
    place = 0
    while amount >= 1024 and place < len(UNITS) - 1:
        amount, place = amount / 1024, place + 1
    return f"{amount:.1f} {UNITS[place]}"
