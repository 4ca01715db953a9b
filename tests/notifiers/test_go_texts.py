"""Templates of Go in notifications, compared with Alertmanager's own command and with what newer ones give."""

import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from nissa.alerting.notification import Notification
from nissa.alerting.routing import read_routing_file
from nissa.config.alertmanager_templates import TemplateFile
from nissa.model.alert import Alert, AlertState, label_fingerprint
from nissa.model.errors import ConfigInvalid
from nissa.notifiers.default_texts import TEXTS as OWN_TEXTS
from nissa.notifiers.dispatcher import notifiers_of
from nissa.notifiers.go_texts import TextLibrary, is_go, own_library
from nissa.notifiers.notifier import Message
from nissa.notifiers.webhook import webhook_body
from oracle.alertmanager_texts import FAILING, PAGES, TEXTS

AT_MS = 1_732_190_000_000
DEFAULTS = "/usr/share/prometheus/alertmanager/*.tmpl"
OF_LISTS = ("__text_alert_list", "pagerduty.default.instances")
NOT_IN_DEBIAN = ("markdown", "__nissa", "msteams", "jira", "rocketchat", "mattermost", "discord.default.content")


def an_alert(state: AlertState, labels: dict[str, str], annotations: dict[str, str], ago_ms: int) -> Alert:
    """An alert of one name, with texts that need escaping."""
    labels = {"alertname": "High_load's", "job": "node", "cluster": "eu-1"} | labels
    ends_ms = 0 if state is AlertState.FIRING else AT_MS
    url = "http://prom:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1"
    digits = label_fingerprint(labels)
    return Alert(labels, annotations, AT_MS - ago_ms, ends_ms, AT_MS, url, 2.5, state, digits, "rules")


def a_message() -> Message:
    """Two alerts that fire, and one that has resolved."""
    said = 'load <5> & "more" + x'
    links = ("https://run.book/x?a=1&b=2#f", "javascript:alert(1)")
    critical = {"severity": "critical"}
    alerts = (
        an_alert(
            AlertState.FIRING,
            critical | {"instance": "a.example:9100"},
            {"summary": said, "description": "it's over\nline 2", "runbook_url": links[0]},
            3_723_500,
        ),
        an_alert(
            AlertState.FIRING,
            critical | {"instance": "b.example:9100"},
            {"summary": said, "description": "b", "runbook_url": links[1]},
            3_723_500,
        ),
        an_alert(
            AlertState.RESOLVED,
            {"instance": "c.example:9100", "severity": "warning", "zone": "z"},
            {"summary": "gone", "description": "c"},
            59_001,
        ),
    )
    group = {"alertname": "High_load's", "cluster": "eu-1"}
    return Message("nissa-7", Notification("team.x", "slack[0]", "{}:{}", group, alerts, AT_MS), "http://nissa:9471")


def rendered(text: str, *, html: bool = False, library: TextLibrary | None = None) -> str:
    """A text for that message."""
    return (library or own_library()).compiled(text, html=html).rendered(a_message())


