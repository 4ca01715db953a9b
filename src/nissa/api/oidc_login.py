"""One login by an OpenID provider, without state here: all of it follows from the cookie of the browser.

    cookie nissa_oidc   ISSUED_MS.RANDOM        HttpOnly, SameSite=Lax: it comes back with the redirect of the provider
    state               HMAC(key, "state " + cookie)        binds the answer to the browser that asked
    nonce               HMAC(key, "nonce " + cookie)        binds the ID token to this login
    code verifier       HMAC(key, "verifier " + cookie)     binds the code to whoever asked for it (PKCE)

The key is of this process: a login that a restart interrupts is begun again. Nobody can fill a memory with logins.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from typing import Final

import msgspec

from nissa.model.errors import Unauthorized
from nissa.model.units import MINUTE_MS

COOKIE: Final = "nissa_oidc"
LASTS_MS: Final = 10 * MINUTE_MS
COOKIE_CHARACTERS_MAX: Final = 100


class PendingLogin(msgspec.Struct, frozen=True):
    """Secrets that a login sends to the provider and expects back."""

    cookie: str
    state: str
    nonce: str
    verifier: str


class PendingLogins:
    """Logins of this process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def begin(self, now_ms: int) -> PendingLogin:
        """A new login."""
        return self._login(f"{now_ms}.{secrets.token_urlsafe(32)}")

    def found(self, cookie: str, state: str, now_ms: int) -> PendingLogin:
        """The login of a browser that comes back. Raises: Unauthorized for another one, or one that is too old."""
        issued, _, rest = cookie[:COOKIE_CHARACTERS_MAX].partition(".")
        if not (rest and issued.isascii() and issued.isdigit()):
            raise Unauthorized("this browser has begun no login here")
        login = self._login(cookie)
        if not hmac.compare_digest(login.state.encode(), state.encode("utf-8", "replace")):
            raise Unauthorized("the answer belongs to another login (state)")
        if not 0 <= now_ms - int(issued) <= LASTS_MS:
            raise Unauthorized("the login took too long; begin it again")
        return login

    def _login(self, cookie: str) -> PendingLogin:
        return PendingLogin(cookie, *(self._derived(purpose, cookie) for purpose in ("state", "nonce", "verifier")))

    def _derived(self, purpose: str, cookie: str) -> str:
        digest = hmac.digest(self._key, f"{purpose} {cookie}".encode("utf-8", "replace"), "sha256")
        return urlsafe_b64encode(digest).rstrip(b"=").decode()
