"""The route that evaluates rules over the stored past. It stores and sends nothing."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.documented import documented_form
from nissa.api.envelope import missing_data, success
from nissa.api.parameters import Parameters
from nissa.api.promql_answers import PromqlRequest, evaluated
from nissa.api.state import ApiState, api_state_of
from nissa.model.errors import BadQuery, Damaged
from nissa.model.units import SECOND_MS
from nissa.promql.values import QueryResult
from nissa.query.limits import Allowance
from nissa.query.times import read_step

TEXT_BYTES_MAX: Final = 64 * 1024
INTERVAL: Final = "30s"

router = APIRouter()


class RangeAnswers:
    """Range queries of one backtest, all under its allowance."""

    def __init__(self, api_state: ApiState, allowance: Allowance) -> None:
        self._api_state = api_state
        self._allowance = allowance
        self.damages: dict[str, Damaged] = {}

    def answer_range(self, expression: str, start: float, end: float, step: float) -> QueryResult:
        """As ``AnswersRanges`` says."""
        start_ms, end_ms, step_ms = (round(seconds * SECOND_MS) for seconds in (start, end, step))
        question = PromqlRequest(expression, start_ms, end_ms, step_ms)
        return evaluated(self._api_state, question, self._allowance, self.damages)


@router.post(
    "/api/v1/rules/backtest",
    openapi_extra=documented_form("rules", "start", "end", "since", "interval", needed=("rules",)),
)
async def backtest(request: Request) -> Response:
    """Return when the alerts of a rule file would have fired in the stored past."""
    api_state = api_state_of(request)

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        text = parameters.text("rules").encode()
        if not text or len(text) > TEXT_BYTES_MAX:
            raise BadQuery(
                f"invalid parameter 'rules': expected a rule file of 1 to {TEXT_BYTES_MAX} bytes, got {len(text)}"
            )
        if not any(map(parameters.text, ("start", "since"))):
            raise BadQuery("missing parameter 'start' or 'since': the time of the first evaluation")
        start_ms, behind_ms = parameters.interval_ms()
        span_ms = start_ms, min(behind_ms - 1, parameters.now_ms)
        interval_ms = read_step(parameters.text("interval", INTERVAL))
        if span_ms[1] < start_ms or interval_ms <= 0:
            raise BadQuery("the range must not end before it starts, and the interval be more than 0")
        rules = api_state.facts.rules
        if rules is None:
            raise BadQuery("no rules are evaluated here")
        answers = RangeAnswers(api_state, allowance)
        groups = rules.backtest(text, answers, span_ms, interval_ms, allowance.check)
        return success({"start_ms": start_ms, "end_ms": span_ms[1], "groups": groups}, missing_data(answers.damages))

    return await api_state.answer(request, work)
