"""Texts and labels that mean harm: what they cannot reach, and that every one ends soon."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from nissa.config.alertmanager_templates import read_text_files
from nissa.config.receivers import EmailConfig, HttpConfig, PagerdutyConfig, SlackAction, SlackConfig, SlackField
from nissa.model.errors import ConfigInvalid
from nissa.notifiers.email import EmailNotifier
from nissa.notifiers.go_texts import own_library
from nissa.notifiers.http_client import HttpPoster
from nissa.notifiers.notifier import Message, NotDelivered
from nissa.notifiers.pagerduty import PagerdutyNotifier
from nissa.notifiers.slack import SlackNotifier
from nissa.rules.template_html import HtmlOutput, SafeHtml
from oracle.http_receiver import http_receiver
from oracle.messages_out import a_message, an_alert

LIST = '{{ $l := stringSlice }}{{ range 2000 }}{{ $l = append $l "" }}{{ end }}'
SEARCHED = (
    '{{ $x := printf "%1000d" 1 | reReplaceAll " " "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }}'
    '{{ range 9 }}{{ $m := reReplaceAll "a.*b|a" "" $x }}{{ end }}'
)
TIMES = "$l " * 7
NESTED = (
    '{{ $x := printf "%1000d" 1 }}{{ $l := list $x $x $x $x $x $x $x $x $x $x }}'
    f"{{{{ $l = list {TIMES}}}}}{{{{ $l = list {TIMES}}}}}{{{{ $l = list {TIMES}}}}}{{{{ toJson $l }}}}"
)
PATTERNS = "".join(f'{{{{ $m := match "x{number}(a|b){{40}}" "a" }}}}' for number in range(70))


def rendered(text: str, message: Message | None = None, *, html: bool = False) -> str:
    """The text for a message."""
    return own_library().compiled(text, html=html).rendered(message or a_message())


def posted(notifier_of: type, config: msgspec.Struct, message: Message) -> dict:
    """The body that a notifier sends to an address of its own."""

    async def work() -> dict:
        async with http_receiver() as receiver:
            field = "api_url" if isinstance(config, SlackConfig) else "url"
            notifier = notifier_of(msgspec.structs.replace(config, **{field: receiver.url}), "s")
            await notifier.send(message)
            await notifier.close()
            return receiver.bodies[0]

    return asyncio.run(work())


@pytest.mark.parametrize(
    "text",
    [
        LIST + '{{ range 10000 }}{{ $m := join "" $l }}{{ end }}',
        LIST + '{{ range 10000 }}{{ $m := append $l "" "" }}{{ $m = slice $m 1 }}{{ end }}{{ range 100000 }}{{ end }}',
        LIST + "{{ range 10000 }}{{ $m := $.CommonLabels.Remove $l }}{{ end }}",
        LIST + "<!-- {{ range 10000 }}{{ $l }}{{ end }} -->{{ range 100000 }}{{ end }}",
        LIST + "<a {{ range 10000 }}{{ $l }} {{ end }}>",
        "{{ range 1000 }}" + PATTERNS + "{{ end }}",
        SEARCHED,
        NESTED,
    ],
)
def test_work_on_lists_patterns_and_json_takes_steps(text: str) -> None:
    """As many as it takes time, so that the limit of steps is one of time."""
    with pytest.raises(ValueError, match=r"steps|iterate"):
        rendered(text, html="<" in text)


def test_no_text_takes_the_square_of_its_length() -> None:
    """Zeros of a width, tags without an end, comments and strings that are not closed: half a minute each before."""
    zeros = "0" * 60_000
    assert rendered('{{ printf "%' + zeros + '!" }}') == f"%{zeros}!"
    output = HtmlOutput(1_000_000)
    output.literal('<p title="')
    output.value(SafeHtml("<" * 150_000), "")
    for text in ("{{/* }}" * 9_000, '{{ "a }}\n' + "{{ .X }}" * 8_000):
        with pytest.raises(ValueError, match=r"unclosed comment|unterminated string"):
            own_library().compiled(text)


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ('<a href="{{ "java" }}{{ "script:alert(1)" }}">', '<a href="java#ZgotmplZ">'),
        ('<script>f("a {{ "\\"" }}{{ ";alert(1);" }}")</script>', '<script>f("a \\";alert(1);")</script>'),
        ('<script>f(`{{ "`;alert(1);${x}" }}`)</script>', "<script>f(`\\u0060;alert(1);\\u0024{x}`)</script>"),
        ('<p onclick="f(&quot;a {{ ");alert(1);(" }}&quot;)">', '<p onclick="f(&quot;a );alert(1);(&quot;)">'),
        ('<script>f("it\'s", {{ "x" }})</script>', '<script>f("it\'s", "x")</script>'),
        ('<p title={{ html "a onclick=alert(1)" }}>', "<p title=a&#32;onclick&#61;alert(1)>"),
    ],
)
def test_values_in_html_do_not_leave_their_place(page: str, told: str) -> None:
    """Values one behind the other, within strings of scripts, and without quotes around them."""
    assert rendered(page, html=True) == told


def test_labels_call_nobody_in_slack() -> None:
    """Neither from the title, nor from its link, nor from the error of a text."""
    message = a_message(an_alert(severity="<!channel>", path="/x|y> <!here> <z"))
    config = SlackConfig(
        title="{{ .CommonLabels.severity }}",
        title_link="http://x{{ .CommonLabels.path }}",
        text="{{ .CommonLabels.severity.nope }}",
    )
    body = posted(SlackNotifier, config, message)
    (attachment,) = body["attachments"]
    shown = [body["text"], *(block["text"]["text"] for block in attachment["blocks"])]
    assert shown[0] == "&lt;!channel&gt;"
    assert shown[1] == "*<http://x/x%7Cy%3E%20%3C!here%3E%20%3Cz|&lt;!channel&gt;>*"
    assert shown[3].startswith("(the template s.text failed: ValueError: can't evaluate field nope in &lt;!channel")
    assert not any("<!" in text for text in shown)


def test_slack_takes_what_is_sent() -> None:
    """It refuses messages with images that have no address, with over 50 blocks, or whose heading is cut in a link."""
    config = SlackConfig(
        title_link="http://x/" + "a" * 4_000,
        image_url="{{ .CommonLabels.nothing }}x",
        thumb_url="javascript:x",
        footer="f",
        actions=(SlackAction("Query", "http://q/"),),
        fields=(SlackField("A", "b"),) * 50,
        color="{{ (index .Alerts 9).Status }}",
    )
    blocks = posted(SlackNotifier, config, a_message())["attachments"][0]["blocks"]
    assert len(blocks) == 50
    assert blocks[0]["text"]["text"] == "*[FIRING:1] load*"
    assert "s.color failed" in blocks[-1]["text"]["text"]
    assert not any("accessory" in block or block["type"] == "image" for block in blocks)


def test_pagerduty_takes_an_event_whose_texts_are_empty() -> None:
    """It refuses events without a summary or a source: labels that a group does not share would lose the page."""
    config = PagerdutyConfig(
        routing_key="k", description="{{ .CommonAnnotations.nothing }} ", source="{{ .CommonLabels.instance }}"
    )
    payload = posted(PagerdutyNotifier, config, a_message())["payload"]
    assert (payload["summary"], payload["source"]) == ("[FIRING:1] load", "http://nissa:9471")


def test_labels_begin_no_header_of_a_mail() -> None:
    """Line ends of any kind become blanks, in every header that is a template."""
    message = a_message(an_alert(team="a\r\nBcc: x@y.example\u2028b\x85c\0d"))
    label = "{{ .CommonLabels.team }}"
    config = EmailConfig(
        to=f"{label} <ops@example.org>",
        from_="n@example.org",
        smarthost="h:25",
        headers={"Subject": label, "X-T": label},
    )
    mail = EmailNotifier(config, "s")._mail(message)
    assert mail["Bcc"] is None
    assert mail["Subject"] == mail["X-T"] == "a Bcc: x@y.example b c d"
    assert b"\nBcc" not in bytes(mail).partition(b"\n\n")[0]


def test_an_address_that_is_none_is_a_dead_letter_at_once() -> None:
    """Python's reader of addresses ends with an IndexError; that opened the breaker of the whole channel."""
    label = "{{ .CommonLabels.team }}"
    message = a_message(an_alert(team='"'))
    config = EmailConfig(to=label, from_="n@example.org", smarthost="127.0.0.1:1")
    with pytest.raises(NotDelivered, match="header To cannot be read") as found:
        asyncio.run(EmailNotifier(config, "s").send(message))
    assert not found.value.retry
    mail = EmailNotifier(msgspec.structs.replace(config, to="a@b.example", headers={"Cc": label}), "s")._mail(message)
    assert mail["Cc"] is None
    assert [fault.split(" cannot")[0] for fault in message.text_faults] == ["(the header Cc"]


