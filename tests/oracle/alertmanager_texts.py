"""Texts of notifications of the kinds that people write for Alertmanager, for comparisons with it."""

# ruff: noqa: E501 - texts are as they are

from typing import Final

TEXTS: Final = (
    "{{ .Status }} {{ .Receiver }} {{ .ExternalURL }} {{ .CommonLabels.alertname }}|{{ .CommonLabels.nope }}|{{ .CommonAnnotations.summary }}",
    """{{ range .Alerts.Firing }}{{ .Labels.instance }}: {{ .Annotations.summary }}
{{ end }}""",
    '{{ .GroupLabels.SortedPairs.Values | join " " }}',
    '{{ .CommonLabels.SortedPairs.Names | join ", " }} {{ .CommonLabels.Names | join "," }} {{ .CommonLabels.Values | join "," }}',
    '{{ with .CommonLabels.Remove (stringSlice "alertname" "job") }}{{ .SortedPairs.Values | join " " }}{{ end }}',
    """[{{ .Status | toUpper }}{{ if eq .Status "firing" }}:{{ .Alerts.Firing | len }}{{ end }}] {{ .CommonLabels.alertname }} for {{ .CommonLabels.job }}
{{- if gt (len .CommonLabels) (len .GroupLabels) -}}
  {{" "}}(
  {{- with .CommonLabels.Remove .GroupLabels.Names }}
    {{- range $index, $label := .SortedPairs -}}
      {{ if $index }}, {{ end }}
      {{- $label.Name }}="{{ $label.Value -}}"
    {{- end }}
  {{- end -}}
  )
{{- end }}""",
    """{{ range .Alerts -}}
*Alert:* {{ .Annotations.title }}{{ if .Labels.severity }} - `{{ .Labels.severity }}`{{ end }}

*Description:* {{ .Annotations.description }}

*Details:*
  {{ range .Labels.SortedPairs }} • *{{ .Name }}:* `{{ .Value }}`
  {{ end }}
{{ end }}""",
    """{{ range .Alerts }}{{ .StartsAt.Format "2006-01-02 15:04:05" }} {{ .StartsAt.Format "Mon, 02 Jan 2006 15:04:05 MST" }} {{ .StartsAt.Format "Jan _2 3:04PM '06 Monday January 1/2 .000" }} {{ .StartsAt.Format "2006-01-02T15:04:05.999Z07:00" }} {{ .StartsAt.Format "02.01.2006 15:04:05,000 -0700 002" }}{{ end }}""",
    "{{ range .Alerts }}{{ .StartsAt }} {{ .EndsAt }} {{ .EndsAt.IsZero }} {{ .StartsAt.Unix }} {{ .StartsAt.UnixNano }} {{ .StartsAt.UnixMilli }};{{ end }}",
    '{{ range .Alerts.Resolved }}{{ .EndsAt.Sub .StartsAt }} {{ (.EndsAt.Sub .StartsAt).Seconds }} {{ (.EndsAt.Sub .StartsAt).Minutes | printf "%.2f" }} {{ (.EndsAt.Sub .StartsAt).Hours }}{{ end }}',
    '{{ range .Alerts }}{{ (.StartsAt.Add 28800e9).Format "2006-01-02 15:04:05" }} {{ (.StartsAt.Add 3600000000000).Format "15:04" }} {{ (.StartsAt.AddDate 0 1 31).Format "2006-01-02" }}{{ end }}',
    '{{ (index .Alerts 0).Labels.instance }} {{ (index .Alerts 0).StartsAt.Year }} {{ (index .Alerts 0).StartsAt.Month }} {{ (index .Alerts 0).StartsAt.Weekday }} {{ printf "%d" (index .Alerts 0).StartsAt.Month }} {{ (index .Alerts 0).StartsAt.YearDay }}',
    '{{ index .CommonLabels "alertname" }} {{ index .CommonLabels "none" }}|{{ len .Alerts }} {{ len .CommonLabels }} {{ len "äb" }}',
    '{{ if and (eq .Status "firing") (gt (len .Alerts) 1) }}many{{ else if eq .Status "firing" }}one{{ else }}none{{ end }}',
    '{{ if or (eq .CommonLabels.severity "critical") (eq .CommonLabels.cluster "eu-1" "us-1") }}a{{ end }}{{ if not .CommonLabels.none }}b{{ end }}{{ if ne .Status "resolved" }}c{{ end }}',
    '{{ define "x" }}<{{ . }}>{{ end }}{{ template "x" .Status }}{{ range .Alerts }}{{ template "x" .Labels.instance }}{{ end }}',
    '{{ block "y" .Status }}[{{ . }}]{{ end }}',
    """{{ title "hello world foo_bar it's HTTP node.js a-b 3abc x:y é" }} {{ "ABC" | toLower | title }} {{ title "john o'neil's" }}""",
    r"""{{ match "^a.*" "abc" }} {{ match "[0-9]+" "abc" }} {{ reReplaceAll "([a-z]+)\\.example:(\\d+)" "$1-$2" (index .Alerts 0).Labels.instance }} {{ reReplaceAll "o" "0" "foo" }}""",
    '{{ $x := "a" }}{{ range $i, $a := .Alerts }}{{ $x = printf "%s%d" $x $i }}{{ end }}{{ $x }}',
    "{{ range $k, $v := .CommonLabels }}{{ $k }}={{ $v }};{{ end }}{{ range .Alerts.Firing }}{{ $.Status }}{{ end }}{{ range .CommonAnnotations }}x{{ else }}none{{ end }}",
    "{{ with .CommonAnnotations.summary }}x{{ . }}{{ else }}no{{ end }}{{ with $a := .Status }}{{ $a }}{{ end }}",
    r"""{{ printf "%-20s|%5d|%05d|%x|%X|%q|%v|%t|%.1f|%6.2f|%e|%s|%+d|%%|%c" "ab" 5 42 255 255 "q\"" .Status true 1.25 3.14159 12345.678 .Status 7 65 }}""",
    r"""{{ print 1 2 "a" "b" 3 }}|{{ println "a" 1 }}|{{ html "<a&'\">" }}|{{ js "it's <x> & \"y\" = \n" }}|{{ urlquery "a b&c=d/é+~" }}""",
    '{{ slice "abcdef" 1 3 }} {{ slice "abc" 1 }} {{ and 1 0 }} {{ or "" "b" }} {{ and "x" "y" }} {{ lt 1 2 }} {{ le 2 2 }} {{ ge 1 2 }} {{ eq 1 2 1 }} {{ lt 1.5 2.5 }} {{ lt "a" "b" }}',
    '{{ range .Alerts }}{{ if eq .Labels.severity "warning" }}{{ continue }}{{ end }}{{ .Labels.instance }},{{ end }}{{ range .Alerts }}{{ .Labels.job }}{{ break }}{{ end }}',
    '{{/* a comment */}}a {{- /* trims */ -}} b{{- "c" -}}   d',
    '{{ stringSlice "a" "b" }} {{ len (stringSlice "a" "b") }} {{ join "-" (stringSlice "a" "b") }} {{ index (stringSlice "a" "b") 1 }}',
    r"""{{ "quoted \"x\" \\ \u00e9 \t|" }} {{ `raw "x" \n` }} {{ 'a' }} {{ 0x1F }} {{ 1e3 }} {{ 1.0 }} {{ -5 }} {{ true }} {{ 1_000 }}""",
    r"""{{ range .Alerts }}{{ .Fingerprint }} {{ .GeneratorURL }} {{ .Status }} {{ .Labels.SortedPairs.Names }} {{ .Annotations.Values }}{{ "\n" }}{{ end }}""",
    """{{ if
 eq .Status "firing"
}}x{{
end}}{{if .Alerts}}y{{end}}{{template "__subject" .}}{{-  "z"}}""",
    '{{ if(eq .Status "firing") }}x{{end}}{{ (len .Alerts) }}{{ ((.Status)) }}{{ len .Alerts | printf "%d alerts" }}',
    "{{ $name := .CommonLabels.alertname }}{{ $n := len .Alerts }}{{ if gt $n 2 }}{{ $name }} x{{ $n }}{{ end }}",
    "{{ range $i, $e := .CommonLabels.SortedPairs }}{{ if $i }}, {{ end }}{{ .Name }}: {{ $e.Value }}{{ end }}",
    "{{ (index .Alerts 0).StartsAt.UTC }} {{ (index .Alerts 0).StartsAt.Local }} {{ ((index .Alerts 0).StartsAt.Sub (index .Alerts 2).StartsAt) }} {{ (index .Alerts 0).StartsAt.Before (index .Alerts 2).StartsAt }} {{ (index .Alerts 0).StartsAt.Hour }}:{{ (index .Alerts 0).StartsAt.Minute }}:{{ (index .Alerts 0).StartsAt.Second }}.{{ (index .Alerts 0).StartsAt.Nanosecond }}",
    """{{- range .Alerts.Firing }}
{{- if .Annotations.runbook_url }}<{{ .Annotations.runbook_url }}|:notebook:>{{ end }}
{{- end }}""",
    r""":{{ if eq .Status "firing" }}fire{{ else }}ok{{ end }}: {{ .CommonAnnotations.summary | reReplaceAll "\\s+" " " }} {{ .GroupLabels.alertname | title | toUpper }}""",
    "https://grafana/d/x?var-instance={{ (index .Alerts 0).Labels.instance | urlquery }}&from={{ (index .Alerts 0).StartsAt.Unix }}000",
    '{{ $s := 0 }}{{ range .Alerts }}{{ if eq .Status "firing" }}{{ $s = 1 }}{{ end }}{{ end }}{{ if eq $s 1 }}F{{ end }}{{ if not (eq $s 0) }}G{{ end }}',
    '{{ range .Alerts }}{{ range .Labels.Remove (stringSlice "alertname") }}{{ . }},{{ end }};{{ end }}',
    "{{ (.Alerts.Firing | len) }}/{{ .Alerts | len }} {{ len .Alerts.Resolved }} {{ with index .Alerts 0 }}{{ .Labels.job }}{{ end }}",
    "{{ (index .Alerts 0).StartsAt.Truncate 60 }} {{ (index .Alerts 0).StartsAt.Round 60000000000 }}",
    "{{ ((index .Alerts 2).EndsAt.Sub (index .Alerts 2).StartsAt).Round 1000000000 }} {{ ((index .Alerts 2).EndsAt.Sub (index .Alerts 2).StartsAt).Truncate 60000000000 }} {{ (index .Alerts 0).StartsAt.Sub (index .Alerts 2).EndsAt }}",
    "{{ if (index .Alerts 0).StartsAt }}t{{ end }}{{ if (index .Alerts 0).EndsAt }}t{{ end }}{{ with (index .Alerts 0).EndsAt }}w{{ end }}",
    '{{ .Alerts.Firing | len | printf "%03d" }} {{ printf "%t %v" true nil }} {{ print nil }} {{ printf "%T" .Status }}',
    '{{ if eq (len .Alerts.Firing) 2 }}{{ printf "%s has %d alerts" .CommonLabels.alertname (len .Alerts.Firing) }}{{ end }}{{ (printf "%s" .Status) | toUpper | printf "%s!" }}',
    '{{ .CommonLabels.alertname | reReplaceAll "(?i)high_(.*)" "low ${1}x" }} {{ reReplaceAll "a(b)?" "[$1]" "abaab" }} {{ reReplaceAll "x" "$$" "axb" }} {{ reReplaceAll "(x)" "$1y" "axb" }}',
    r"""{{ "äöü" | toUpper }} {{ "ß" | toUpper }} {{ title "ÀB cD" }} {{ title "a/b_c-d.e f1g 1st (x) \"y\"" }}""",
    '{{ or .CommonLabels.nope .CommonLabels.job "z" }} {{ and .CommonLabels.job .CommonLabels.nope }}| {{ not .Alerts }} {{ or 0 "" }}| {{ eq "a" "b" "a" }}',
    '{{ urlquery .CommonLabels.alertname " x" }} {{ html .CommonLabels.alertname }} {{ print .CommonLabels.alertname 5 6 "x" true false nil }} {{ println }}|',
    r"""{{ printf "%5.1f|%-8s|%8s|%3d|%-3d|%03d|%q|%#x|%6v|%x|% x|%s" 3.14159 "ab" "cd" 7 7 7 "a\tb\n" 255 "v" "hi" "hi" (stringSlice "a" "b") }}""",
    '{{ 1.5e3 }} {{ 100000000 }} {{ 1e21 }} {{ 123456789.0 }} {{ 0.000001 }} {{ printf "%v %g %e %f" 1e21 1e21 1e21 1.5 }} {{ 0b101 }} {{ 0o17 }}',
)

