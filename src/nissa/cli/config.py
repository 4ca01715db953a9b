"""nissa config: settings checked and shown without starting anything."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import run_command, warning
from nissa.config.check import setting_text, written_leaves
from nissa.config.load import load_config
from nissa.config.names import quantities, written_path
from nissa.config.tree import Config
from nissa.model.secrets import hide_secrets

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Check a settings file, or show every setting in force. The reference is docs/config.md.",
)

FilePath = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="Settings file; without it, defaults and environment.")
]


@app.command()
def check(file: FilePath = None) -> None:
    """Check whether nissa-ingest would start with these settings. Exit code 0: yes; 2: no, with the path of the fault.

    \b
    Examples:
      nissa config check nissa.yaml
      NISSA_STORAGE__DURABILITY=interval:50ms nissa config check
    """
    run_command("nissa config check", lambda: _check(file))


@app.command()
def show(
    file: FilePath = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only settings that differ from their defaults.")] = False,
) -> None:
    """Print the settings in force as YAML that `nissa-ingest --config` reads back.

    Passwords and tokens, in addresses too, are shown as <secret>: write them in again, or name files of secrets.

    \b
    Examples:
      nissa config show > nissa.yaml         a complete file to start from
      nissa config show nissa.yaml --changed
    """
    run_command("nissa config show", lambda: _show(file, changed))


def _check(file: Path | None) -> None:
    config = load_config(file, os.environ, warn=warning("nissa config check"))
    _read_rules(config)
    _read_alerting(config)
    defaults = written_leaves(Config())
    changed = sum(value != defaults[path] for path, value in written_leaves(config).items())
    print(f"ok: {changed} of {len(defaults)} settings differ from their defaults")


def _read_rules(config: Config) -> None:
    """Read the files of rules and objectives, as a start does. Raises: ConfigInvalid."""
    from nissa.service.watching import is_watching

    if is_watching(config):
        from nissa.service.objective_files import read_burn_groups  # loads the parser of PromQL
        from nissa.service.rule_files import read_rule_groups, text_limits

        read_rule_groups(config.rules, text_limits(config.alerting))
        read_burn_groups(config.slo)


def _read_alerting(config: Config) -> None:
    """Read routing with the texts of its receivers, as a start does. Raises: ConfigInvalid."""
    from nissa.service.configured_alerting import is_configured

    if is_configured(config.alerting):
        from nissa.service.configured_alerting import read_alerting  # loads what channels need

        warn = warning("nissa config check")
        for text in read_alerting(config.alerting)[0].warnings:
            warn(text)


def _show(file: Path | None, changed: bool) -> None:
    config = load_config(file, os.environ, warn=warning("nissa config show"))
    print(render(config, changed_only=changed), end="")


def render(config: Config, *, changed_only: bool) -> str:
    """YAML of ``config``, in the order of the tree."""
    defaults = written_leaves(Config())
    numbers = {written_path(path) for path in quantities()}
    lines: list[str] = []
    section: list[str] = []
    for path, value in written_leaves(config).items():
        if changed_only and value == defaults[path]:
            continue
        *heads, name = path.split(".")
        if heads != section:
            same = next(
                (depth for depth, pair in enumerate(zip(heads, section, strict=False)) if pair[0] != pair[1]),
                len(section),
            )
            lines.extend(f"{'  ' * depth}{heads[depth]}:" for depth in range(same, len(heads)))
            section = heads
        lines.append(f"{'  ' * len(heads)}{name}: {value if path in numbers else _scalar(hide_secrets(value))}")
    return "".join(line + "\n" for line in lines)


def _scalar(value: object) -> str:
    """``value`` as a YAML scalar; a text in double quotes, which YAML reads as JSON does."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else setting_text(value)
