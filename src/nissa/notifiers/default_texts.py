"""Texts that Alertmanager defines itself and that configurations include by name: ``{{ template "__subject" . }}``.

They give what Alertmanager's give, but for ``email.default.html``, which is a page of Nissa's own. Those of channels
that Nissa does not have are here as well, because texts of other channels include them.
"""

from collections.abc import Iterable
from typing import Final

_ALERTS: Final = """{{ range . }}Labels:
{{ range .Labels.SortedPairs }} - {{ .Name }} = {{ .Value }}
{{ end }}Annotations:
{{ range .Annotations.SortedPairs }} - {{ .Name }} = {{ .Value }}
{{ end }}Source: {{ .GeneratorURL }}
{{ end }}"""
_MARKDOWN: Final = """{{ range . }}
Labels:
{{ range .Labels.SortedPairs }}  - {{ .Name }} = {{ .Value }}
{{ end }}
Annotations:
{{ range .Annotations.SortedPairs }}  - {{ .Name }} = {{ .Value }}
{{ end }}
Source: {{ .GeneratorURL }}
{{ end }}
"""
_SUBJECT: Final = (
    '[{{ toUpper .Status }}{{ if eq .Status "firing" }}:{{ len .Alerts.Firing }}{{ end }}] '
    '{{ join " " .GroupLabels.Values }} '
    "{{ if gt (len .CommonLabels) (len .GroupLabels) }}"
    '({{ join " " (.CommonLabels.Remove .GroupLabels.Names).Values }}){{ end }}'
)
_SAID: Final = '{{ join " " .CommonAnnotations.Values }}\n'
_HTML_ALERTS: Final = """{{ range . }}<div style="border-top: 1px solid #ddd; padding: 8px 0">
{{ range .Labels.SortedPairs }}<b>{{ .Name }}</b> = {{ .Value }}<br>
{{ end }}{{ range .Annotations.SortedPairs }}<i>{{ .Name }}</i>: {{ .Value }}<br>
{{ end }}<a href="{{ .GeneratorURL }}">Source</a>
</div>
{{ end }}"""
_HTML: Final = """<!DOCTYPE html>
<html>
<head><meta charset="utf-8"><title>{{ template "__subject" . }}</title></head>
<body style="font-family: sans-serif">
<h2>{{ len .Alerts }} alert{{ if gt (len .Alerts) 1 }}s{{ end }} for {{ .GroupLabels.SortedPairs }}</h2>
<p><a href="{{ template "__alertmanagerURL" . }}">View in {{ template "__alertmanager" . }}</a></p>
{{ with .Alerts.Firing }}<h3>[{{ len . }}] Firing</h3>
{{ template "__nissa_html_alerts" . }}{{ end }}{{ with .Alerts.Resolved }}<h3>[{{ len . }}] Resolved</h3>
{{ template "__nissa_html_alerts" . }}{{ end }}
<p><a href="{{ .ExternalURL }}">Sent by {{ template "__alertmanager" . }}</a></p>
</body>
</html>
"""
_PRIORITY: Final = """{{- $found := "" -}}
{{- $alerts := .Alerts.Firing }}{{ if not $alerts }}{{ $alerts = .Alerts.Resolved }}{{ end -}}
{{- range $alerts -}}
{{- $severity := .Labels.severity -}}
{{- if eq $severity "critical" }}{{ $found = "High" -}}
{{- else if and (eq $severity "warning") (ne $found "High") }}{{ $found = "Medium" -}}
{{- else if and (eq $severity "info") (eq $found "") }}{{ $found = "Low" }}{{ end -}}
{{- end -}}
{{- $found -}}"""


def _parts(title: str, alerts: str, *, tight: bool) -> str:
    """Firing alerts, then resolved ones, each under its title. tight: without empty lines around them."""
    found = []
    for state in ("Firing", "Resolved"):
        condition = f"{{{{ if gt (len .Alerts.{state}) 0 {'-' if tight else ''}}}}}"
        lines = f'\n{title}Alerts {state}:\n{{{{ template "{alerts}" .Alerts.{state} }}}}\n'
        found.append(condition + lines + ("{{- end }}" if tight else "{{ end }}"))
    return "\n".join(found)


def _same(names: Iterable[str], text: str) -> dict[str, str]:
    return dict.fromkeys(names, text)


_INCLUDED: Final = '{{{{ template "{}" . }}}}'
_LOOSE: Final = _parts("", "__text_alert_list", tight=False) + "\n"
_TIGHT: Final = _parts("", "__text_alert_list", tight=True)
_LOOSE_MARKDOWN: Final = "\n" + _parts("# ", "__text_alert_list_markdown", tight=False) + "\n"
TEXTS: Final[dict[str, str]] = {
    "__alertmanager": "Alertmanager",
    "__alertmanagerURL": "{{ .ExternalURL }}/#/alerts?receiver={{ .Receiver | urlquery }}",
    "__subject": _SUBJECT,
    "__description": "",
    "__text_alert_list": _ALERTS,
    "__text_alert_list_markdown": _MARKDOWN,
    "__nissa_html_alerts": _HTML_ALERTS,
    **_same(
        (
            *("slack.default.title", "pagerduty.default.description", "opsgenie.default.message"),
            *("victorops.default.entity_display_name", "pushover.default.title", "sns.default.subject"),
            *("discord.default.title", "email.default.subject", "msteams.default.summary", "msteams.default.title"),
            *("msteamsv2.default.title", "jira.default.summary", "rocketchat.default.title"),
        ),
        _INCLUDED.format("__subject"),
    ),
    **_same(
        (
            *("slack.default.username", "pagerduty.default.client", "victorops.default.monitoring_tool"),
            "rocketchat.default.alias",
        ),
        _INCLUDED.format("__alertmanager"),
    ),
    **_same(
        (
            *("slack.default.titlelink", "pagerduty.default.clientURL", "opsgenie.default.source"),
            *("pushover.default.url", "rocketchat.default.titlelink"),
        ),
        _INCLUDED.format("__alertmanagerURL"),
    ),
    **_same(
        (
            *("slack.default.callbackid", "slack.default.pretext", "slack.default.iconemoji", "slack.default.iconurl"),
            *("slack.default.text", "slack.default.footer", "wechat.default.to_user", "wechat.default.to_party"),
            *("wechat.default.to_tag", "wechat.default.agent_id", "discord.default.content"),
            *("rocketchat.default.emoji", "rocketchat.default.iconurl", "rocketchat.default.text"),
        ),
        "",
    ),
    "slack.default.fallback": '{{ template "slack.default.title" . }} | {{ template "slack.default.titlelink" . }}',
    "pagerduty.default.instances": _INCLUDED.format("__text_alert_list"),
    **_same(("opsgenie.default.description", "victorops.default.state_message"), _SAID + _TIGHT),
    "wechat.default.message": (
        f"{_INCLUDED.format('__subject')}\n{_SAID}{_TIGHT}\nAlertmanagerUrl:\n{_INCLUDED.format('__alertmanagerURL')}"
    ),
    **_same(("pushover.default.message", "sns.default.message", "webex.default.message"), _SAID + _LOOSE),
    **_same(("telegram.default.message", "discord.default.message"), "\n" + _LOOSE),
    **_same(
        ("msteams.default.text", "msteamsv2.default.text", "jira.default.description", "mattermost.default.text"),
        _LOOSE_MARKDOWN,
    ),
    "jira.default.priority": _PRIORITY,
    "email.default.html": _HTML,
}
