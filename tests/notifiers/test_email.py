"""E-mail, to a server of aiosmtpd that can refuse."""

import asyncio
import email
import email.policy
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from nissa.config.receivers import EmailConfig
from nissa.model.errors import ConfigInvalid
from nissa.notifiers.email import EmailNotifier
from nissa.notifiers.notifier import NotDelivered
from oracle.messages_out import RESOLVED, a_message, an_alert
from oracle.ports import free_port


class Mailbox:
    """A handler of aiosmtpd: keeps mails; answers RCPT and DATA as a test sets it."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.rcpt = self.data = ""
        self.user = b""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.rcpt:
            return self.rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        if self.data:
            return self.data
        self.mails.append((envelope, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 OK"

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        self.user = data.login + b":" + data.password
        success = data.password == b"word"
        return AuthResult(success=success, handled=success)


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """A running server and its address."""
    box = Mailbox()
    port, options = free_port(), {"authenticator": box.authenticate, "auth_require_tls": False}
    controller = Controller(box, hostname="127.0.0.1", port=port, **options)
    controller.start()
    yield box, f"127.0.0.1:{port}"
    controller.stop(no_assert=True)


def config_for(address: str, **more: Any) -> EmailConfig:
    fields = {"to": "a@example.org, b@example.org", "from_": "nissa@example.org", "require_tls": False}
    return EmailConfig(**{**fields, "smarthost": address, **more})


def send(config: EmailConfig, *messages: Any) -> None:
    async def work() -> None:
        notifier = EmailNotifier(config, "receivers.team.email[0]")
        for one in messages:
            await notifier.send(one)

    asyncio.run(work())


def test_a_mail_has_text_and_html_and_a_thread(mailbox: tuple[Mailbox, str]) -> None:
    """Mails of a group refer to one thread; a label cannot add a header; HTML is escaped."""
    box, address = mailbox
    evil = an_alert(instance="x\r\nBcc: c@example.org", html="<script>")
    send(config_for(address, headers={"X-Team": "{{ receiver }}"}), a_message(evil), a_message(an_alert(RESOLVED)))
    (envelope, first), (_, second) = box.mails
    assert envelope.rcpt_tos == ["a@example.org", "b@example.org"]
    assert (first["Subject"], second["Subject"]) == ("[FIRING:1] load", "[RESOLVED] load")
    assert first["References"] == second["References"]
    assert first["Message-ID"].startswith("<nissa-7.")
    assert (first["X-Team"], first["Bcc"]) == ("team", None)
    plain, rich = first.get_body(("plain",)), first.get_body(("html",))
    assert "summary: too <much> & more" in plain.get_content()
    assert "too &lt;much&gt; &amp; more" in rich.get_content()
    assert "<script>" not in rich.get_content()


@pytest.mark.parametrize(
    ("field", "answer", "retry"),
    [
        ("rcpt", "450 mailbox busy", True),
        ("rcpt", "550 no such user", False),
        ("data", "451 try later", True),
        ("data", "554 spam", False),
    ],
)
def test_what_the_server_refuses(mailbox: tuple[Mailbox, str], field: str, answer: str, retry: bool) -> None:
    """4xx is for now, 5xx for good."""
    box, address = mailbox
    setattr(box, field, answer)
    with pytest.raises(NotDelivered, match=answer[4:]) as found:
        send(config_for(address), a_message())
    assert found.value.retry is retry


def test_credentials_and_tls(mailbox: tuple[Mailbox, str]) -> None:
    """A wrong password is refused; a server without STARTTLS where TLS is required is no place for a mail."""
    box, address = mailbox
    send(config_for(address, auth_username="ann", auth_password="word"), a_message())
    assert box.user == b"ann:word"
    with pytest.raises(NotDelivered, match="535"):
        send(config_for(address, auth_username="ann", auth_password="guess"), a_message())
    with pytest.raises(NotDelivered, match="STARTTLS"):
        send(config_for(address, require_tls=True), a_message())
    with pytest.raises(NotDelivered, match="SMTP"):
        send(config_for("127.0.0.1:1"), a_message())
    assert len(box.mails) == 1


def test_headers_that_nissa_sets_are_refused() -> None:
    """The refusal names the path."""
    with pytest.raises(ConfigInvalid, match=r"^receivers\.team\.email\[0\]\.headers\.Bcc"):
        EmailNotifier(config_for("h:25", headers={"bcc": "x"}), "receivers.team.email[0]")


def test_texts_of_mails_are_templates(mailbox: tuple[Mailbox, str]) -> None:
    """Values are escaped in HTML; what fails is told in both bodies, and a mail without an address is a dead letter."""
    box, address = mailbox
    headers = {"Subject": "{{ .Status | toUpper }} {{ len .Alerts }}", "X-Broken": "{{ .Status.Nope }}"}
    texts = {"text": "{{ range .Alerts }}{{ .Annotations.summary }}{{ end }}", "to": "{{ .Receiver }}@example.org"}
    page = '<a href="{{ .ExternalURL }}">{{ .CommonAnnotations.summary }}</a>'
    send(config_for(address, headers=headers, html=page, **texts), a_message())
    ((envelope, mail),) = box.mails
    assert (envelope.rcpt_tos, mail["Subject"]) == (["team@example.org"], "FIRING 1")
    plain, rich = (mail.get_body((kind,)).get_content().replace("\r", "") for kind in ("plain", "html"))
    reason = "ValueError: can't evaluate field Nope in firing"
    fault = f"(the template receivers.team.email[0].headers.X-Broken failed: {reason})"
    assert plain == f"too <much> & more\n{fault}\n"
    assert rich.startswith('<a href="http://nissa:9471">too &lt;much&gt; &amp; more</a><p>(the template ')
    with pytest.raises(NotDelivered, match=r"email\[0\]\.to failed") as found:
        send(config_for(address, to="{{ .Status.Nope }}"), a_message())
    assert not found.value.retry
