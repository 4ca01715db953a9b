"""Addresses to listen on."""

import pytest

from nissa.config.listen import Listen, parse_listen
from nissa.model.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9470", "127.0.0.1", 9470),
        ("localhost:0", "localhost", 0),
        ("[::1]:65535", "::1", 65535),
        (":1", "::", 1),
        ("0.0.0.0:1", "0.0.0.0", 1),
    ],
)
def test_addresses_are_read_and_written(text: str, host: str, port: int) -> None:
    """Names, IPv4, bracketed IPv6 and every interface; the text form reads back."""
    listen = parse_listen(text, "ingest.listen")
    assert listen == Listen(host, port)
    assert parse_listen(str(listen), "x") == listen


@pytest.mark.parametrize(
    "text", ["", "9470", "host", "host:", "host:x", "::1:80", "h:65536", "h:1 ", "http://h:1", "a" * 300 + ":1"]
)
def test_what_is_not_an_address_is_refused_by_path(text: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigInvalid) as caught:
        parse_listen(text, "api.listen")
    assert caught.value.path == "api.listen"
