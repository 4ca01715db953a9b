"""Answers as Arrow tables: the columns of a table of samples, whatever the kind of the answer.

name        dictionary<string>      the metric's name; null where the answer has none
labels      dictionary<string>      the other labels as JSON, sorted by name
timestamp   timestamp[ms, UTC]
value       float64; a string answer has a text column instead
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from nissa.model.matcher import NAME_LABEL
from nissa.promql.labels import Labels
from nissa.promql.values import QueryResult, TimeColumn, Values

if TYPE_CHECKING:
    import pyarrow as pa


def answer_table(answer: QueryResult) -> "pa.Table":
    """An answer as a table, one row per series and time. Warnings, infos and resolutions are its metadata."""
    import pyarrow as pa  # heavy, and not needed for receiving

    notes = {"nissa.kind": answer.kind, "nissa.warnings": orjson.dumps(answer.warnings)}
    notes |= {"nissa.infos": orjson.dumps(answer.infos), "nissa.resolution": ", ".join(answer.resolutions)}
    if answer.kind == "string":
        times = pa.array(answer.at_ms).cast(pa.timestamp("ms", tz="UTC"))
        return pa.table({"timestamp": times, "text": [answer.text]}).replace_schema_metadata(notes)
    rows, ts_ms, values, labels = answer_columns(answer)
    columns = _text_columns(labels, rows)
    columns["timestamp"] = pa.array(ts_ms).cast(pa.timestamp("ms", tz="UTC"))
    columns["value"] = pa.array(values, from_pandas=False)
    return pa.table(columns).replace_schema_metadata(notes)


def answer_columns(answer: QueryResult) -> tuple[TimeColumn, TimeColumn, Values, Labels | None]:
    """Row of the labels (-1 where there are none), time and value of everything in an answer."""
    if answer.scalar is not None:
        return np.full(1, -1), answer.at_ms, answer.scalar.values, None
    if answer.samples is not None:
        samples = answer.samples
        rows = np.repeat(np.arange(len(samples.labels)), np.diff(samples.offsets))
        return rows, samples.ts_ms, samples.value, samples.labels
    if answer.vector is None:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), None
    rows, steps = np.nonzero(answer.vector.present)
    return rows, answer.at_ms[steps], answer.vector.values[rows, steps], answer.vector.labels


def _text_columns(labels: Labels | None, rows: TimeColumn) -> dict[str, Any]:
    sets = [] if labels is None else [labels.row(row) for row in range(len(labels))]
    names = [one.pop(NAME_LABEL, None) for one in sets]
    return {
        "name": _spread(names, rows),
        "labels": _spread([orjson.dumps(one).decode() for one in sets] or ["{}"], rows),
    }


def _spread(texts: list[str | None] | list[str], rows: TimeColumn) -> Any:
    """A text per series, spread over its rows: each distinct text once, a missing one null."""
    import pyarrow as pa

    places: dict[str, int] = {}
    codes = np.array([-1 if text is None else places.setdefault(text, len(places)) for text in texts], np.int32)
    spread = codes[rows] if len(codes) else np.full(len(rows), -1, np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(spread, mask=spread < 0), pa.array(list(places), pa.string()))
