"""nissa mode: shows the mode of a daemon, or forces one."""

from typing import Annotated

import typer

from nissa.cli.fault import run_command

TIMEOUT_S = 30.0
ANSWER_BYTES_MAX = 64 * 1024


def mode(
    name: Annotated[
        str,
        typer.Argument(help="normal, conservative, emergency, or auto; none: show the mode in force.", metavar="MODE"),
    ] = "",
    api: Annotated[str, typer.Option(help="The API of the daemon.", metavar="URL")] = "http://127.0.0.1:9471",
    reason: Annotated[str, typer.Option(help="Why, for the event that is stored.", metavar="TEXT")] = "",
) -> None:
    """Show the mode of a running daemon, or force one until it is released with auto or the daemon restarts.

    In conservative and emergency mode the daemon gives up work that can wait: it drops events of the categories debug
    and trace, reads buses in small batches, pauses merges and the scrub, and refuses expensive queries.

    \b
    Examples:
      nissa mode
      nissa mode conservative --reason "migration of the disk"
      nissa mode auto
    """
    run_command("nissa mode", lambda: _mode(name, api, reason))


def _mode(name: str, api: str, reason: str) -> None:
    import orjson

    from nissa.cli.daemon_request import ask_daemon

    body = {"mode": name, "reason": reason} if name else None
    found = orjson.loads(ask_daemon(api, "/api/v1/mode", body, TIMEOUT_S, ANSWER_BYTES_MAX))["data"]
    forced = " (forced)" if found["forced"] else ""
    print(f"mode    {found['mode']}{forced}")
    if found["reason"]:
        print(f"reason  {found['reason']}")
    values = ", ".join(f"{what} {percent} %" for what, percent in found["load_percent"].items())
    print(f"load    {values}")
