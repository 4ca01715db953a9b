"""nissa delete: deletes series by selector and time range, in a directory or by a daemon."""

from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import existing, run_command

TIMEOUT_S = 60.0
ANSWER_BYTES_MAX = 1024 * 1024


def delete(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    match: Annotated[list[str] | None, typer.Option(help="Selector, as in PromQL; may be repeated.")] = None,
    start: Annotated[
        str, typer.Option(help="Start of the range, included: RFC 3339, Unix seconds, or -1h.", metavar="TIME")
    ] = "",
    end: Annotated[str, typer.Option(help="End of the range, included.", metavar="TIME")] = "",
    api: Annotated[
        str, typer.Option(help="Delete by a running daemon: http://HOST:PORT of its API.", metavar="URL")
    ] = "",
) -> None:
    """Delete samples and windows of the selected series, in a time range or all of them.

    Data received later is not affected. Queries leave out deleted rows at once; files contain them until they are
    merged or expire. A deletion cannot be undone. If a daemon runs on the directory, use --api.


    \b
    Examples:
      nissa delete --match 'up{job="old"}'
      nissa delete --match debug_value --start 2026-01-01 --end 2026-01-02T12:00:00Z
      nissa delete --match '{user="17"}' --api http://127.0.0.1:9471
    """
    run_command("nissa delete", lambda: _delete(directory, match or [], (start, end), api))


def _delete(directory: Path, match: list[str], span: tuple[str, str], api: str) -> None:
    # Loaded here: numpy and the store are not for --help.
    from nissa.ingest.deletion import delete_in_directory
    from nissa.model.errors import BadQuery, DirectoryLocked, Unavailable
    from nissa.model.selector import read_selectors
    from nissa.query.times import read_range
    from nissa.service.clock import wall_ms

    if not match:
        raise BadQuery("--match SELECTOR is required")
    selectors, interval_ms = read_selectors(match), read_range(*span, wall_ms())
    if api:
        _ask(api, match, span)
        return
    try:
        delete_in_directory(existing(directory), selectors, interval_ms, wall_ms)
    except DirectoryLocked as error:
        raise Unavailable(f"{error}; give --api http://HOST:PORT of its API") from error


def _ask(url: str, match: list[str], span: tuple[str, str]) -> None:
    """Have the daemon behind ``url`` do it. Raises: BadQuery, Unavailable."""
    from nissa.cli.daemon_request import ask_daemon

    words = [("match[]", one) for one in match]
    words += [(name, text) for name, text in zip(("start", "end"), span, strict=True) if text]
    ask_daemon(url, "/api/v1/admin/delete_series", words, TIMEOUT_S, ANSWER_BYTES_MAX)
