"""Documents of OpenSLO v1."""

import pytest

from nissa.model.errors import ConfigInvalid
from nissa.model.units import DAY_MS
from nissa.promql.parse import read_expression
from nissa.slo.objective import Calendar, over
from nissa.slo.objective_file import parse_objective_file

SOURCE = "{metricSource: {type: Prometheus, spec: {query: '%s'}}}"
TEXT = f"""
apiVersion: openslo/v1
kind: Service
metadata: {{name: api}}
---
apiVersion: openslo/v1
kind: SLI
metadata: {{name: ok}}
spec: {{ratioMetric: {{counter: true, good: {SOURCE % "g"}, total: {SOURCE % "t"}}}}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {{name: api-errors}}
spec:
  service: api
  description: Errors of the API.
  indicatorRef: ok
  timeWindow: [{{duration: 28d, isRolling: true}}]
  budgetingMethod: Occurrences
  objectives: [{{target: 0.999}}, {{targetPercent: 99.5}}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {{name: slices}}
spec:
  indicator: {{spec: {{ratioMetric: {{bad: {SOURCE % "b"}, total: {SOURCE % "t"}}}}}}}
  timeWindow: [{{duration: 1Q}}]
  budgetingMethod: Timeslices
  objectives: [{{target: 0.99, timeSliceTarget: 0.95, timeSliceWindow: 5m}}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {{name: depth}}
spec:
  indicator: {{spec: {{thresholdMetric: {SOURCE % "max(depth)"}}}}}
  objectives: [{{op: lte, value: 100, target: 0.9}}]
"""


def test_documents_become_objectives() -> None:
    """Several objectives of one document, an indicator by reference, slices of time, a threshold, a calendar window."""
    found = parse_objective_file(TEXT.encode(), "f", 30 * DAY_MS, read_expression)
    assert [(one.name, round(one.target_percent, 9), one.window_ms // DAY_MS) for one in found] == [
        ("api-errors-1", 99.9, 28),
        ("api-errors-2", 99.5, 28),
        ("slices", 99, 90),
        ("depth", 90, 30),
    ]
    assert found[0].bad == "(sum(increase(t[$window]))) - ((sum(increase(g[$window]))) or vector(0))"
    assert found[2].calendar is Calendar.QUARTER
    assert over(found[2].bad, "1d") == (
        "sum_over_time((((sum(increase(b[5m]))) / ((sum(increase(t[5m]))) > 0)) > bool 0.05)[1d:5m])"
    )
    assert over(found[3].bad, "1d") == "sum(sum_over_time((1 - ((max(depth)) <= bool 100.0))[1d:1m]))"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("openslo/v1\nkind: SLO", "openslo/v2\nkind: SLO", "apiVersion"),
        ("kind: Service", "kind: Nonsense", "Nonsense"),
        ("indicatorRef: ok", "indicatorRef: none", "indicator"),
        ("op: lte", "op: eq", "op"),
        ("budgetingMethod: Occurrences", "budgetingMethod: Guess", "Guess"),
        ("28d", "28 d", "duration"),
    ],
)
def test_faults_are_named(before: str, after: str, message: str) -> None:
    """A fault is named with the file and the document."""
    with pytest.raises(ConfigInvalid, match=f"f: OpenSLO .*{message}"):
        parse_objective_file(TEXT.replace(before, after, 1).encode(), "f", 30 * DAY_MS, read_expression)