def by_amtool(text: str, folder: Path, *, html: bool = False) -> str | None:
    """The text as Alertmanager renders it; None where it fails."""
    data = folder / "data.json"
    if not data.exists():
        data.write_bytes(orjson.dumps(webhook_body(a_message()) | {"receiver": "team\\.x"}))
    kind = "html" if html else "text"
    options = [f"--template.{name}" for name in (f"text={text}", f"glob={DEFAULTS}", f"data={data}", f"type={kind}")]
    done = subprocess.run(["amtool", "template", "render", *options], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


@pytest.mark.long
@pytest.mark.needs_debian("prometheus-alertmanager")
def test_texts_are_those_of_alertmanager(tmp_path: Path) -> None:
    """Actions, variables, methods, functions, times and white space of texts as people publish them."""
    for text in TEXTS:
        assert (text, rendered(text)) == (text, by_amtool(text, tmp_path))


@pytest.mark.long
@pytest.mark.needs_debian("prometheus-alertmanager")
def test_values_in_html_are_escaped_as_by_alertmanager(tmp_path: Path) -> None:
    """In elements, attributes, addresses, styles and scripts."""
    for text in PAGES:
        assert (text, rendered(text, html=True)) == (text, by_amtool(text, tmp_path, html=True))


@pytest.mark.long
@pytest.mark.needs_debian("prometheus-alertmanager")
def test_default_texts_are_those_of_alertmanager(tmp_path: Path) -> None:
    """Every text that Alertmanager defines itself, but for the page of e-mails and what is newer than Debian's."""
    for name in OWN_TEXTS:
        if name == "email.default.html" or any(part in name for part in NOT_IN_DEBIAN):
            continue
        text = f'{{{{ template "{name}" {".Alerts" if name in OF_LISTS else "."} }}}}'
        assert (name, rendered(text)) == (name, by_amtool(text, tmp_path))


@pytest.mark.long
@pytest.mark.needs_debian("prometheus-alertmanager")
def test_texts_that_fail_in_alertmanager_fail_here(tmp_path: Path) -> None:
    """Unknown fields, functions and variables, wrong types, broken syntax."""
    for text in FAILING:
        assert by_amtool(text, tmp_path) is None
        with pytest.raises(ValueError, match=r".+"):
            rendered(text)


ONE = "(index .Alerts 0)"
PASSED = "((index .Alerts 2).EndsAt.Sub (index .Alerts 2).StartsAt)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ .CommonLabels }}", "alertname=High_load's, cluster=eu-1, job=node"),
        (
            f'{{{{ {ONE}.StartsAt | tz "Europe/Paris" | date "2006-01-02 15:04 MST Z07:00" }}}}',
            "2024-11-21 11:51 CET +01:00",
        ),
        (f"{{{{ since {ONE}.StartsAt }}}} {{{{ {PASSED} | humanizeDuration }}}}", "1h2m3.5s 59s"),
        ('{{ "a%20b+c" | urlUnescape }}{{ trimSpace " d " }}', "a b cd"),
        ('{{ $l := append (list "a") "b" }}{{ $l }} {{ (dict "k" $l).k | len }}', "[a b] 2"),
        ("{{ toJson .GroupLabels }}", '{"alertname":"High_load\'s","cluster":"eu-1"}'),
        (
            "{{ toJson .GroupLabels.SortedPairs }}",
            '[{"Name":"alertname","Value":"High_load\'s"},{"Name":"cluster","Value":"eu-1"}]',
        ),
        (f'{{{{ ({ONE}.StartsAt.Add 28800e9).Format "2006-01-02 15:04:05" }}}}', "2024-11-21 18:51:16"),
        (f"{{{{ gt {PASSED}.Seconds 5.0 }}}} {{{{ {PASSED} }}}}", "true 59.001s"),
        ("{{ range 3 }}{{ . }}{{ end }} {{ .GroupKey }} {{ .TruncatedAlerts }}", "012 {}:{} 0"),
        ('{{ template "__subject" . }}', "[FIRING:2] High_load's eu-1 (node)"),
    ],
)
def test_what_newer_ones_have(text: str, expected: str) -> None:
    """Functions and methods that Alertmanager has had since Debian's, and fields of Nissa's own."""
    assert rendered(text) == expected


def test_json_of_an_alert_is_that_of_a_webhook() -> None:
    """``toJson`` names fields as the body of a webhook does, in the same order."""
    found = orjson.loads(rendered("{{ toJson .Alerts }}"))
    body: Any = webhook_body(a_message())["alerts"]
    assert [one["labels"] for one in found] == [one["labels"] for one in body]
    assert list(found[0]) == list(body[0])


def test_the_page_of_emails_has_every_alert_escaped() -> None:
    """The default page for e-mails is Nissa's own."""
    page = rendered('{{ template "email.default.html" . }}', html=True)
    assert page.startswith("<!DOCTYPE html>")
    for part in ("[2] Firing", "[1] Resolved", "load &lt;5&gt; &amp; &#34;more&#34;", "http://nissa:9471/#/alerts"):
        assert part in page


