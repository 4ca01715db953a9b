"""What the OpenAPI document says about parameters, which are read by hand as they may come by query string or form."""

from typing import Any

from nissa.model.level import LEVELS
from nissa.query.events import ORDERS

_TIME = "RFC 3339 or Unix seconds"
_PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "match[]": ({"type": "array", "items": {"type": "string"}}, "Selector; may be repeated, the series are united"),
    "start": ({"type": "string"}, f"First moment, inside the range; {_TIME}; without it there is no bound"),
    "end": ({"type": "string"}, f"Last moment, inside the range; {_TIME}; without it there is no bound"),
    "limit": ({"type": "integer", "minimum": 0}, "Entries at most"),
    "limit_per_metric": ({"type": "integer", "minimum": 0}, "Entries per metric at most"),
    "metric": ({"type": "string"}, "Metric name; all without it"),
    "source": ({"type": "array", "items": {"type": "string"}}, "Source of events; may be repeated; all without it"),
    "level": (
        {"type": "array", "items": {"type": "string", "enum": list(LEVELS)}},
        "Level of events; may be repeated; all without it",
    ),
    "q": ({"type": "string"}, "A part of the description or of the event id, in any case"),
    "cursor": ({"type": "string"}, "Where the next page begins, as the last one said"),
    "order": ({"type": "string", "enum": list(ORDERS), "default": ORDERS[0]}, "Which events come first"),
    "resolution": (
        {"type": "string", "default": "raw"},
        "raw, a tier of the ladder such as 5m, or auto: the coarsest that serves the step, stitched where data ends",
    ),
    "step": ({"type": "string"}, "For auto: how far apart points are wanted; seconds, or a duration such as 5m"),
    "quantiles": ({"type": "string", "default": "0.5,0.95,0.99"}, "Of each window, from 0 to 1, apart by commas"),
    "name": ({"type": "string"}, "What a pin is for"),
    "id": ({"type": "integer", "minimum": 1}, "Number of a pin"),
    "format": (
        {"type": "string", "enum": ["jsonl", "csv", "parquet", "arrow"], "default": "jsonl"},
        "Form of the answer",
    ),
}


def documented(*names: str) -> dict[str, Any]:
    """``openapi_extra`` of a route with these parameters."""
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema, "description": description}
            for name, (schema, description) in ((name, _PARAMETERS[name]) for name in names)
        ]
    }
