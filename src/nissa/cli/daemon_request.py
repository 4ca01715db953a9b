"""Asks the API of a running daemon, for commands that need one."""

import http.client
import json
from collections.abc import Mapping, Sequence
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

from nissa.cli.api_login import proof_headers
from nissa.model.errors import BadQuery, Unavailable

FORM = "application/x-www-form-urlencoded"
Form = Mapping[str, str] | Sequence[tuple[str, str]] | None


def ask_daemon(url: str, path: str, form: Form, timeout_s: float, answer_bytes_max: int) -> bytes:
    """The body of an answer with a status of success.

    url: ``http://HOST:PORT`` of the API, or https. form: parameters of a POST; None: a GET. timeout_s: of connecting
    and of each read. answer_bytes_max: of an answer; what is beyond is not read. Raises: BadQuery, Unavailable.
    """
    return send_request(url, path, form, timeout_s, answer_bytes_max, proof_headers(url, timeout_s))[0]


def send_request(
    url: str, path: str, form: Form, timeout_s: float, answer_bytes_max: int, headers: Mapping[str, str]
) -> tuple[bytes, dict[str, str]]:
    """The same with these headers. Returns: the body, and the cookies that the answer sets."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadQuery(f"expected http://HOST:PORT or https://HOST:PORT of a daemon's API, got {url!r}")
    if "@" in parts.netloc:
        raise BadQuery("the address of the API has a user or password: name a token with --token-file, or use --user")
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname, parts.port, timeout=timeout_s)
    try:
        if form is None:
            connection.request("GET", path, headers=dict(headers))
        else:
            connection.request("POST", path, urlencode(form), {"Content-Type": FORM, **headers})
        answer = connection.getresponse()
        status, content = answer.status, answer.read(answer_bytes_max)
        reason = "" if status < 300 else f"{url} answers {status}: {json.loads(content).get('error', '')}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unavailable(f"no answer from {url}: {error}") from error
    finally:
        connection.close()
    if reason:
        raise BadQuery(reason) if status in (400, 404) else Unavailable(reason)
    cookies = SimpleCookie(answer.headers.get("set-cookie", ""))
    return content, {name: one.value for name, one in cookies.items()}
