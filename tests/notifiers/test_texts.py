"""Texts of notifications: a sandbox that ends."""

import pytest

from nissa.model.errors import ConfigInvalid
from nissa.notifiers.texts import MessageText, title_of
from oracle.messages_out import RESOLVED, a_message, an_alert


def rendered(template: str, *alerts: object, html: bool = False) -> str:
    """A template over a message about these alerts."""
    text = MessageText(template, "receivers.team.text", lambda _: "default", html=html)
    return text.render(a_message(*alerts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", "default"),
        ("{{ status }} {{ receiver }} {{ group_labels.alertname }} {{ missing }}", "firing team load "),
        ("{% for a in alerts %}{{ loop.index }}{{ a.labels.instance | upper }} {% endfor %}", "1A 2B "),
        ("{{ alerts[0].value + 1 }} {{ 'a' + 'b' }} {{ 'a' ~ 1 }}", "3.5 ab a1"),
        ("{{ resolved | length }}/{{ alerts | length }} {{ resolved[0].ends_at }}", "1/2 2024-11-21T11:53:20.000Z"),
        ('{{ template "slack.default.title" . }}{{ template "slack.default.text" . }}', "[FIRING:1] load (critical)"),
        ("{{ range .Alerts }}{{ .Labels.instance | toUpper }}{{ end }}", "AB"),
        ("{{ .CommonLabels.severity | toUpper }} {{ .Status }}", "CRITICAL firing"),
    ],
)
def test_templates_are_rendered(template: str, expected: str) -> None:
    """Jinja2, and Go's templates."""
    assert rendered(template, an_alert(instance="a"), an_alert(RESOLVED, instance="b")) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{ status",
        "{% include 'x' %}",
        "{% macro f() %}{{ f() }}{% endmacro %}",
        "{{ range .Alerts }}x",
        "{{ nope .Alerts }}{{ .Status }}",
        '{{ template "nope" . }}',
        "{{ .Status }}{% for a in alerts %}{% endfor %}",
        "{% for a in alerts recursive %}{% endfor %}",
        "{% for a in b %}" * 5 + "{% endfor %}" * 5,
        "x" * 70_000,
        "{{ 'x' | center(10) }}",
    ],
)
def test_what_is_no_template_is_refused_when_it_is_read(template: str) -> None:
    """The refusal names the path of the text."""
    with pytest.raises(ConfigInvalid, match=r"^receivers\.team\.text: "):
        rendered(template)


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in 'x' * 100000 %}{% endfor %}",
        "{% set x = 'x' %}" + "{% set x = x ~ x %}" * 40,
        "{% set x = 'x' %}" + "{% set x = x + x %}" * 40,
        "{% for a in g %}{% for b in g %}{% for c in g %}{% endfor %}{% endfor %}{% endfor %}".replace(
            "g", "group_key * 9"
        ),
        "{{ '%1000000000d' % 1 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ 'x'.ljust(1000000000) }}",
        "{{ 'x'.replace('x', 'y') }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ alerts.append(1) }}",
        "{% for a in group_key %}{% for b in group_key %}{% for c in group_key %}{% for d in group_key %}"
        + "x{% endfor %}" * 4,
        "{{ 1 / 0 }}",
        "{{ .Status.Nope }}",
        "{{ range .Alerts }}{{ .Labels.a.b }}{{ end }}",
        "{{ index .Alerts 5 }}",
    ],
)
def test_a_template_that_fails_or_would_not_end_is_told_in_the_text(template: str) -> None:
    """The notification goes out with the default text, and says which template has failed."""
    found = rendered(template)
    assert found.startswith("default\n(the template receivers.team.text failed: ")
    assert len(found) < 500


def test_errors_are_noted_in_the_message() -> None:
    """Each text that fails, also one that has no room for the error."""
    message = a_message()
    for bare in (False, True):
        text = MessageText("{{ .Status.Nope }}", "receivers.team.text", lambda _: "default", bare=bare)
        assert text.render(message).startswith("default")
        assert (text.render(message) == "default") is bare
    assert len(message.text_faults) == 4
    assert message.text_faults[0].startswith(
        "(the template receivers.team.text failed: ValueError: can't evaluate field"
    )
    assert a_message().text_faults == []


def test_html_is_escaped() -> None:
    """Values are escaped in HTML texts, and only there."""
    assert rendered("{{ common_annotations.summary }}", html=True) == "too &lt;much&gt; &amp; more"
    assert rendered("{{ common_annotations.summary }}") == "too <much> & more"


def test_titles_say_what_fires() -> None:
    """Titles have the names that fire, and the labels of the group."""
    assert title_of(a_message()) == "[FIRING:1] load"
    assert title_of(a_message(an_alert(RESOLVED))) == "[RESOLVED] load"