def test_files_define_texts_of_each_other(tmp_path: Path) -> None:
    """A text includes those of other files; an empty definition replaces nothing, a later one does."""
    contents = (
        ("a.tmpl", '{{ define "a" }}a{{ template "b" . }}{{ end }}{{ define "c" }}first{{ end }}'),
        ("b.tmpl", '{{ define "b" }}b{{ .Status }}{{ end }}{{ define "c" }}second{{ end }}'),
        ("c.tmpl", '{{ define "c" }} {{ end }}{{ define "slack.default.title" }}ours{{ end }}plain'),
    )
    library = TextLibrary(TemplateFile(tmp_path / name, text) for name, text in contents)
    text = '{{ template "a" . }} {{ template "c" . }} {{ template "slack.default.title" }} {{ template "c.tmpl" }}'
    assert rendered(text, library=library) == "abfiring second ours plain"
    assert library.redefines("slack.default.title")
    assert not library.redefines("slack.default.text")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ('\n{{ define "t" }}\n{{ nope . }}{{ end }}', r"a\.tmpl, line 3: template: function 'nope' not defined"),
        ('\n\n{{ define "t" }}{{ if . }}', r"a\.tmpl, line 3: template: \{\{if\}\} without"),
        ('{{ define "t" }}{{ $x }}{{ end }}', r"a\.tmpl, line 1: template: undefined variable '\$x'"),
        ("\n{{", r"a\.tmpl, line 2: template: unclosed action"),
        (
            '{{ define "t" }}\n{{ template "gone" . }}{{ end }}',
            r"am\.yml, line 6: .*a\.tmpl, line 2: template 'gone' is not",
        ),
        (
            '{{ define "s" }}{{ end }}',
            r"am\.yml, line 6: receivers\[0\]\.slack_configs\[0\]\.text: .* template 't' is not",
        ),
    ],
)
def test_names_that_nothing_defines_are_refused_with_file_and_line(tmp_path: Path, content: str, where: str) -> None:
    """When the configuration is read, through all that a receiver's text includes."""
    (tmp_path / "a.tmpl").write_text(content)
    (tmp_path / "am.yml").write_text(
        "route: {receiver: r}\ntemplates: ['*.tmpl']\nreceivers:\n  - name: r\n    slack_configs:\n"
        "      - {api_url: 'http://127.0.0.1/', text: '{{ template \"t\" . }}'}\n"
    )
    with pytest.raises(ConfigInvalid, match=where):
        notifiers_of(read_routing_file(tmp_path / "am.yml"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ range $.Alerts }}" * 12 + "x" + "{{ end }}" * 12, "steps"),
        ('{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}', "20 deep"),
        ('{{ $x := "aaaaaaaaaa" }}{{ range 1000 }}{{ $x = print $x $x }}{{ end }}', "longer than"),
        ('{{ range 9000 }}{{ printf "%900d" . }}{{ end }}', "longer than 262144|steps"),
        ("{{ $l := list 1 }}{{ range 1000 }}{{ $l = append $l $l $l }}{{ end }}{{ toJson $l }}", "nested|steps"),
        ("{{ range 100000 }}{{ end }}", "iterate"),
        ("{{ (index .Alerts 0).StartsAt.AddDate 99999 0 0 }}", "calendar"),
        ("{{ (index .Alerts 0).StartsAt.Add 1e300 }}", "calendar"),
    ],
)
def test_texts_end_at_their_limits(text: str, why: str) -> None:
    """Steps, depth, sizes of texts, lists and times."""
    for html in (False, True):
        with pytest.raises(ValueError, match=why):
            rendered(text, html=html)


def test_languages_are_told_apart() -> None:
    """A text is Go's where it can be nothing else."""
    for text in (
        "{{ .Status }}",
        "{{- if .x }}",
        '{{ template "a" . }}',
        "{{ len .Alerts }}",
        "{{ (index .A 0).B }}",
        "{{/* c */}}",
        "{{ nope .A }}",
    ):
        assert is_go(text), text
    for text in (
        "",
        "plain",
        "{{ status }}",
        "{{ title | upper }}",
        "{{ not (a) }}",
        "{{ alerts[0].labels }}",
        "{{ 'a' }}",
    ):
        assert not is_go(text), text
