"""Parameters of a query: from the query string and, by POST, from a form in the body. Both count, as in Prometheus."""

from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from nissa.model.errors import BadQuery
from nissa.model.matcher import Selector
from nissa.model.selector import read_selectors
from nissa.query.times import read_moment, read_range, read_start

FORM_BYTES_MAX = 1024 * 1024
FIELDS_MAX = 1_000
INTEGER_MAX = 2**31 - 1


class Parameters(msgspec.Struct, frozen=True):
    """Name and value pairs in the order they were written. now_ms: when the request came, for relative times."""

    pairs: tuple[tuple[str, str], ...]
    now_ms: int

    def text(self, name: str, default: str = "") -> str:
        """The first value of ``name``."""
        return next((value for key, value in self.pairs if key == name), default)

    def texts(self, name: str) -> list[str]:
        """All values of ``name``."""
        return [value for key, value in self.pairs if key == name]

    def count(self, name: str, default: int = 0) -> int:
        """A whole number from 0. Raises BadQuery."""
        text = self.text(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= INTEGER_MAX):
            raise BadQuery(f"invalid parameter {name!r}: {text[:40]!r} is not a whole number from 0 to {INTEGER_MAX}")
        return int(text)

    def selectors(self, *, needed: bool) -> tuple[Selector, ...]:
        """The selectors of ``match[]`` (also written ``match``). Raises BadQuery."""
        texts = self.texts("match[]") + self.texts("match")
        if needed and not texts:
            raise BadQuery("no match[] parameter provided")
        return read_selectors(texts)

    def interval_ms(self) -> tuple[int, int]:
        """``start`` (or ``since``) and ``end``, both inclusive, as a half-open interval. Raises BadQuery."""
        return read_range(read_start(self.text("start"), self.text("since")), self.text("end"), self.now_ms)

    def moment_ms(self, name: str) -> int:
        """A time that must be given. Raises BadQuery."""
        return read_moment(self.text(name), name, self.now_ms)


async def read_parameters(request: Request, now_ms: int) -> Parameters:
    """Parameters of ``request``. Raises BadQuery for a form that is too long or cannot be read."""
    pairs = _parse(request.scope["query_string"], "query string")
    if request.method == "POST":
        pairs = _parse(await _form_of(request), "form") + pairs
    return Parameters(tuple(pairs), now_ms)


async def read_form(request: Request, now_ms: int) -> Parameters:
    """Parameters of the form in the body alone. Raises BadQuery for one that is too long or cannot be read."""
    return Parameters(tuple(_parse(await _form_of(request), "form")), now_ms)


async def read_body(request: Request, bytes_max: int = FORM_BYTES_MAX, setting: str = "") -> bytes:
    """The body of ``request``. setting: that limits it, for the message. Raises BadQuery for one that is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise BadQuery(f"body is over the limit of {bytes_max} bytes" + (f" ({setting})" if setting else ""))
    return bytes(body)


async def _form_of(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await read_body(request)
    if body and kind != "application/x-www-form-urlencoded":
        raise BadQuery(f"content type {kind[:80]!r} cannot be read: expected application/x-www-form-urlencoded")
    return body


def _parse(data: bytes, what: str) -> list[tuple[str, str]]:
    try:
        text = data.decode()
        fields = text.count("&") + 1
        if fields > FIELDS_MAX:
            raise BadQuery(f"{what}: {fields} parameters are over the limit of {FIELDS_MAX}")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as error:
        raise BadQuery(f"{what} cannot be read: {error}") from None
