"""label_join and label_replace: texts that nested calls double end at a limit."""

import pytest

from nissa.promql import label_functions
from nissa.promql.evaluate import evaluate_range
from nissa.promql.limits import ExecutionFailed
from nissa.promql.memory_source import MemorySource
from nissa.promql.values import QueryResult


def answer(call: str, times: int) -> QueryResult:
    """A call around itself, on three series with labels of 60 characters."""
    source = MemorySource()
    for name in "abc":
        source.add({"__name__": "x", "a": name * 60}, [(0, 1.0)])
    expression = "x"
    for _ in range(times):
        expression = call.replace("INNER", expression)
    return evaluate_range(source, expression, 0, 0, 1_000)


@pytest.mark.parametrize(
    "call", ['label_join(INNER, "a", "", "a", "a")', 'label_replace(INNER, "a", "$1$1", "a", "(.*)")']
)
def test_doubled_labels_are_refused(monkeypatch, call: str) -> None:
    """One label is too long, or all labels of a call together; calls below the limits are answered."""
    found = answer(call, 10).vector
    assert found is not None
    assert len(found.labels.row(0)["a"]) == 61_440
    with pytest.raises(ExecutionFailed, match=r"122880 characters .* limit of 65536"):
        answer(call, 40)
    monkeypatch.setattr(label_functions, "CALL_CHARS_MAX", 300)
    with pytest.raises(ExecutionFailed, match=r"360 characters .* limit of 300"):
        answer(call, 1)
