"""Slack: one message for a notification, coloured by its state; messages of a group form a thread where a token is set.

An incoming webhook (``api_url``) says no more of a message than that it was taken. With the token of a bot
(``chat.postMessage``) the answer has the time that names the thread; it is remembered while the process runs.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import orjson

from nissa.config.receivers import HttpConfig, SlackConfig
from nissa.model.errors import ConfigInvalid
from nissa.notifiers.go_texts import TextLibrary
from nissa.notifiers.http_client import HttpPoster, secret
from nissa.notifiers.notifier import Message, NotDelivered
from nissa.notifiers.slack_blocks import SlackBlocks
from nissa.notifiers.text_thread import in_thread
from nissa.notifiers.texts import MessageText, lines_of, title_of

POST_URL: Final = "https://slack.com/api/chat.postMessage"
COLOURS: Final = {"firing": "danger", "resolved": "good"}
SECTION_CHARACTERS_MAX: Final = 3_000
TITLE_CHARACTERS_MAX: Final = 150
LINK_CHARACTERS_MAX: Final = 2_000  # of a heading, which Slack would show cut
BLOCKS_MAX: Final = 50  # Slack refuses a message with more
ALERTS_SHOWN_MAX: Final = 20
THREADS_MAX: Final = 10_000
_UNFIT: Final = re.compile(r"[\s<>|]")
_RETRIED: Final = frozenset(("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"))


class SlackNotifier:
    """One channel of Slack."""

    def __init__(self, config: SlackConfig, setting: str, library: TextLibrary | None = None) -> None:
        """library: texts that its texts may include. Raises: ConfigInvalid."""
        self._config, self._setting = config, setting
        self._poster = HttpPoster(config.http_config or HttpConfig(), setting)

        def text(field: str, name: str, default: Callable[[Message], str]) -> MessageText:
            template, own = getattr(config, field), f"slack.default.{name}" if name else ""
            return MessageText(template, f"{setting}.{field}", default, library=library, name=own, bare=True)

        self._title = text("title", "title", title_of)
        self._link = text("title_link", "titlelink", lambda message: message.external_url)
        self._text = text("text", "text", _text_of)
        self._colour = text("color", "", lambda one: COLOURS[one.notification.status])
        self._named = {
            field: text(field, field.replace("_", ""), lambda _: "")
            for field in ("channel", "username", "icon_emoji", "icon_url")
        }
        self._more = SlackBlocks(config, setting, library)
        self._threads: OrderedDict[str, str] = OrderedDict()

    def counts(self, _message: Message) -> bool:
        """Every message does."""
        return True

    async def send(self, message: Message) -> None:
        """Post the message. Raises: NotDelivered."""
        config = self._config
        try:
            token = secret(config.token, config.token_file, f"{self._setting}.token_file")
            url = secret(config.api_url, config.api_url_file, f"{self._setting}.api_url_file")
        except ConfigInvalid as error:
            raise NotDelivered(str(error)) from None
        key = message.notification.group_key
        body = await in_thread(self._body, message)
        if not token:
            await self._poster.post(url, orjson.dumps(body), {})
            return
        if key in self._threads:
            body["thread_ts"] = self._threads[key]
        answer = await self._poster.post(url or POST_URL, orjson.dumps(body), {"Authorization": f"Bearer {token}"})
        self._note_thread(key, answer.body, resolved=message.notification.status == "resolved")

    async def close(self) -> None:
        """Close connections."""
        await self._poster.close()

    def _body(self, message: Message) -> dict[str, Any]:
        title = self._title.render(message)[:TITLE_CHARACTERS_MAX]
        text = self._text.render(message)[:SECTION_CHARACTERS_MAX]
        link = _address(self._link.render(message))
        heading = f"*<{link}|{_escaped(title)}>*" if link else f"*{_escaped(title)}*"
        blocks = [_section(heading), *([_section(text)] if text.strip() else [])]
        blocks = self._more.around(blocks, message)
        colour = self._colour.render(message)
        named = {name: one.render(message) for name, one in self._named.items()}
        fallback = self._more.fallback.render(message) or title
        faults = [_section(_escaped("\n".join(message.text_faults)))] if message.text_faults else []
        blocks = [*blocks[: BLOCKS_MAX - len(faults)], *faults]
        attachment = {"color": colour, "blocks": blocks, "fallback": fallback}
        body: dict[str, Any] = {"text": _escaped(title), "attachments": [attachment]}
        body |= {"link_names": True} if self._config.link_names else {}
        return body | {name: value for name, value in named.items() if value}

    def _note_thread(self, key: str, answer: bytes, *, resolved: bool) -> None:
        """Remember the thread of a group until it has resolved. Raises: NotDelivered where Slack took nothing."""
        try:
            found = orjson.loads(answer)
            taken, reason, thread = bool(found.get("ok")), str(found.get("error", "")), str(found.get("ts", ""))
        except (orjson.JSONDecodeError, AttributeError):
            raise NotDelivered("Slack's answer is not JSON") from None
        if not taken:
            raise NotDelivered(f"Slack answers {reason[:100]}", retry=reason in _RETRIED)
        if resolved:
            self._threads.pop(key, None)
        elif thread:
            self._threads.setdefault(key, thread)
            if len(self._threads) > THREADS_MAX:
                self._threads.popitem(last=False)


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:SECTION_CHARACTERS_MAX]}}


def _text_of(message: Message) -> str:
    alerts = message.notification.alerts
    parts = ["\n".join(map(_escaped, lines_of(alert))) for alert in alerts[:ALERTS_SHOWN_MAX]]
    if len(alerts) > ALERTS_SHOWN_MAX:
        parts.append(f"{len(alerts) - ALERTS_SHOWN_MAX} more alerts")
    return "\n\n".join(parts)


def _address(text: str) -> str:
    """An address that ends where its link does; empty where it is too long for a heading."""
    found = _UNFIT.sub(lambda match: quote(match[0]), text.strip())
    return found if len(found) <= LINK_CHARACTERS_MAX else ""


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
