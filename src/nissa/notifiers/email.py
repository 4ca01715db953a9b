"""E-mail over SMTP: text and HTML in one message, mails of a group in one thread.

The Message-ID is made of the id of the delivery, so a mail that is sent twice after a crash is one to most readers;
``References`` names the thread of the group. STARTTLS is required unless ``require_tls`` is false; port 465 is TLS from
the start.
"""

import hashlib
import html
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import aiosmtplib

from nissa.config.receivers import EmailConfig
from nissa.config.scrape_configs import TlsConfig
from nissa.model.errors import ConfigInvalid
from nissa.model.units import SECOND_MS
from nissa.notifiers.go_texts import TextLibrary
from nissa.notifiers.http_client import client_tls, secret
from nissa.notifiers.notifier import Message, NotDelivered
from nissa.notifiers.text_thread import in_thread
from nissa.notifiers.texts import MessageText, lines_of, title_of

SMTPS_PORT: Final = 465
DOMAIN: Final = "nissa.invalid"  # of Message-ID: a name that nobody has
ALERTS_SHOWN_MAX: Final = 200
HEADER_CHARACTERS_MAX: Final = 900
OWN_HEADERS: Final = frozenset(("to", "from", "date", "message-id", "references", "in-reply-to", "content-type", "bcc"))


class EmailNotifier:
    """One list of addresses."""

    def __init__(self, config: EmailConfig, setting: str, library: TextLibrary | None = None) -> None:
        """library: texts that its texts may include. Raises: ConfigInvalid."""
        self._config, self._setting = config, setting
        headers = {name.title(): value for name, value in config.headers.items()}
        for name in headers:
            if name.lower() in OWN_HEADERS or not name.replace("-", "").isalnum():
                raise ConfigInvalid(f"{setting}.headers.{name[:80]}", "is set by Nissa, or is no header")

        def text(template: str, field: str, default: Callable[[Message], str], name: str = "") -> MessageText:
            return MessageText(template, f"{setting}.{field}", default, library=library, name=name, bare=True)

        self._subject = text(headers.pop("Subject", ""), "headers.Subject", title_of, "email.default.subject")
        self._headers = {name: text(value, f"headers.{name}", lambda _: "") for name, value in headers.items()}
        self._from = text(config.from_, "from", lambda _: "")
        self._to = text(config.to, "to", lambda _: "")
        self._text = text(config.text, "text", _text_of)
        self._html = MessageText(
            config.html, f"{setting}.html", _html_of, library=library, name="email.default.html", html=True, bare=True
        )
        self._tls = client_tls(config.tls_config, f"{setting}.tls_config") if config.tls_config != TlsConfig() else None
        host, _, port = config.smarthost.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)

    def counts(self, _message: Message) -> bool:
        """Every message does."""
        return True

    async def send(self, message: Message) -> None:
        """Send the mail. Raises: NotDelivered."""
        config = self._config
        try:
            password = secret(config.auth_password, config.auth_password_file, f"{self._setting}.auth_password_file")
            mail = await in_thread(self._mail, message)
        except (ConfigInvalid, ValueError) as error:
            raise NotDelivered(str(error)) from None
        try:
            await aiosmtplib.send(
                mail,
                hostname=self._host,
                port=self._port,
                local_hostname=config.hello or None,
                username=config.auth_username or None,
                password=password if config.auth_username else None,
                use_tls=self._port == SMTPS_PORT,
                start_tls=bool(config.require_tls) and self._port != SMTPS_PORT,
                tls_context=self._tls,
                timeout=config.timeout / SECOND_MS,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            code = max((one.code for one in error.recipients), default=550)
            raise NotDelivered(f"recipients are refused: {_words(error)}", retry=code < 500) from None
        except aiosmtplib.SMTPResponseException as error:
            raise NotDelivered(f"SMTP status {error.code}: {_words(error)}", retry=error.code < 500) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise NotDelivered(f"SMTP: {_words(error)}") from None

    async def close(self) -> None:
        """Nothing stays open."""

    def _mail(self, message: Message) -> EmailMessage:
        mail, one = EmailMessage(), message.notification
        thread = hashlib.sha256(f"{one.receiver}\0{one.group_key}".encode()).hexdigest()[:32]
        for name, text in (("From", self._from), ("To", self._to)):
            if fault := _set_header(mail, name, self._address(text, message)):
                raise NotDelivered(f"{fault} ({self._setting}.{name.lower()})", retry=False)
        mail["Subject"] = _line(self._subject.render(message))
        mail["Date"] = format_datetime(datetime.fromtimestamp(one.at_ms / SECOND_MS, UTC))
        mail["Message-ID"] = f"<{message.id}.{one.at_ms}@{DOMAIN}>"
        mail["References"] = mail["In-Reply-To"] = f"<{thread}@{DOMAIN}>"
        for name, text in self._headers.items():
            if fault := _set_header(mail, name, _line(text.render(message))):
                message.text_faults.append(f"({fault}, so it is left out: {self._setting}.headers.{name})")
        plain, page = self._text.render(message), self._html.render(message)
        faults = message.text_faults
        mail.set_content("\n".join([plain, *faults]))
        mail.add_alternative(page + "".join(f"<p>{html.escape(fault)}</p>" for fault in faults), subtype="html")
        return mail

    def _address(self, text: MessageText, message: Message) -> str:
        """The line of a header. Raises: NotDelivered where there is nothing in it."""
        found = _line(text.render(message))
        if not found:
            told = message.text_faults or [f"an address of {self._setting} is empty"]
            raise NotDelivered(told[-1], retry=False)
        return found


def _set_header(mail: EmailMessage, name: str, value: str) -> str:
    """Put a header into a mail; what is wrong with its value, or nothing."""
    try:
        mail[name] = value
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):  # of addresses such as a single quote
        return f"the header {name} cannot be read as addresses: {value[:80]}"
    return ""


def _line(text: str) -> str:
    """A text as the value of a header: one line, without characters that would begin another."""
    return " ".join(part for part in "".join(c if c.isprintable() else " " for c in text).split(" ") if part)[
        :HEADER_CHARACTERS_MAX
    ]


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _text_of(message: Message) -> str:
    alerts = message.notification.alerts
    parts = [title_of(message), *("\n".join(lines_of(alert)) for alert in alerts[:ALERTS_SHOWN_MAX])]
    if len(alerts) > ALERTS_SHOWN_MAX:
        parts.append(f"{len(alerts) - ALERTS_SHOWN_MAX} more alerts")
    return "\n\n".join([*parts, message.external_url]) + "\n"


def _html_of(message: Message) -> str:
    alerts = message.notification.alerts
    items = []
    for alert in alerts[:ALERTS_SHOWN_MAX]:
        first, *rest = map(html.escape, lines_of(alert))
        items.append(f"<li><b>{first}</b>" + "".join(f"<br>{line}" for line in rest) + "</li>")
    if len(alerts) > ALERTS_SHOWN_MAX:
        items.append(f"<li>{len(alerts) - ALERTS_SHOWN_MAX} more alerts</li>")
    url = html.escape(message.external_url, quote=True)
    heading = html.escape(title_of(message))
    return f'<html><body><h2>{heading}</h2><ul>{"".join(items)}</ul><p><a href="{url}">{url}</a></p></body></html>'
