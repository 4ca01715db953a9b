"""nissa routes: checks an Alertmanager configuration file, and shows where alerts go."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nissa.cli.fault import run_command

if TYPE_CHECKING:
    from nissa.alerting.route_tree import RouteNode

INDENT: Final = "  "

app = typer.Typer(
    no_args_is_help=True,
    help="Check an Alertmanager configuration file, and show where alerts go.",
    rich_markup_mode=None,
)
File = Annotated[Path, typer.Argument(help="Alertmanager configuration file.", metavar="FILE")]


@app.command("check")
def check_routes(file: File) -> None:
    """Check a file as the daemon does when it starts or reloads."""

    def work() -> None:
        from nissa.alerting.routing import read_routing_file
        from nissa.notifiers.dispatcher import notifiers_of

        routing = read_routing_file(file)
        notifiers_of(routing)  # reads the texts
        for warning in routing.warnings:
            typer.echo(warning, err=True)
        counts = (sum(1 for _ in routing.root.nodes()), len(routing.receivers), len(routing.inhibit_rules))
        print("{}: {} routes, {} receivers, {} inhibit rules".format(file, *counts))

    run_command("nissa routes check", work)


@app.command("show")
def show_routes(file: File) -> None:
    """Print the tree of routes with their receivers."""

    def work() -> None:
        from nissa.alerting.routing import read_routing_file

        _print(read_routing_file(file).root, 0)

    run_command("nissa routes show", work)


@app.command("test")
def test_routes(
    file: File,
    labels: Annotated[list[str], typer.Argument(help="Labels of an alert.", metavar="NAME=VALUE...")],
) -> None:
    """Print the receivers that an alert with these labels goes to, separated by commas."""

    def work() -> None:
        from nissa.alerting.routing import read_routing_file
        from nissa.model.errors import BadQuery

        pairs = [text.partition("=") for text in labels]
        wrong = [text for text, (name, sign, _) in zip(labels, pairs, strict=True) if not (name and sign)]
        if wrong:
            raise BadQuery(f"expected NAME=VALUE, got {wrong[0][:80]!r}")
        found = read_routing_file(file).root.match({name: value for name, _, value in pairs})
        print(",".join(route.receiver for route in found))

    run_command("nissa routes test", work)


def _print(route: "RouteNode", depth: int) -> None:
    continues = ", continue" if route.continues else ""
    print(f"{INDENT * depth}{route.matchers}  receiver: {route.receiver}{continues}")
    for child in route.routes:
        _print(child, depth + 1)