@pytest.mark.parametrize("place", ["h:99999", "h:a", "", "[h"])
def test_an_address_that_is_none_is_not_told(place: str) -> None:
    """Paths of webhooks are secrets; a label that makes a template's address unfit brings none into the error."""

    async def work() -> str:
        poster = HttpPoster(HttpConfig(), "receivers.r.webhook[0]")
        with pytest.raises(NotDelivered) as found:
            await poster.post(f"http://{place}/services/SECRET", b"", {})
        await poster.close()
        return found.value.reason

    assert asyncio.run(work()) == "the address of receivers.r.webhook[0] is not that of an HTTP server"


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Also one that is cut within a letter, and patterns that are none."""

    def fail(place: str, what: str) -> ConfigInvalid:
        return ConfigInvalid(place, what)

    (tmp_path / "big.tmpl").write_text("ä" * 600_000)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.tmpl").symlink_to(tmp_path / "own" / "a.tmpl")
    for pattern, told in (("big.tmpl", "big.tmpl has over 1048576 bytes"), ("**x", r"templates\[0\].*\*\*x")):
        with pytest.raises(ConfigInvalid, match=told):
            read_text_files([pattern], tmp_path, fail)
    assert read_text_files(["own/*.tmpl"], tmp_path, fail)[0] == ()
