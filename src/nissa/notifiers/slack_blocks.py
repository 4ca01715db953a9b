"""Blocks of a message of Slack for what Alertmanager's configuration puts into an attachment.

pretext              a section above the title
thumb_url            an image beside the text
fields               sections with fields, short ones two in a row
image_url, actions   an image, buttons that open addresses
footer               a line below
"""

from typing import Any, Final

from nissa.config.receivers import SlackConfig
from nissa.notifiers.go_texts import TextLibrary
from nissa.notifiers.notifier import Message
from nissa.notifiers.texts import MessageText

FIELD_CHARACTERS_MAX: Final = 2_000
FIELDS_IN_SECTION_MAX: Final = 10
BUTTON_CHARACTERS_MAX: Final = 75
ADDRESS_CHARACTERS_MAX: Final = 3_000
TEXT_CHARACTERS_MAX: Final = 3_000
STYLES: Final = frozenset(("primary", "danger"))

Block = dict[str, Any]


class SlackBlocks:
    """Blocks of one channel. fallback: text for programs that show no blocks; empty where none is set."""

    def __init__(self, config: SlackConfig, setting: str, library: TextLibrary | None) -> None:
        """Raises: ConfigInvalid."""

        def text(template: str, field: str, name: str = "") -> MessageText:
            own = f"slack.default.{name}" if name else ""
            return MessageText(template, f"{setting}.{field}", lambda _: "", library=library, name=own, bare=True)

        self.fallback = text(config.fallback, "fallback", "fallback")
        self._pretext = text(config.pretext, "pretext", "pretext")
        self._footer = text(config.footer, "footer", "footer")
        self._image = text(config.image_url, "image_url")
        self._thumb = text(config.thumb_url, "thumb_url")
        self._fields = [
            (
                text(one.title, f"fields[{number}].title"),
                text(one.value, f"fields[{number}].value"),
                config.short_fields if one.short is None else one.short,
            )
            for number, one in enumerate(config.fields)
        ]
        self._actions = [
            tuple(text(getattr(one, name), f"actions[{number}].{name}") for name in ("text", "url", "style"))
            for number, one in enumerate(config.actions)
        ]

    def around(self, blocks: list[Block], message: Message) -> list[Block]:
        """The blocks of title and text, with the others before and behind them."""
        pretext, footer = self._pretext.render(message), self._footer.render(message)
        image, thumb = self._image.render(message), self._thumb.render(message)
        if _is_address(thumb):
            accessory = {"accessory": _image(thumb)}
            blocks = [*blocks[:-1], blocks[-1] | accessory]
        before = [{"type": "section", "text": _text(pretext, TEXT_CHARACTERS_MAX)}] if pretext.strip() else []
        behind: list[Block] = [*self._field_sections(message), *([_image(image)] if _is_address(image) else [])]
        buttons = [button for one in self._actions if (button := _button(*(text.render(message) for text in one)))]
        behind += [{"type": "actions", "elements": buttons}] if buttons else []
        if footer.strip():
            behind.append({"type": "context", "elements": [_text(footer, FIELD_CHARACTERS_MAX)]})
        return [*before, *blocks, *behind]

    def _field_sections(self, message: Message) -> list[Block]:
        sections: list[Block] = []
        was_short = False
        for title, value, short in self._fields:
            shown = _text(f"*{title.render(message)}*\n{value.render(message)}", FIELD_CHARACTERS_MAX)
            if short and was_short and len(sections[-1]["fields"]) < FIELDS_IN_SECTION_MAX:
                sections[-1]["fields"].append(shown)
            else:
                sections.append({"type": "section", "fields": [shown]})
            was_short = short
        return sections


def _text(text: str, characters_max: int) -> Block:
    return {"type": "mrkdwn", "text": text[:characters_max]}


def _image(url: str) -> Block:
    return {"type": "image", "image_url": url, "alt_text": "image"}


def _is_address(text: str) -> bool:
    """True of what Slack takes as an address; it refuses the whole message for others."""
    return text.startswith(("http://", "https://")) and len(text) <= ADDRESS_CHARACTERS_MAX


def _button(text: str, url: str, style: str) -> Block | None:
    """A button, or None where it has no text or no address."""
    if not text.strip() or not _is_address(url):
        return None
    label = {"type": "plain_text", "text": text[:BUTTON_CHARACTERS_MAX], "emoji": True}
    button: Block = {"type": "button", "text": label, "url": url}
    return button | ({"style": style} if style in STYLES else {})
