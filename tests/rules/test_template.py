"""Templates of annotations: the language and functions of Prometheus."""

import re
from typing import Any

import pytest

from nissa.rules.template import TemplateFacts, check_template, expand

SAMPLES: list[dict[str, Any]] = [
    {"Labels": {"__name__": "up", "instance": "b:1"}, "Value": 2.0},
    {"Labels": {"__name__": "up", "instance": "a.example:9"}, "Value": 1.5},
]


def expanded(text: str, value: float = 1234.5) -> str:
    """A text with the labels of an alert."""
    facts = TemplateFacts({"job": "x", "n": "7"}, value, {"dc": "eu"}, "http://nissa/p/", 1_700_000_000_000, ask)
    return expand(text, facts)


def ask(expression: str) -> list[dict[str, Any]]:
    """Two series of up, none of anything else."""
    return SAMPLES if expression == "up" else []


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("{{ $labels.job }} at {{ $value }}", "x at 1234.5"),
        ("{{ .Labels.job }}{{ .Labels.none }}{{ .ExternalLabels.dc }}", "xeu"),
        ("{{ $value | humanize }} {{ 1048576.0 | humanize1024 }}", "1.234k 1Mi"),
        ('{{ humanizeDuration 86461.0 }} {{ "0.012" | humanizeDuration }}', "1d 0h 1m 1s 12ms"),
        ("{{ 0.12345 | humanizePercentage }} {{ 0.0 | humanize }}", "12.35% 0"),
        ("{{ humanizeTimestamp 1429628704.5 }}", "2015-04-21 15:05:04.5 +0000 UTC"),
        ("a  {{- /* c */ -}}  b {{- 1 }}", "ab1"),
        ("{{ if gt $value 1000.0 }}big{{ else if eq $value 1.0 }}one{{ else }}small{{ end }}", "big"),
        ('{{ with query "up" }}{{ . | first | value }}{{ end }}{{ with query "no" }}!{{ else }}none{{ end }}', "2none"),
        ('{{ range query "up" | sortByLabel "instance" }}{{ .Labels.instance }}={{ .Value }};{{ end }}', None),
        ('{{ range $i, $s := query "up" }}{{ $i }}{{ label "instance" $s }} {{ end }}', "0b:1 1a.example:9 "),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $x }}{{ end }}{{ $x }}", "22"),
        ('{{ define "a" }}[{{ . }}]{{ end }}{{ template "a" $labels.job }}', "[x]"),
        ('{{ printf "%.2f|%5d|%s|%q|%v|%x" $value 7 "s" "q" true 255 }}', '1234.50|    7|s|"q"|true|ff'),
        ('{{ "a.example:90" | stripPort }} {{ stripDomain "a.example:90" }} {{ "Ab c" | title }}', None),
        ('{{ reReplaceAll "(.)x" "<$1>" "axbx" }} {{ match "^a.*" "abc" }} {{ toUpper "a" }}', "<a><b> true A"),
        (
            '{{ externalURL }} {{ pathPrefix }} {{ graphLink "up == 1" }}',
            "http://nissa/p/ /p /graph?g0.expr=up+%3D%3D+1&g0.tab=0",
        ),
        ('{{ index $labels "job" }} {{ len $labels }} {{ and 1 0 }} {{ or 0 "b" }} {{ not true }}', "x 2 0 b false"),
        ('{{ (query "up" | first).Labels.instance }} {{ args 1 2 | len }} {{ print 1 2 "a" }}', "b:1 2 1 2a"),
        ('{{ `raw "` }} {{ parseDuration "1h" }} {{ "}}" }}', 'raw " 3600 }}'),
        ('{{ range $v := query "up" }}{{ if eq $v.Value 2.0 }}{{ continue }}{{ end }}{{ $v.Value }}{{ end }}', "1.5"),
    ],
)
def test_texts_are_expanded(text: str, result: str | None) -> None:
    """Each action gives the text that Prometheus gives."""
    check_template(text)
    others = {'{{ range query "up" | sortByLabel': "a.example:9=1.5;b:1=2;", '{{ "a.example:90"': "a.example a:90 Ab C"}
    wanted = result if result is not None else next(found for start, found in others.items() if text.startswith(start))
    assert expanded(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["{{", "{{ if }}", "{{ if true }}", "{{ end }}", "{{ nope }}", "{{ $x }}", '{{ "a }}', "{{ 1 | 2 }}", "{{ ) }}"],
)
def test_wrong_templates_are_refused(text: str) -> None:
    """Syntax, unknown functions and variables are found when a file is read."""
    with pytest.raises(ValueError, match="template"):
        check_template(text)


