"""Posting to a sink: credentials, and answers that no honest server gives."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nissa.config.sinks import RemoteWriteSink, SinkBasicAuth, SinkTls
from nissa.forwarders.sink_client import ANSWER_BYTES_MAX, SinkAnswer, SinkClient, SinkUnreachable
from oracle.sink import SinkReply, StubSink

BODY = b"body"
HEADERS = {"Content-Type": "application/x-protobuf"}


def post(config: RemoteWriteSink) -> SinkAnswer:
    """The answer to one request."""

    async def scenario() -> SinkAnswer:
        client = SinkClient(config, "sinks.s")
        try:
            return await client.post(BODY, HEADERS)
        finally:
            await client.close()

    return asyncio.run(scenario())


def fault(config: RemoteWriteSink) -> SinkUnreachable:
    """Return the fault of the address."""
    with pytest.raises(SinkUnreachable) as raised:
        post(config)
    return raised.value


def config_for(url: str, **changes: Any) -> RemoteWriteSink:
    """Settings with a short time limit."""
    return msgspec.structs.replace(RemoteWriteSink(url=url, timeout_ms=20_000), **changes)


def test_requests_have_credentials_and_headers(stub: StubSink, tmp_path: Path) -> None:
    """Files of secrets are read again for each request; an own header is sent along."""
    stub.reply = lambda: SinkReply(204)
    secret = tmp_path / "secret"
    secret.write_text("one\n")
    bearer = config_for(stub.url, bearer_token_file=str(secret), headers={"X-Scope-OrgID": "team"})
    post(bearer)
    secret.write_text("two\n")
    post(bearer)
    post(config_for(stub.url, basic_auth=SinkBasicAuth("user", str(secret))))
    assert [one["Authorization"] for one in stub.requests] == ["Bearer one", "Bearer two", "Basic dXNlcjp0d28="]
    assert stub.requests[0]["X-Scope-OrgID"] == "team"
    assert stub.requests[0]["User-Agent"].startswith("Nissa/")
    secret.unlink()
    found = fault(bearer)
    assert (found.blocked, str(found)) == (True, f"sinks.s.bearer_token_file: {secret}: No such file or directory")


def test_redirects_are_not_followed(stub: StubSink) -> None:
    """Redirects to another host and to the same are not followed."""
    for status in (301, 302, 303, 307, 308):
        stub.reply = lambda status=status: SinkReply(status, {"Location": stub.url + "/other"})
        answer = post(config_for(stub.url))
        assert answer.status == status
        assert str(answer).startswith(f"the sink redirects to '{stub.url}/other' with HTTP status {status}")
    assert set(stub.paths) == {"/api/v1/write"}


def test_answers_are_shown_in_part(stub: StubSink) -> None:
    """The beginning of an answer is shown on one line."""
    stub.reply = lambda: SinkReply(400, body=b"out of\norder \x1b[31m" + b"x" * 5_000)
    answer = post(config_for(stub.url))
    assert str(answer).startswith("the sink answers HTTP status 400: out of order  [31mxxx")
    assert len(answer.text) <= 300


def raw_server(answer: Callable[[socket.socket], None]) -> tuple[str, socket.socket]:
    """A server that answers one connection with bytes of its own making."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        link, _ = listener.accept()
        with closing(link):
            link.recv(65_536)
            answer(link)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/", listener


def test_an_endless_answer_is_cut_off() -> None:
    """Its status counts; the rest is not read."""
    sent = []

    def endless(link: socket.socket) -> None:
        link.sendall(b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                link.sendall(b"1000\r\n" + b"y" * 4_096 + b"\r\n")
                sent.append(4_096)
        except OSError:
            return

    url, listener = raw_server(endless)
    with closing(listener):
        answer = post(config_for(url))
    assert (answer.status, answer.text[:3]) == (400, "yyy")
    assert sum(sent) >= ANSWER_BYTES_MAX // 2


def test_endless_headers_are_refused() -> None:
    """A header without end is no answer."""

    def endless(link: socket.socket) -> None:
        link.sendall(b"HTTP/1.1 200 OK\r\nX-Long: " + b"z" * 100_000)

    url, listener = raw_server(endless)
    with closing(listener):
        assert not fault(config_for(url)).blocked


def test_faults_have_words(stub: StubSink) -> None:
    """Nobody there, no name, no answer, no TLS, a certificate file that is missing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        assert str(fault(config_for(f"http://127.0.0.1:{port}/", timeout_ms=200))) == (
            "no answer within 0.2s (sinks.s.timeout)"
        )
    assert str(fault(config_for(f"http://127.0.0.1:{port}/"))) == (
        f"no connection to 127.0.0.1:{port}: Connection refused"
    )
    assert "not known" in str(fault(config_for("http://no-such-host.invalid/")))
    plain = fault(config_for(stub.url.replace("http:", "https:")))
    assert not plain.blocked
    assert str(plain).startswith("no TLS with 127.0.0.1:")
    missing = fault(config_for("https://127.0.0.1:1/", tls=SinkTls(ca_file="/no/such/file")))
    assert missing.blocked
    assert str(missing) == "sinks.s.tls.ca_file: /no/such/file: No such file or directory"
