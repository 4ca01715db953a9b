"""Asks an OpenID provider: its discovery document, its keys, and the ID token of a code. Every request has a deadline.

Document and keys are kept for ``KEPT_MS``. A token by a key that is not known has the keys read again, at most once per
``KEYS_AGAIN_MS``, so keys may be rotated at any time. Redirects are not followed.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import orjson

from nissa import __version__
from nissa.access.oidc_identity import Identity, oidc_identity_of, read_claims
from nissa.api.oidc_login import PendingLogin
from nissa.config.oidc import Oidc
from nissa.files.secret_file import SecretFile
from nissa.model.errors import ConfigInvalid, Unauthorized, Unavailable
from nissa.model.units import HOUR_MS, SECOND_MS

KEPT_MS: Final = HOUR_MS
KEYS_AGAIN_MS: Final = SECOND_MS
FAILED_MS: Final = 200
ANSWER_BYTES_MAX: Final = 1 << 20
DISCOVERY: Final = "/.well-known/openid-configuration"
ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")

Document = Mapping[str, Any]


class OidcProvider:
    """The provider of the settings. Lives on the loop."""

    def __init__(self, oidc: Oidc, now_ms: Callable[[], int]) -> None:
        """now_ms: wall clock, Unix milliseconds. Raises: ConfigInvalid without the extra, or for a secret file."""
        try:
            import authlib.oidc.core  # noqa: F401 - an extra, missed at the start and not at the first login
        except ModuleNotFoundError:
            raise ConfigInvalid("api.access.oidc.issuer", "needs authlib: pip install 'nissa[oidc]'") from None
        self._oidc, self._now_ms = oidc, now_ms
        self._secret = SecretFile(oidc.client_secret_file, "api.access.oidc.client_secret_file")
        self._known: tuple[int, Document] | None = None
        self._keys: tuple[int, Document] | None = None
        self._failed: tuple[int, Unavailable] | None = None
        self._lock = asyncio.Lock()

    async def login_address(self, login: PendingLogin) -> str:
        """The address to send a browser to. Raises: Unavailable."""
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        endpoint = str((await self._document())["authorization_endpoint"])
        asked = {
            "response_type": "code",
            "client_id": self._oidc.client_id,
            "redirect_uri": self._oidc.redirect_url,
            "scope": " ".join(self._oidc.scopes),
            "state": login.state,
            "nonce": login.nonce,
            "code_challenge": create_s256_code_challenge(login.verifier),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    async def identity(self, code: str, login: PendingLogin) -> Identity:
        """The user of a code. Raises: Unauthorized, Unavailable."""
        token = await self._id_token(code, login)
        keys, now_s = await self._key_set(KEPT_MS), self._now_ms() // SECOND_MS
        try:
            claims = read_claims(token, keys, self._oidc, login.nonce, now_s)
        except Unauthorized:
            newer = await self._key_set(KEYS_AGAIN_MS)
            if newer is keys:
                raise
            claims = read_claims(token, newer, self._oidc, login.nonce, now_s)
        return oidc_identity_of(claims, self._oidc)

    async def _id_token(self, code: str, login: PendingLogin) -> str:
        oidc = self._oidc
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": oidc.redirect_url,
            "code_verifier": login.verifier,
        }
        self._secret.read_again()
        document, headers = await self._document(), {}
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if self._secret.value and "client_secret_basic" in methods:  # RFC 6749, 2.3.1: both are quoted first
            proof = aiohttp.BasicAuth(quote(oidc.client_id, safe=""), quote(self._secret.text, safe=""))
            headers["Authorization"] = proof.encode()
        else:
            form["client_id"] = oidc.client_id
            if self._secret.value:
                form["client_secret"] = self._secret.text
        status, answer = await self._asked("POST", str(document["token_endpoint"]), form, headers)
        token = answer.get("id_token")
        if status == 200 and isinstance(token, str):
            return token
        reason = str(answer.get("error", f"status {status}"))[:100]
        if status >= 500:
            raise Unavailable(f"the OpenID provider does not answer: {reason}")
        raise Unauthorized(f"the OpenID provider gives no token: {reason}")

    async def _document(self) -> Document:
        async with self._lock:
            now_ms = self._now_ms()
            if self._known is None or not 0 <= now_ms - self._known[0] < KEPT_MS:
                found = await self._fetched(self._oidc.issuer.rstrip("/") + DISCOVERY)
                if found.get("issuer") != self._oidc.issuer:
                    raise Unavailable("the OpenID provider names another issuer (api.access.oidc.issuer)")
                scheme = urlsplit(self._oidc.issuer).scheme
                for name in ENDPOINTS:
                    if urlsplit(str(found.get(name, ""))).scheme not in ("https", scheme):
                        raise Unavailable(f"the OpenID provider has no {name} over {scheme}")
                self._known = now_ms, found
            return self._known[1]

    async def _key_set(self, kept_ms: int) -> Document:
        """The keys, at most so old."""
        address = str((await self._document())["jwks_uri"])
        async with self._lock:
            now_ms = self._now_ms()
            if self._keys is None or not 0 <= now_ms - self._keys[0] < kept_ms:
                self._keys = now_ms, await self._fetched(address)
            return self._keys[1]

    async def _fetched(self, address: str) -> Document:
        """A document. Whoever has waited for a fetch that failed gets its failure, and does not wait once more."""
        if self._failed is not None and 0 <= self._now_ms() - self._failed[0] < FAILED_MS:
            raise self._failed[1]
        try:
            status, found = await self._asked("GET", address)
        except Unavailable as error:
            self._failed = self._now_ms(), error
            raise
        if status != 200:
            raise Unavailable(f"the OpenID provider answers {status} to {urlsplit(address).path}")
        return found

    async def _asked(
        self, method: str, address: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Document]:
        """Status and JSON object of an answer. Raises: Unavailable."""
        timeout = aiohttp.ClientTimeout(total=self._oidc.timeout_ms / SECOND_MS)
        sent = {"Accept": "application/json", "User-Agent": f"Nissa/{__version__}", **(headers or {})}
        where = urlsplit(address).netloc
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
                session.request(method, address, data=form, headers=sent, allow_redirects=False) as answer,
            ):
                content = await answer.content.read(ANSWER_BYTES_MAX + 1)
                while len(content) <= ANSWER_BYTES_MAX and (more := await answer.content.read(ANSWER_BYTES_MAX)):
                    content += more
                found = _json_of(content) if len(content) <= ANSWER_BYTES_MAX else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = (
                "it took too long (api.access.oidc.timeout)"
                if isinstance(error, TimeoutError)
                else type(error).__name__
            )
            raise Unavailable(f"the OpenID provider at {where} does not answer: {reason}") from None
        if not isinstance(found, dict):
            raise Unavailable(f"the OpenID provider at {where} gives no JSON object")
        return answer.status, found


def _json_of(content: bytes) -> Any:
    """The value that JSON names; None where it is no JSON, such as the HTML page of a proxy."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
