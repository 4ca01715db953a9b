"""The route of key figures in one answer: training throughput, error budgets, the worst alerts.

``slo`` and ``alerts`` have the shape of the first Nissa, which dashboards read.
"""

from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.parameters import Parameters
from nissa.api.promql_answers import PromqlRequest, evaluated
from nissa.api.rule_routes import active_alert_shapes, known_acknowledgements
from nissa.api.state import ApiState, api_state_of
from nissa.model.errors import Damaged, NissaError
from nissa.query.limits import Allowance
from nissa.slo.budget import Budget
from nissa.slo.objective import Objective

TOP_ALERTS: Final = 10
RATE: Final = "sum(count_over_time(tolaria_training_latency_ms[5m])) / 300"  # Tolaria sends one per epoch
_SEVERITIES: Final = ("critical", "page", "error", "high", "warning", "ticket", "info")

router = APIRouter()


@router.get("/api/metrics/summary")
@router.get("/metrics/summary")
async def summary(request: Request) -> Response:
    """Training throughput, error budgets and the alerts that matter most."""
    api_state = api_state_of(request)

    def work(_parameters: Parameters, allowance: Allowance) -> Response:
        control = api_state.facts.slos
        budgets = [(one, budget) for one, budget, _ in (control.objectives() if control is not None else ()) if budget]
        alerts = active_alert_shapes(api_state, known_acknowledgements(api_state))
        firing = sorted((one for one in alerts if one["state"] == "firing"), key=_urgency)
        content = {
            "training_throughput": {"epochs_per_second": _epochs_per_second(api_state, allowance), "query": RATE},
            "error_budgets": sorted((_budget(*one) for one in budgets), key=lambda one: one["remaining_percent"]),
            "top_alerts": firing[:TOP_ALERTS],
            "slo": {one.name: _first_shape(budget) for one, budget in budgets},
            "alerts": {one["labels"].get("alertname", ""): _first_alert(one) for one in firing},
        }
        return Response(orjson.dumps(content), media_type="application/json")

    return await api_state.answer(request, work)


def _epochs_per_second(api_state: ApiState, allowance: Allowance) -> float | None:
    """Epochs trained per second; None if no epoch was trained in the last five minutes."""
    now_ms = api_state.facts.now_ms()
    damages: dict[str, Damaged] = {}
    try:
        answer = evaluated(api_state, PromqlRequest(RATE, now_ms, now_ms, 0), allowance, damages)
    except NissaError:  # the rest of the summary is there all the same
        return None
    vector = answer.vector
    return float(vector.values[0, 0]) if vector is not None and len(vector) and vector.present[0, 0] else None


def _budget(objective: Objective, budget: Budget) -> dict[str, Any]:
    return {
        "name": objective.name,
        "target_percent": objective.target_percent,
        "remaining_percent": budget.remaining_percent,
        "state": str(budget.state),
        "burn": budget.burn,
        "exhausted_in_ms": budget.exhausted_in_ms,
    }


def _first_shape(budget: Budget) -> dict[str, Any]:
    violated = budget.events.bad_ratio
    return {"total": budget.events.total, "violations": budget.events.bad, "burn_rate": violated}


def _first_alert(alert: dict[str, Any]) -> dict[str, Any]:
    routes = [text for text in alert["labels"].get("routes", "").split(",") if text]
    return {"metric": alert["labels"].get("alertname", ""), "value": alert["value"], "routes": routes}


def _urgency(alert: dict[str, Any]) -> tuple[bool, int, str]:
    """Sort key of an alert: unacknowledged first, then by severity, then the oldest."""
    severity = alert["labels"].get("severity", "")
    order = _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)
    return "acknowledgement" in alert, order, alert["activeAt"]
