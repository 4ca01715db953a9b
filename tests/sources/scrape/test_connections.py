"""Connections to targets: they serve one request after the other, and every shape of answer."""

import asyncio

from nissa.config.scrape_configs import HttpClient
from nissa.model.errors import SourceFailed
from nissa.sources.scrape.fetch import Client, TargetAnswer, open_session


def served(
    *connections: list[bytes], asks: int, bytes_max: int = 1 << 20
) -> tuple[list[TargetAnswer | str], list[int]]:
    """Answers to so many requests, or the words of their faults, and how many requests each connection got.

    connections: what a server answers on its connections in turn; the last one is used again. It closes one that has
    nothing more to answer.
    """
    counts: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(counts)
        counts.append(0)
        for text in connections[min(number, len(connections) - 1)]:
            await reader.readuntil(b"\r\n\r\n")
            counts[number] += 1
            writer.write(text)
        writer.close()

    async def scenario() -> list[TargetAnswer | str]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found: list[TargetAnswer | str] = []
        async with server, open_session() as session:
            client = Client(session, HttpClient(), "")
            for _ in range(asks):
                try:
                    found.append(await client.get(f"http://127.0.0.1:{port}/", {}, 5, 1 << 20))
                except SourceFailed as error:
                    found.append(str(error))
        return found

    return asyncio.run(scenario()), counts


def test_connections_stay_open() -> None:
    """A connection serves one request after the other; one that the target closed meanwhile is replaced unnoticed."""
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n"
    answers, counts = served([one] * 3, asks=7)
    assert [answer.body if isinstance(answer, TargetAnswer) else answer for answer in answers] == [b"a 1\n"] * 7
    assert sum(counts) == 7
    assert max(counts) == 3
    answers, counts = served([one.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")] * 2, asks=2)
    assert counts == [1, 1]


def test_shapes_of_answers() -> None:
    """Chunks, an interim answer, an end by close, an empty body are read; truncated and other answers are faults."""
    shapes = {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na \r\n2\r\n1\n\r\n0\r\n\r\n": b"a 1\n",
        b"HTTP/1.1 100 Continue\r\nContent-Type: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n": b"a 1\n",
        b"HTTP/1.0 200 OK\r\n\r\na 1\n": b"a 1\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n": b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na 1\n": "the connection ended before the answer was complete",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\na 1\n": "the connection ended before",
        b"SSH-2.0-OpenSSH\r\n": "the answer is not HTTP",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n": "another protocol",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000: "the headers of the answer have more than",
        b"": "the target closes the connection without an answer",
    }
    for text, expected in shapes.items():
        (answer,), _ = served([text], asks=1)
        if isinstance(expected, bytes):
            assert isinstance(answer, TargetAnswer), text[:80]
            assert (answer.body, answer.content_type) == (expected, "")
        else:
            assert isinstance(answer, str), text[:80]
            assert expected in answer
