"""Security headers around any application."""

import asyncio

from nissa.api.headers import SecurityHeaders


def test_headers_are_added_to_what_the_application_says():
    """The application's own headers stay, bodies pass unchanged."""
    sent: list[dict[str, object]] = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b"hello"})

    async def send(message):
        sent.append(message)

    asyncio.run(SecurityHeaders(app)({"type": "http"}, None, send))
    headers = dict(sent[0]["headers"])
    assert headers[b"x-own"] == b"1"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert sent[1]["body"] == b"hello"
