"""nissa doctor: looks at a running installation and says what to change."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import OUTSIDE, run_command


def doctor(
    api: Annotated[str, typer.Option(help="The API of the daemon.", metavar="URL")] = "http://127.0.0.1:9471",
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="The data directory, where the daemon does not say it.", metavar="DIR"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Look at a running installation: its state, disk, memory, clock, limits, refusals, sinks, rights, open ports.

    Each finding is an error (data is refused, lost or not seen) or a warning, with the setting or command that changes
    it. Changes nothing. Run it on the machine of the daemon, as its user or as root, to see the directory too.

    Exit code 0: nothing to change. 1: there are findings. 2: invalid arguments.

    \b
    Examples:
      nissa doctor
      nissa doctor --data-dir /var/lib/nissa
      nissa doctor --api https://nissa.lab.example:9471 --json
    """
    run_command("nissa doctor", lambda: _doctor(api, data_dir, as_json))


def _doctor(api: str, data_dir: Path | None, as_json: bool) -> None:
    import msgspec
    from msgspec.structs import replace

    from nissa import __version__
    from nissa.cli.doctor_checks import advise
    from nissa.cli.doctor_facts import collect
    from nissa.cli.text_table import printable
    from nissa.model.secrets import hide_in_urls

    advice = advise(collect(api, data_dir), __version__)
    for found in advice:
        one = replace(found, finding=hide_in_urls(found.finding), remedy=hide_in_urls(found.remedy))
        if as_json:
            print(msgspec.json.encode(one).decode())
        else:
            print(f"{one.level:<8} {printable(one.subject)}: {printable(one.finding)}")
            print(f"         -> {printable(one.remedy)}")
    if advice:
        sys.exit(OUTSIDE)
    if not as_json:
        print("ok: nothing to change")
