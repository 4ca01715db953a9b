"""nissa config: settings checked and shown without starting anything."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import run_command
from nissa.config.check import leaves, written
from nissa.config.load import load_config
from nissa.config.tree import Config

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Check a settings file, or show every setting in force. The reference is docs/config.md.",
)

FilePath = Annotated[Path | None, typer.Argument(metavar="FILE", help="nissa.yaml; none: defaults and environment.")]


@app.command()
def check(file: FilePath = None) -> None:
    """Say whether nissa-ingest would start with these settings. Exit code 0: yes; 2: no, and the path that is wrong.

    \b
    Examples:
      nissa config check nissa.yaml
      NISSA_STORAGE__DURABILITY=interval:50 nissa config check
    """
    run_command("nissa config check", lambda: _check(file))


@app.command()
def show(
    file: FilePath = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only what differs from the defaults.")] = False,
) -> None:
    """Print the settings in force as YAML that `nissa-ingest --config` reads back.

    \b
    Examples:
      nissa config show > nissa.yaml         a complete file to start from
      nissa config show nissa.yaml --changed
    """
    run_command("nissa config show", lambda: print(render(load_config(file, os.environ), changed_only=changed), end=""))


def _check(file: Path | None) -> None:
    config = load_config(file, os.environ)
    defaults = leaves(Config())
    changed = sum(value != defaults[path] for path, value in leaves(config).items())
    print(f"ok: {changed} of {len(defaults)} settings differ from their defaults")


def render(config: Config, *, changed_only: bool) -> str:
    """YAML of ``config``, in the order of the tree."""
    defaults = leaves(Config())
    lines: list[str] = []
    section = ""
    for path, value in leaves(config).items():
        if changed_only and value == defaults[path]:
            continue
        head, name = path.split(".")
        if head != section:
            section = head
            lines.append(f"{head}:")
        lines.append(f"  {name}: {_scalar(value)}")
    return "".join(line + "\n" for line in lines)


def _scalar(value: object) -> str:
    """``value`` as a YAML scalar; a text in double quotes, which YAML reads as JSON does."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else written(value)
