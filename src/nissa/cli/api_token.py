"""The API token of commands that ask a daemon: ``nissa --token-file FILE …``, or the variable ``NISSA_TOKEN``."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

VARIABLE: Final = "NISSA_TOKEN"

_chosen: Final[list[Path]] = []  # of this process


def _remember(path: Path | None) -> Path | None:
    _chosen[:] = [] if path is None else [path]
    return path


TokenFile = Annotated[
    Path | None,
    typer.Option(
        callback=_remember,
        help=f"File with the API token, of commands that ask a daemon. Default: ${VARIABLE}",
        metavar="FILE",
    ),
]


def token_headers() -> dict[str, str]:
    """The header that proves who asks; none without a token. Raises: ConfigInvalid where the file cannot be read."""
    from nissa.files.secret_file import SecretFile

    token = SecretFile(str(_chosen[0]), "--token-file").text if _chosen else os.environ.get(VARIABLE, "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}
