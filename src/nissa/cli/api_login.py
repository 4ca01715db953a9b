"""The user of commands that ask a daemon: ``nissa --user NAME …`` opens a session, which ends with the command."""

import http.client
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from nissa.cli.api_token import token_headers
from nissa.model.errors import NissaError

LOGIN_BYTES_MAX: Final = 64 * 1024
COOKIE: Final = "nissa_session"

_user: Final[list[str]] = []  # of this process
_contexts: Final[list[typer.Context]] = []  # of nissa itself, which ends behind the command
_password_file: Final[list[Path]] = []
_sessions: Final[dict[str, dict[str, str]]] = {}  # headers by address of the API


def _remember_user(context: typer.Context, name: str) -> str:
    _user[:] = [name] if name else []
    _contexts[:] = [context]
    return name


def _remember_file(path: Path | None) -> Path | None:
    _password_file[:] = [] if path is None else [path]
    return path


UserName = Annotated[
    str,
    typer.Option(
        callback=_remember_user,
        help="Log in as this user, of commands that ask a daemon.",
        metavar="USER",
        show_default=False,
    ),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        callback=_remember_file, help="Read the password of --user from FILE; without it, ask for it.", metavar="FILE"
    ),
]


def proof_headers(url: str, timeout_s: float) -> Mapping[str, str]:
    """Headers that prove to the API at ``url`` who asks: a token, or the session of a login; none without either.

    Raises: ConfigInvalid for a file that cannot be read; BadQuery, Unavailable where the login fails.
    """
    headers = token_headers()
    if headers or not _user:
        return headers
    if url not in _sessions:
        _sessions[url] = _log_in(url, timeout_s)
        _contexts[0].call_on_close(lambda: _log_out(url, timeout_s))
    return _sessions[url]


def _log_in(url: str, timeout_s: float) -> dict[str, str]:
    import orjson

    from nissa.cli.daemon_request import send_request

    form = {"user": _user[0], "password": _read_password()}
    content, cookies = send_request(url, "/api/v1/login", form, timeout_s, LOGIN_BYTES_MAX, {})
    return {"Cookie": f"{COOKIE}={cookies[COOKIE]}", "X-CSRF-Token": orjson.loads(content)["data"]["csrf_token"]}


def _log_out(url: str, timeout_s: float) -> None:
    from nissa.cli.daemon_request import send_request

    with suppress(NissaError, OSError, http.client.HTTPException):  # it ends by itself after some hours
        send_request(url, "/api/v1/logout", {}, timeout_s, LOGIN_BYTES_MAX, _sessions.pop(url))


def _read_password() -> str:
    if not _password_file:
        text: str = typer.prompt(f"Password of {_user[0]}", hide_input=True, err=True)
        return text
    from nissa.files.secret_file import SecretFile

    return SecretFile(str(_password_file[0]), "--password-file").text
