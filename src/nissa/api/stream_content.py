"""The content of stream messages: status, alerts, events, results of queries. All but the status in worker threads.

{"type":"status","time_ms":…,"queue_depth":0,"alert_count":0,"conservative_mode":false,"mode":"normal"}
{"type":"alerts","id":"a","alerts":[…]}                     whenever they have changed
{"type":"events","id":"e","events":[…],"cursor":"…"}        those that have arrived
{"type":"query","id":"q","data":{"resultType":"vector",…},"warnings":[…]}
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
import orjson

from nissa.api.envelope import TRUNCATED, missing_data
from nissa.api.promql_answers import PromqlRequest, evaluated, limited_answer
from nissa.api.rule_routes import active_alert_shapes, firing_alerts
from nissa.api.state import ApiState
from nissa.model.errors import Damaged
from nissa.promql.format import answer_json
from nissa.query.events import EventRequest, Position, read_page, shown_event
from nissa.query.limits import Allowance

ALERTS_MAX: Final = 1_000
EVENTS_MAX: Final = 500
SERIES_MAX: Final = 1_000

Content = TypeVar("Content")


def status_message(api_state: ApiState) -> bytes:
    """The message that every client gets: queue depth in frames, alerts that fire, mode."""
    facts = api_state.facts
    queue, mode = api_state.backend.status().queue, str(facts.mode().get("mode", "normal"))
    content = {
        "type": "status",
        "time_ms": facts.now_ms(),
        "queue_depth": 0 if queue is None else queue.frames,
        "alert_count": len(firing_alerts(api_state)),
        "conservative_mode": mode != "normal",
        "mode": mode,
    }
    return orjson.dumps(content)


def alerts_content(api_state: ApiState, acknowledged: Any) -> bytes:
    """The part of an ``alerts`` message behind its id. Blocks."""
    found = active_alert_shapes(api_state, acknowledged)
    content: dict[str, Any] = {"alerts": found[:ALERTS_MAX]}
    if len(found) > ALERTS_MAX:
        content["warnings"] = [f"{len(found) - ALERTS_MAX} more alerts"]
    return orjson.dumps(content)[1:]


async def events_content(api_state: ApiState, wanted: EventRequest, cursor: Position) -> tuple[bytes, Position | None]:
    """The part of an ``events`` message behind its id, empty where no event has arrived; and the next cursor."""
    question = msgspec.structs.replace(wanted, cursor=cursor, limit=EVENTS_MAX)
    damages: dict[str, Damaged] = {}

    def read(allowance: Allowance) -> tuple[bytes, Position | None]:
        with api_state.backend.event_snapshot() as snapshot:
            page = read_page(snapshot, question, allowance.check, api_state.noting(damages))
        if not page.events:
            return b"", page.cursor
        content: dict[str, Any] = {"events": [shown_event(row) for row in page.events], "cursor": str(page.cursor)}
        if damages:
            content["warnings"] = missing_data(damages)
        return orjson.dumps(content)[1:], page.cursor

    return await _asked(api_state, read)


async def query_content(api_state: ApiState, expression: str) -> bytes:
    """The part of a ``query`` message behind its id. Raises: what evaluation raises."""
    now_ms = api_state.facts.now_ms()
    question = PromqlRequest(expression, now_ms, now_ms, 0, series_max=SERIES_MAX)

    def evaluate(allowance: Allowance) -> bytes:
        damages: dict[str, Damaged] = {}
        answer = evaluated(api_state, question, allowance, damages)
        answer, is_cut = limited_answer(answer, question.series_max)
        warnings = [*answer.warnings, *missing_data(damages), *([TRUNCATED] if is_cut else [])]
        notes = b',"warnings":' + orjson.dumps(warnings) if warnings else b""
        return b'"data":' + b"".join(answer_json(answer)) + notes + b"}"

    return await _asked(api_state, evaluate)


async def _asked(api_state: ApiState, work: Callable[[Allowance], Content]) -> Content:
    """``work(allowance)`` on a thread of the queries."""
    allowance = api_state.allowance()

    def within() -> Content:
        with allowance:
            return work(allowance)

    async with api_state.questions.place():
        return await api_state.questions.run(within)


def message_of(kind: str, subscription: str, content: bytes) -> bytes:
    """A message for one subscription. content: as the functions above give it."""
    return b'{"type":"%s","id":%s,' % (kind.encode(), orjson.dumps(subscription)) + content


async def acknowledgements(api_state: ApiState) -> Any:
    """Acknowledgements in force; none where nothing runs."""
    control = api_state.facts.rules
    return {} if control is None else await asyncio.to_thread(control.acknowledgements)
