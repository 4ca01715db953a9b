"""Slack: messages, threads, and its errors."""

import asyncio
import json
from pathlib import Path

import pytest

from nissa.config.alertmanager_templates import TemplateFile
from nissa.config.receivers import SlackAction, SlackConfig, SlackField
from nissa.notifiers.go_texts import TextLibrary
from nissa.notifiers.notifier import NotDelivered
from nissa.notifiers.slack import SlackNotifier
from oracle.http_receiver import http_receiver
from oracle.messages_out import RESOLVED, a_message, an_alert


def test_a_message_has_a_colour_and_escaped_texts() -> None:
    """Red while an alert fires, green when all have resolved; own texts are templates."""

    async def work() -> None:
        async with http_receiver() as receiver:
            config = SlackConfig(
                api_url=receiver.url, channel="#ops", title="{{ status }} {{ common_labels.severity }}"
            )
            notifier = SlackNotifier(config, "s")
            await notifier.send(a_message(an_alert(instance="<b>")))
            await notifier.send(a_message(an_alert(RESOLVED)))
            await notifier.close()
            first, second = receiver.bodies
            assert (first["text"], second["text"]) == ("firing critical", "resolved critical")
            assert (first["attachments"][0]["color"], second["attachments"][0]["color"]) == ("danger", "good")
            text = first["attachments"][0]["blocks"][1]["text"]["text"]
            assert "instance=&lt;b&gt;" in text
            assert "too &lt;much&gt; &amp; more" in text
            assert first["channel"] == "#ops"

    asyncio.run(work())


def test_messages_of_a_group_form_a_thread() -> None:
    """With a token a group has one thread until it resolves; an error in an answer with status 200 is a failure."""

    async def work() -> None:
        async with http_receiver() as receiver:
            receiver.default = (200, {}, json.dumps({"ok": True, "ts": "1.5"}).encode())
            notifier = SlackNotifier(SlackConfig(api_url=receiver.url, token="t", channel="#ops"), "s")
            for one in (a_message(), a_message(key="other"), a_message(), a_message(an_alert(RESOLVED)), a_message()):
                await notifier.send(one)
            assert [body.get("thread_ts") for body in receiver.bodies] == [None, None, "1.5", "1.5", None]
            assert receiver.headers[0]["Authorization"] == "Bearer t"
            for error, retry in (("channel_not_found", False), ("ratelimited", True)):
                receiver.answers = [(200, {}, json.dumps({"ok": False, "error": error}).encode())]
                with pytest.raises(NotDelivered, match=error) as found:
                    await notifier.send(a_message())
                assert found.value.retry is retry
            await notifier.close()

    asyncio.run(work())


def test_a_template_that_fails_does_not_stop_a_message() -> None:
    """The default texts are sent, with the errors in a section of their own."""

    async def work() -> None:
        async with http_receiver() as receiver:
            broken = "{{ (index .Alerts 7).Labels.x }}"
            config = SlackConfig(
                api_url=receiver.url, title=broken, text=broken, color=broken, channel="#{{ .Receiver }}"
            )
            notifier = SlackNotifier(config, "s")
            message = a_message()
            await notifier.send(message)
            await notifier.close()
            (body,) = receiver.bodies
            (attachment,) = body["attachments"]
            assert (body["text"], body["channel"], attachment["color"]) == ("[FIRING:1] load", "#team", "danger")
            title, text, told = (block["text"]["text"] for block in attachment["blocks"])
            assert "load" in title
            assert "failed" not in title
            assert "severity=critical" in text
            assert "(the template s.text failed: ValueError: index out of range: 7)" in told
            assert [line.split(" failed")[0] for line in told.splitlines()] == [
                "(the template s.title",
                "(the template s.text",
                "(the template s.color",
            ]
            assert len(message.text_faults) == 3

    asyncio.run(work())


def test_texts_of_files_are_in_force_where_a_field_is_left_out() -> None:
    """A file that defines Alertmanager's text for a field changes that field."""

    async def work() -> None:
        async with http_receiver() as receiver:
            title = '{{ define "slack.default.title" }}ours {{ .Status }}{{ end }}'
            content = title + '{{ define "t" }}{{ len .Alerts }}{{ end }}'
            library = TextLibrary([TemplateFile(Path("a.tmpl"), content)])
            notifier = SlackNotifier(SlackConfig(api_url=receiver.url, text='{{ template "t" . }}'), "s", library)
            await notifier.send(a_message())
            await notifier.close()
            (body,) = receiver.bodies
            assert (body["text"], body["attachments"][0]["blocks"][1]["text"]["text"]) == ("ours firing", "1")

    asyncio.run(work())


def test_fields_of_an_attachment_are_blocks() -> None:
    """Above and below title and text, each rendered; buttons without an address are left out."""

    async def work() -> None:
        async with http_receiver() as receiver:
            config = SlackConfig(
                api_url=receiver.url,
                pretext="<!here> {{ .Status }}",
                text="text",
                fallback="{{ len .Alerts }} alerts",
                footer="by {{ .Receiver }}",
                image_url="http://i/{{ .CommonLabels.alertname }}.png",
                thumb_url="http://i/t.png",
                fields=(
                    SlackField("A", "{{ .CommonLabels.severity }}", short=True),
                    SlackField("B", "b", short=True),
                    SlackField("C", "c"),
                ),
                actions=(
                    SlackAction("Query {{ len .Alerts }}", "{{ (index .Alerts 0).GeneratorURL }}", style="primary"),
                    SlackAction("Runbook", "{{ .CommonAnnotations.runbook_url }}"),
                ),
                link_names=True,
            )
            notifier = SlackNotifier(config, "s")
            await notifier.send(a_message())
            await notifier.close()
            (body,) = receiver.bodies
            (attachment,) = body["attachments"]
            pretext, _, text, short, long, image, actions, footer = attachment["blocks"]
            assert (pretext["text"]["text"], attachment["fallback"]) == ("<!here> firing", "1 alerts")
            assert (text["text"]["text"], text["accessory"]["image_url"]) == ("text", "http://i/t.png")
            assert [one["text"] for one in short["fields"]] == ["*A*\ncritical", "*B*\nb"]
            assert [one["text"] for one in long["fields"]] == ["*C*\nc"]
            assert (image["image_url"], footer["elements"][0]["text"]) == ("http://i/load.png", "by team")
            label = {"type": "plain_text", "text": "Query 1", "emoji": True}
            expected = {"type": "button", "text": label, "url": "http://q/?a=1", "style": "primary"}
            assert (actions["elements"], body["link_names"]) == ([expected], True)

    asyncio.run(work())
