"""The answer of a range query as the columns of a drawing: ``promql/drawing.py`` behind the parameters of the API."""

from collections.abc import Generator

from nissa.api.parameters import Parameters
from nissa.api.promql_answers import POINTS_MAX, answering, read_span
from nissa.api.state import ApiState
from nissa.model.errors import BadQuery
from nissa.promql.drawing import drawing_pieces
from nissa.query.limits import Allowance


def drawing_answer(
    api_state: ApiState, parameters: Parameters, allowance: Allowance, client: str, headers: dict[str, str]
) -> Generator[bytes, None, None]:
    """The whole body, as ``answer_pieces`` gives that of a range query. Raises: BadQuery."""
    question = read_span(parameters)
    columns = parameters.count("columns", POINTS_MAX)
    if not 1 <= columns <= POINTS_MAX:
        raise BadQuery(f"invalid parameter 'columns': {columns} is not a whole number from 1 to {POINTS_MAX}")
    with answering(api_state, question, allowance, client, headers) as (answer, warnings):
        head = {"start_ms": question.start_ms, "step_ms": question.step_ms, "steps": len(answer.at_ms)}
        if answer.vector is not None:
            notes = {"warnings": warnings, "infos": list(answer.infos)}
            for piece in drawing_pieces(answer.vector, head | notes, columns):
                allowance.check()
                yield piece
