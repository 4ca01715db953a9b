"""Limits of labels and annotations of rules: when a file is read, and when a template is expanded."""

from collections.abc import Sequence

import pytest

from nissa.model.errors import ConfigInvalid
from nissa.promql.parse import read_expression
from nissa.rules.event_match import AlertingEvents
from nissa.rules.group import GroupEvaluation, Surroundings
from nissa.rules.queries import RecordedSample, RuleSample
from nissa.rules.rule_file import parse_rule_file
from nissa.rules.text_limits import TextLimits

LIMITS = TextLimits(labels_max=2, label_bytes_max=10, annotations_max=1, annotation_bytes_max=20)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("labels: {a: '1', b: '2', c: '3'}", r"line 1: groups\[0\].rules\[0\].labels: 3 .* \(alerting.labels_max\)"),
        ("labels: {a: xxxxxxxxxx}", r"labels.a: 11 bytes are over the limit of 10 \(alerting.label_size_max\)"),
        (r'labels: {a: "x\0"}', "labels.a: the zero character is not allowed"),
        ("annotations: {a: '1', b: '2'}", r"annotations: 2 are over the limit of 1 \(alerting.annotations_max\)"),
        ("annotations: {a: xxxxxxxxxxxxxxxxxxxx}", r"annotations.a: 21 bytes .* \(alerting.annotation_size_max\)"),
    ],
)
def test_a_file_over_a_limit_is_refused(rule: str, message: str) -> None:
    """The refusal names the place and the setting."""
    text = f"groups: [{{name: g, rules: [{{alert: A, expr: x, {rule}}}]}}]".encode()
    with pytest.raises(ConfigInvalid, match=message):
        parse_rule_file(text, "f", read_expression, LIMITS)


def test_an_expanded_text_over_a_limit_says_so() -> None:
    """The alert is there, with the labels of its series as they are."""
    text = b"groups: [{name: g, rules: [{alert: A, expr: x, annotations: {a: '{{ .Labels.a }}'}}]}]"
    (group,) = parse_rule_file(text, "f", read_expression, LIMITS)
    series = OneSeries({"a": "\u00e9" * 10})
    (found,) = GroupEvaluation(group, Surroundings(texts=LIMITS), float).evaluate(0, series, series)
    assert found.alert is not None
    assert found.alert.labels == {"a": "\u00e9" * 10, "alertname": "A"}
    assert found.alert.annotations["a"].startswith("<error expanding template: 21 bytes are over the limit of 20")


class OneSeries:
    """Every expression has one series; recorded samples are discarded."""

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels

    def names(self, _: str) -> None:
        """As ``Queries`` says."""

    def expect(self, *_: object) -> None:
        """As ``Queries`` says."""

    def instant(self, expression: str, at_ms: int) -> list[RuleSample]:
        """As ``Queries`` says."""
        del expression, at_ms
        return [RuleSample(self.labels, 1.0)]

    def events(self, match: AlertingEvents, at_ms: int) -> list[RuleSample]:
        """As ``Queries`` says."""
        del match, at_ms
        return []

    def renew(self) -> None:
        """As ``Queries`` says."""

    def record(self, samples: Sequence[RecordedSample]) -> None:
        """As ``Recorder`` says."""
