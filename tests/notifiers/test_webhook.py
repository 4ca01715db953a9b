"""Webhooks: body, signature, and outcomes by answer."""

import asyncio
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

from nissa.config.receivers import HttpConfig, WebhookConfig
from nissa.config.scrape_configs import Authorization, BasicAuth
from nissa.model.errors import ConfigInvalid
from nissa.notifiers.notifier import NotDelivered
from nissa.notifiers.webhook import WebhookNotifier
from oracle.http_receiver import CUT, HttpReceiver, http_receiver
from oracle.messages_out import RESOLVED, a_message, an_alert


async def send(receiver: HttpReceiver, config: WebhookConfig, *alerts: Any) -> None:
    notifier = WebhookNotifier(config, "receivers.team.webhook[0]")
    try:
        await notifier.send(a_message(*alerts))
    finally:
        await notifier.close()


def test_the_body_is_that_of_alertmanager() -> None:
    """Version 4, with Go's zero for no end; alerts over ``max_alerts`` are counted."""

    async def work() -> None:
        async with http_receiver() as receiver:
            config = WebhookConfig(url=receiver.url, max_alerts=1)
            await send(receiver, config, an_alert(), an_alert(RESOLVED, instance="b"))
            (body,) = receiver.bodies
            assert (body["version"], body["status"], body["receiver"]) == ("4", "firing", "team")
            assert (body["truncatedAlerts"], body["groupKey"]) == (1, '{}:{alertname="load"}')
            assert body["commonLabels"] == {"alertname": "load", "severity": "critical"}
            assert body["externalURL"] == "http://nissa:9471"
            assert body["alerts"] == [
                {
                    "status": "firing",
                    "labels": {"alertname": "load", "severity": "critical"},
                    "annotations": {"summary": "too <much> & more"},
                    "startsAt": "2024-11-21T11:52:20.000Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": "http://q/?a=1",
                    "fingerprint": "f" * 16,
                }
            ]
            assert receiver.headers[0]["X-Nissa-Delivery"] == "nissa-7"
            assert "X-Nissa-Signature" not in receiver.headers[0]

    asyncio.run(work())


def test_a_body_is_signed_with_the_secret(tmp_path: Path) -> None:
    """The secret is read again for each message."""

    async def work() -> None:
        async with http_receiver() as receiver:
            for key in ("first", "second"):
                (tmp_path / "key").write_text(key + "\n")
                await send(receiver, WebhookConfig(url=receiver.url, secret_file=str(tmp_path / "key")))
                signed = receiver.headers[-1]["X-Nissa-Timestamp"].encode() + b"." + receiver.raw[-1]
                expected = hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()
                assert receiver.headers[-1]["X-Nissa-Signature"] == f"sha256={expected}"

    asyncio.run(work())


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        (HttpConfig(basic_auth=BasicAuth(username="a", password="b")), "Basic YTpi"),
        (HttpConfig(authorization=Authorization(credentials="t")), "Bearer t"),
        (HttpConfig(bearer_token="t"), "Bearer t"),
    ],
)
def test_credentials_are_sent(http: HttpConfig, expected: str) -> None:
    """Credentials of each kind in the configuration are sent."""

    async def work() -> None:
        async with http_receiver() as receiver:
            await send(receiver, WebhookConfig(url=receiver.url, http_config=http))
            assert receiver.headers[0]["Authorization"] == expected

    asyncio.run(work())


@pytest.mark.parametrize(
    ("answer", "retry", "after_ms"),
    [
        ((503, {"Retry-After": "7"}, b"busy"), True, 7_000),
        ((429, {"Retry-After": "99999999"}, b""), True, 3_600_000),
        (
            (503, {"Retry-After": "Thu, 21 Nov 2024 11:53:25 GMT", "Date": "Thu, 21 Nov 2024 11:53:20 GMT"}, b""),
            True,
            5_000,
        ),
        ((500, {}, b"x" * 1_000_000), True, 0),
        ((404, {"Retry-After": "7"}, b"no such hook"), False, 0),
        ((302, {"Location": "http://elsewhere/"}, b""), False, 0),
        (CUT, True, 0),
    ],
)
def test_what_is_not_taken_is_retried_or_refused(answer: Any, retry: bool, after_ms: int) -> None:
    """A retry waits for Retry-After, at most an hour; redirects are not followed."""

    async def work() -> None:
        async with http_receiver() as receiver:
            receiver.answers = [answer]
            with pytest.raises(NotDelivered) as found:
                await send(receiver, WebhookConfig(url=receiver.url))
            assert (found.value.retry, found.value.retry_after_ms) == (retry, after_ms)
            assert len(found.value.reason) < 300

    asyncio.run(work())


def test_a_server_that_is_not_there_is_retried() -> None:
    """The reason names the address; so does that of a secret that cannot be read."""

    async def work() -> None:
        for config, reason in (
            (WebhookConfig(url="http://127.0.0.1:1/"), "no connection to 127.0.0.1:1: Connection refused"),
            (WebhookConfig(url_file="missing"), "receivers.team.webhook[0].url_file: missing: No such file"),
        ):
            notifier = WebhookNotifier(config, "receivers.team.webhook[0]")
            with pytest.raises(NotDelivered) as found:
                await notifier.send(a_message())
            await notifier.close()
            assert found.value.reason.startswith(reason)
            assert found.value.retry

    asyncio.run(work())


def test_an_address_may_be_a_template(tmp_path: Path) -> None:
    """In the configuration and in a file; one that gives no address is refused for good."""

    async def work() -> None:
        async with http_receiver() as receiver:
            template = receiver.url.rstrip("/") + "/{{ .CommonLabels.alertname | urlquery }}?n={{ len .Alerts }}"
            file = tmp_path / "url"
            file.write_text(template)
            for config in (WebhookConfig(url=template), WebhookConfig(url_file=str(file))):
                await send(receiver, config, an_alert())
            assert len(receiver.bodies) == 2
            for wrong in ("{{ .Status.Nope }}", "{{ .Status }}"):
                with pytest.raises(NotDelivered, match=r"the template receivers\.team\.webhook\[0\]\.url") as found:
                    await send(receiver, WebhookConfig(url=wrong), an_alert())
                assert not found.value.retry
            with pytest.raises(ConfigInvalid, match=r"^receivers\.team\.webhook\[0\]\.url: .*function 'nope'"):
                WebhookNotifier(WebhookConfig(url="{{ nope .Status }}"), "receivers.team.webhook[0]")

    asyncio.run(work())
