"""nissa-ingest: the daemon's command line. It hands settings to the service; nothing heavy loads here."""

import os
import sys
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Annotated, Any

import typer

from nissa.cli.fault import run_command, warning
from nissa.cli.standard_streams import open_missing_streams
from nissa.config.load import load_config
from nissa.config.tree import Config
from nissa.model.secrets import hide_in_urls

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Text = str | None


@app.command()
def ingest(
    config: Annotated[Path | None, typer.Option(help="Settings file (docs/config.md).", metavar="FILE")] = None,
    data_dir: Annotated[Text, typer.Option(help="Data directory. Default: ./nissa-data", metavar="DIR")] = None,
    ingest: Annotated[
        Text, typer.Option(help="Ingest address; port 0: any free port. Default: 127.0.0.1:9470", metavar="HOST:PORT")
    ] = None,
    api: Annotated[
        Text, typer.Option(help="API address; port 0: any free port. Default: 127.0.0.1:9471", metavar="HOST:PORT")
    ] = None,
    durability: Annotated[
        Text,
        typer.Option(help="Durability of acknowledged data: fsync, interval:50ms, os. Default: fsync", metavar="MODE"),
    ] = None,
    capture: Annotated[
        Path | None, typer.Option(help="Also write every received frame to FILE, for `nissa replay`.", metavar="FILE")
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Receive metrics and events, store them, and answer queries.

    Prints one line when it is ready: ready ingest=http://HOST:PORT api=http://HOST:PORT data=DIR. On SIGTERM it
    finishes the ingest requests under way and exits. On SIGHUP it
    reads its scrape entries again. A second process on the same directory does not start.

    \b
    Examples:
      nissa-ingest                                      everything by default, data in ./nissa-data
      nissa-ingest --config nissa.yaml                  settings from a file
      nissa-ingest --ingest :9470 --api 127.0.0.1:0     listen on every interface; the API on any free port
      nissa-ingest --durability interval:100ms          acknowledge sooner; power loss may lose 100 ms
      NISSA_SERIES__ACTIVE_MAX=5000000 nissa-ingest     any setting from the environment

    \b
    Then, in another terminal:
      curl http://127.0.0.1:9471/api/status
      nissa export --match 'nissa_build_info'
    """
    if version:
        _print_version()
        return
    written = {
        "storage.data_dir": data_dir,
        "ingest.listen": ingest,
        "api.listen": api,
        "storage.durability": durability,
    }
    overrides = {path: text for path, text in written.items() if text is not None}
    warn = warning("nissa-ingest")
    run_command("nissa-ingest", lambda: _serve(lambda: load_config(config, os.environ, overrides, warn), capture))


def _print_version() -> None:
    from nissa import __version__

    print(f"nissa {__version__}")


def _serve(read: Callable[[], Config], capture: Path | None) -> None:
    config = read()
    # Loaded here: wrong settings are refused before the service and its libraries are.
    from nissa.service.daemon import run_daemon

    _log_to_standard_error()
    raise SystemExit(run_daemon(config, capture, read))


def _log_to_standard_error() -> None:
    """Standard output carries the ready line only; the log is one logfmt line per event on standard error."""
    import structlog

    from nissa.service.lossy_log import lossy_loggers

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _hide_secrets,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False),
        ],
        logger_factory=lossy_loggers(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _hide_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide passwords and tokens of URLs in a log line, also in a traceback."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = hide_in_urls(value)
    return event


def main() -> None:
    """Entry point of ``nissa-ingest``."""
    open_missing_streams()
    app()


if __name__ == "__main__":
    main()
