"""Backtests over HTTP: what would have fired, and what is refused."""

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from nissa.api.rule_control import AnswersRanges
from nissa.model.columns import SampleBatch
from nissa.service.rule_backtest import BacktestBounds, backtest_text
from oracle.backend_twin import BackendTwin, regular

FIRST_S = 1_732_190_000
RULES = "groups: [{name: g, interval: 1s, rules: [{alert: High, expr: up > 4}]}]"
FORM = {"rules": RULES, "start": str(FIRST_S), "end": str(FIRST_S + 9)}


class Rules:
    """Rules of a daemon, as far as a backtest asks."""

    def backtest(
        self,
        text: bytes,
        reader: AnswersRanges,
        span_ms: tuple[int, int],
        interval_ms: int,
        check: Callable[[], object],
    ) -> list[dict[str, Any]]:
        """As ``RuleControl`` says."""
        return backtest_text(text, reader, span_ms, interval_ms, BacktestBounds(), check)


@pytest.fixture
def client(serve, more_facts) -> httpx.Client:
    """Ten seconds of a series that counts from 0."""
    more_facts["rules"] = Rules()
    batch = regular(1, 10)
    return serve(BackendTwin([{"__name__": "up"}], SampleBatch(batch.series, batch.ts_ms, np.arange(10.0))))


def test_what_would_have_fired_is_told(client):
    """From when, with which labels and value; it fires until the end."""
    answer = client.post("/api/v1/rules/backtest", data=FORM).json()["data"]
    assert (answer["start_ms"], answer["end_ms"]) == (FIRST_S * 1_000, FIRST_S * 1_000 + 9_000)
    (group,) = answer["groups"]
    (fired,) = group["firings"]
    assert (group["name"], group["interval_ms"], group["evaluations"], group["errors"]) == ("g", 1_000, 10, [])
    assert (fired["rule"], fired["from_ms"], fired["until_ms"], fired["value"]) == (
        "High",
        (FIRST_S + 5) * 1_000,
        None,
        5,
    )


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"rules": ""}, "rules"),
        ({"rules": "#" * 65_537}, "65536 bytes"),
        ({"rules": "groups: [{name: g, rules: [{alert: A, expr: ')'}]}]"}, "line 1"),
        ({"start": ""}, "start"),
        ({"start": str(FIRST_S + 9), "end": str(FIRST_S)}, "end"),
        ({"interval": "0"}, "interval"),
        ({"start": "-365d", "end": "now"}, "20000"),
    ],
)
def test_what_cannot_be_backtested_is_refused(client, wrong, named):
    """With the parameter, the line or the limit."""
    answer = client.post("/api/v1/rules/backtest", data={**FORM, **wrong})
    assert answer.status_code == 400
    assert named in answer.json()["error"]