@pytest.mark.parametrize(
    "text",
    [
        '{{ query "no" | first }}',
        "{{ humanize $labels.job }}",
        "{{ eq 1 1.0 }}",
        '{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}',
        '{{ printf "%99999d" 1 }}',
        "{{ $value.x }}",
    ],
)
def test_a_failing_template_says_so(text: str) -> None:
    """An alert is never lost over its text."""
    assert expanded(text).startswith("<error expanding template: ")


def test_numbers_are_written_as_go_does() -> None:
    """Small and large numbers have an exponent."""
    for value, text in ((1e6, "1e+06"), (123456.0, "123456"), (0.00001, "1e-05"), (0.5, "0.5"), (-2.0, "-2")):
        assert expanded("{{ $value }}", value) == text
    assert expanded("{{ $value }}", float("nan")) == "NaN"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{{ $x := "aaaaaaaaaa" }}{{ range query "many" }}{{ $x = printf "%s%s" $x $x }}{{ end }}', "longer than"),
        ('{{ $x := "aaaaaaaaaa" }}{{ range query "many" }}{{ $x = print $x $x }}{{ end }}', "longer than"),
        ('{{ $x := "aaaaaaaaaa" }}{{ range query "many" }}{{ $x = println $x $x }}{{ end }}', "longer than"),
        (
            '{{ $x := "<<<<<<<<<<" }}{{ range query "many" }}{{ $x = html $x }}{{ $x = urlquery $x }}{{ end }}',
            "longer|steps",
        ),
        ('{{ $x := "a" }}{{ range query "many" }}{{ $x = reReplaceAll "." "$0$0$0" $x }}{{ end }}', "longer|steps"),
        ('{{ $x := 1 }}{{ range query "many" }}{{ $x = args $x $x }}{{ end }}{{ $x }}', "longer|nested"),
        ('{{ $x := 1 }}{{ range query "many" }}{{ $x = args $x $x }}{{ end }}{{ humanize $x }}', "longer|nested"),
        ('{{ query "many" }}', "longer"),
        (f'{{{{ printf "{"%1000d" * 100}" {"1 " * 100}}}}}', "longer"),
        (f'{{{{ printf "x" {"1 " * 20_000}}}}}', "longer"),
        ('{{ printf "%99999999999999999999d" 1 }}', "widths"),
        ('{{ range query "many" }}{{ range query "many" }}{{ end }}{{ end }}', "steps"),
        (
            '{{ $m := query "many" }}{{ range $m }}{{ range $m }}{{ break }}{{ end }}{{ end }}{{ range $m }}{{ end }}',
            "",
        ),
        ('{{ $m := query "many" }}{{ range $m }}{{ range $m }}{{ end }}{{ end }}', "steps"),
        ('{{ $m := query "many" }}{{ range $m }}{{ $y := sortByLabel "i" $m }}{{ end }}', "steps"),
        ('{{ range query "few" }}{{ $x := query "none" }}{{ end }}', "queries"),
        (f'{{{{ range query "many" }}}}{{{{ $x := and {"1 " * 100}}}}}{{{{ end }}}}', "steps"),
    ],
)
def test_work_and_texts_are_bounded(text: str, why: str) -> None:
    """Values, output and work of a template end at a limit, whatever is repeated in it."""
    sizes = {"many": 5_000, "few": 200, "none": 0}
    facts = TemplateFacts({}, 1.0, {}, "", 0, lambda name: [{"Labels": {"i": "1"}, "Value": 1.0}] * sizes[name])
    check_template(text)
    found = expand(text, facts)
    assert re.search(f"^<error expanding template: .*({why})", found) if why else found == ""


def test_a_long_text_is_no_fault() -> None:
    """A range over many series, each with functions, stays inside the limits."""
    samples = [{"Labels": {"instance": f"host{place}:9100"}, "Value": float(place)} for place in range(1_000)]
    facts = TemplateFacts({}, 1.0, {}, "", 0, lambda _: samples)
    text = '{{ range query "x" }}{{ stripPort .Labels.instance }} {{ printf "%.1f" .Value | toUpper }}, {{ end }}'
    assert expand(text, facts).endswith("host999 999.0, ")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ break }}", "outside"),
        ("{{ range 3 }}{{ else }}{{ continue }}{{ end }}", "outside"),
        ('{{ range 3 }}{{ define "a" }}{{ break }}{{ end }}{{ end }}', "outside"),
        (r'{{ "\UFFFFFFFF" }}', "no character"),
        ("{{/* a }}", "unclosed comment"),
    ],
)
def test_what_only_fails_when_an_alert_fires_is_refused(text: str, why: str) -> None:
    """The evaluation of a group ended with it before."""
    with pytest.raises(ValueError, match=why):
        check_template(text)
    assert check_template("{{ range 3 }}{{ if true }}{{ break }}{{ end }}{{ end }}") is None
