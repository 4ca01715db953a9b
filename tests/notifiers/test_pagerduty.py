"""PagerDuty: events with one dedup key for a group."""

import asyncio

import msgspec

from nissa.config.receivers import PagerdutyConfig
from nissa.notifiers.pagerduty import PagerdutyNotifier, dedup_key
from oracle.http_receiver import http_receiver
from oracle.messages_out import RESOLVED, a_message, an_alert


def test_an_incident_is_triggered_and_resolved() -> None:
    """Both have one dedup key; a resolution does not count against the hourly limit."""

    async def work() -> None:
        async with http_receiver() as receiver:
            config = PagerdutyConfig(url=receiver.url, routing_key="k", details={"runbook": "{{ group_key }}"})
            notifier = PagerdutyNotifier(config, "s")
            fires, ends = a_message(an_alert(instance="i")), a_message(an_alert(RESOLVED))
            await notifier.send(fires)
            await notifier.send(ends)
            await notifier.close()
            first, second = receiver.bodies
            assert (first["event_action"], second["event_action"]) == ("trigger", "resolve")
            assert first["dedup_key"] == second["dedup_key"] == dedup_key("team", fires.notification.group_key)
            assert first["routing_key"] == "k"
            payload = first["payload"]
            assert (payload["severity"], payload["source"]) == ("critical", "i")
            assert payload["summary"] == "[FIRING:1] load"
            assert payload["custom_details"]["runbook"] == fires.notification.group_key
            assert (notifier.counts(fires), notifier.counts(ends)) == (True, False)

    asyncio.run(work())


def test_an_acknowledgement_is_an_event_of_the_incident() -> None:
    """``acknowledge`` with its dedup key, outside of the hourly limit; once nothing fires it is ``resolve``."""

    async def work() -> None:
        async with http_receiver() as receiver:
            notifier = PagerdutyNotifier(PagerdutyConfig(url=receiver.url, routing_key="k"), "s")
            fires = a_message(an_alert())
            seen = msgspec.structs.replace(
                fires, notification=msgspec.structs.replace(fires.notification, acknowledged=True)
            )
            await notifier.send(seen)
            await notifier.close()
            key = dedup_key("team", fires.notification.group_key)
            assert receiver.bodies == [{"routing_key": "k", "event_action": "acknowledge", "dedup_key": key}]
            assert not notifier.counts(seen)

    asyncio.run(work())


def test_an_event_keeps_the_bounds_of_the_api() -> None:
    """A summary of 1,024 characters; details that are too large are counted only."""

    async def work() -> None:
        async with http_receiver() as receiver:
            config = PagerdutyConfig(
                url=receiver.url, routing_key="k", severity="{{ 'page' }}", description="x" * 2_000
            )
            notifier = PagerdutyNotifier(config, "s")
            await notifier.send(a_message(*(an_alert(instance="x" * 20_000, n=str(one)) for one in range(40))))
            await notifier.close()
            payload = receiver.bodies[0]["payload"]
            assert len(payload["summary"]) == 1_024
            assert payload["severity"] == "error"
            assert payload["custom_details"]["num_firing"] == "40"
            assert len(receiver.raw[0]) < 512 * 1024

    asyncio.run(work())


def test_texts_of_an_event_are_templates() -> None:
    """Templates of Go in every field; one that fails is the default, with the error in the details."""

    async def work() -> None:
        async with http_receiver() as receiver:
            instances = '{{ template "pagerduty.default.instances" .Alerts.Firing }}'
            config = PagerdutyConfig(
                url=receiver.url,
                routing_key="k",
                description='{{ template "pagerduty.default.description" . }}',
                severity="{{ .CommonLabels.nope.x }}",
                class_="{{ .CommonLabels.alertname }}",
                details={"firing": instances, "num_firing": "{{ .Status.Nope }}"},
            )
            notifier = PagerdutyNotifier(config, "s")
            await notifier.send(a_message())
            await notifier.close()
            payload = receiver.bodies[0]["payload"]
            assert (payload["summary"], payload["severity"], payload["class"]) == (
                "[FIRING:1] load (critical)",
                "critical",
                "load",
            )
            details = payload["custom_details"]
            assert details["firing"].startswith("Labels:\n - alertname = load\n - severity = critical\nAnnotations:\n")
            assert details["num_firing"].startswith("1\n(the template s.details.num_firing failed: ")
            assert details["template_errors"].startswith("(the template s.severity failed: ")
            assert "num_firing" not in details["template_errors"]

    asyncio.run(work())