# Refused, or failing when it is rendered.
FAILING: Final = (
    "{{ .Nope }}",
    "{{ .Status.Nope }}",
    "{{ index .Alerts 9 }}",
    "{{ nofunc 1 }}",
    '{{ template "nope" . }}',
    "{{ range .Alerts }}{{ .Nope }}{{ end }}",
    "{{ .Status 5 }}",
    '{{ join "," "a" }}',
    "{{ toUpper 5 }}",
    '{{ eq 1 "a" }}',
    "{{ $undefined }}",
    "{{ if }}{{ end }}",
    "{{ end }}",
    "{{ lt .Status 5 }}",
    '{{ match "(" "a" }}',
    '{{ define "a" }}1{{ end }}{{ define "a" }}2{{ end }}{{ template "a" }}',
    "{{ .Alerts.Firing.Nope }}",
    "{{ len 5 }}",
    "{{ 5 | .Status }}",
    "{{ nil }}",
    '{{ template "x }}',
)

# Of e-mails: values are escaped by their place.
PAGES: Final = (
    "<p>{{ .CommonLabels.alertname }} {{ (index .Alerts 0).Annotations.summary }}</p>",
    '{{ range .Alerts }}<a href="{{ .GeneratorURL }}">Source</a><a href="{{ .Annotations.runbook_url }}">{{ .Annotations.runbook_url }}</a>{{ end }}',
    '<a href="{{ template "__alertmanagerURL" . }}">View in {{ template "__alertmanager" . }}</a>',
    """<table>{{ range .Alerts }}<tr><td class="{{ .Labels.severity }}">{{ .Labels.instance }}</td><td title='{{ .Annotations.summary }}'>{{ .Annotations.description }}</td></tr>{{ end }}</table>""",
    '<div style="color: {{ if eq .Status "firing" }}red{{ else }}green{{ end }}; width: {{ len .Alerts }}px">{{ .Status }}</div>',
    '<div style="background: {{ (index .Alerts 0).Annotations.summary }}">x</div>',
    '{{ safeHtml "<b>bold</b>" }} {{ "<b>not</b>" }} {{ "<i>" | safeHtml }}',
    "<!-- a comment {{ .Status }} --><b>x</b><!-- b -->",
    "a < b & c > d {{ .Status }}",
    '<a href="http://x/?q={{ .CommonLabels.alertname }}&r={{ (index .Alerts 0).Annotations.summary | urlquery }}#{{ .Status }}">l</a>',
    """<a href="/path/{{ .CommonLabels.alertname }}/x y">l</a><img src='{{ .ExternalURL }}/i.png'>""",
    "<td bgcolor={{ .Status }} title={{ (index .Alerts 0).Annotations.summary }}>x</td>",
    '<title>{{ template "__subject" . }}</title><textarea>{{ (index .Alerts 0).Annotations.summary }}</textarea>',
    '<script>var a = {{ .Status }}; var b = "{{ .Status }}";</script>',
    '<button onclick="f({{ .CommonLabels.alertname }})">x</button>',
    '<input disabled {{ if .Alerts }}checked{{ end }} value="{{ .Status }}">',
    "{{ range .Alerts }}{{ range .Labels.SortedPairs }}{{ .Name }} = {{ .Value }}<br />{{ end }}{{ end }}",
    '{{ "<x>" | html }} {{ html "a&b" }} {{ "a b&c" | urlquery }}',
    '<!DOCTYPE html><html><head><meta charset="utf-8"><style>td { color: red; }</style></head><body>{{ len .Alerts }}</body></html>',
    '{{ define "row" }}<tr><td>{{ . }}</td></tr>{{ end }}<table>{{ range .CommonLabels.SortedPairs.Values }}{{ template "row" . }}{{ end }}</table>',
    """<a href='{{ .ExternalURL }}/#/alerts?filter={alertname="{{ .CommonLabels.alertname }}"}'>x</a>""",
    """<a href="{{ .ExternalURL }}" style="font-family: 'Helvetica Neue'; color: #999">{{ .Status }}</a>""",
    "<h1>{{ .CommonAnnotations.summary }}</h1>{{ with .CommonLabels.cluster }}<b>{{ . }}</b>{{ end }}<br/>{{ (index .Alerts 0).StartsAt }} {{ .CommonLabels.SortedPairs.Values }}",
    '<a href="mailto:{{ .CommonLabels.job }}@x">m</a><a href="{{ "https://a.b/ä ö?x=1%20%" }}">u</a>',
    r"""<p data-href="{{ "javascript:x" }}" data-x="{{ "a\"b" }}">{{ "a`b=c/d" }}</p>""",
    '<a href="{{ if .Alerts }}{{ .ExternalURL }}{{ else }}/x{{ end }}/y?z={{ "a b" }}">q</a>',
    '<img alt="{{ "x>y" }}" src="{{ "data:image/png;base64,xx" }}" width=10 height="{{ 5 }}" />',
    """<div
  class="a"
  id='{{ .Status }}'
>
{{- range .Alerts.Firing }}
  <li>{{ .Labels.alertname }}: {{ .Annotations.description -}}</li>
{{ end }}</div>""",
    "<style>.x { color: {{ .Status }} }</style>",
    '<a href="#{{ .CommonLabels.alertname }}">x</a><a href="?a={{ "b c" }}&b={{ "d&e" }}">y</a>',
)
