"""The ASGI middleware in a real FastAPI application."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from nissa.middleware import AsgiMiddleware

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Recorded:
    """Remembers requests."""

    def __init__(self) -> None:
        self.requests: list[tuple] = []

    def record(self, *request: object) -> None:
        self.requests.append(request)


def test_requests_are_recorded_by_route() -> None:
    """By template, never by path; failures count as 500, are named, and are still the application's."""
    app, recorded = FastAPI(), Recorded()

    @app.get("/orders/{number}")
    async def order(number: int) -> int:
        return 10 // number

    app.add_middleware(AsgiMiddleware, recorder=recorded)

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            assert (await client.get("/orders/5", headers={"traceparent": TRACE})).json() == 2
            assert (await client.get("/secret/4711")).status_code == 404
            with pytest.raises(ZeroDivisionError):
                await client.get("/orders/0")

    asyncio.run(ask())
    found = [(method, route, status, trace, failure) for method, route, status, _, trace, failure in recorded.requests]
    assert found == [
        ("GET", "/orders/{number}", 200, TRACE, ""),
        ("GET", "unrouted", 404, "", ""),
        ("GET", "/orders/{number}", 500, "", "ZeroDivisionError: integer division or modulo by zero"),
    ]
    assert all(duration >= 0 for _, _, _, duration, _, _ in recorded.requests)
