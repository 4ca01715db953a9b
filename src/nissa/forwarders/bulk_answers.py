"""Meanings of answers of the bulk API of Elasticsearch and OpenSearch.

of a request
2xx                              the answer says of each item what became of it
429, 5xx                         again, after Retry-After
3xx, 401, 403, 404, 405, 407     wrong address or credentials: nothing is given up, tries are rare
413, other 4xx                   the data: halve it, and set aside what is refused alone

of an item
2xx, 409                         done; 409 says that this id is there, from an attempt whose answer was lost
429, 5xx                         again
404                              the stream is gone: it is made, and the item is sent again
401, 403                         no permission: again, tries are rare
other 4xx                        to the dead letters

A request with status 200 reports failed items by ``"errors": true`` only.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.forwarders.remote_write_answers import Verdict, judge
from nissa.forwarders.sink_client import SinkAnswer

# Of an answer, so that it is not longer than the request.
FILTER: Final = (
    "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"
    ",items.*.error.caused_by.reason,items.*.error.caused_by.caused_by.reason"
)
REASON_CHARACTERS: Final = 200  # of each part of it: a server may quote the whole value that it refuses
CAUSES_MAX: Final = 2  # of an error; Elasticsearch tells by them what is wrong with an event
ERRORS_WITHIN: Final = 64  # bytes from the beginning of an answer
_PERMISSION: Final = (401, 403)


class BulkOutcome(msgspec.Struct, frozen=True):
    """The items of one answer. again: rows to send once more, int64. dead: row and reason of those refused.

    reason: why some are sent again, of the first of them. gone: the stream is not there. blocked: no permission.
    """

    done: int
    again: npt.NDArray[np.int64]
    dead: list[tuple[int, str]]
    reason: str = ""
    gone: bool = False
    blocked: bool = False


class _Item(msgspec.Struct):
    status: Annotated[int, msgspec.Meta(ge=0, le=999)]
    error: Any = None


class _Answer(msgspec.Struct):
    items: list[dict[str, _Item]]


_DECODER: Final = msgspec.json.Decoder(_Answer)


def judge_bulk(answer: SinkAnswer) -> Verdict:
    """The meaning of the status of a bulk request."""
    return judge(answer, "1.0")


def judge_items(answer: SinkAnswer, count: int) -> BulkOutcome:
    """Outcomes of ``count`` items. Raises: ValueError for an answer that does not contain them."""
    if not answer.whole:
        raise ValueError(f"the answer is longer than the {len(answer.content)} bytes that are read")
    if _all_stored(answer.content, count):
        return BulkOutcome(count, np.empty(0, np.int64), [])
    try:
        items = [item for one in _DECODER.decode(answer.content).items for item in one.values()]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"the answer is not that of a bulk request: {error}: {answer.text}") from None
    if len(items) != count:
        raise ValueError(f"the answer tells of {len(items)} items, the request had {count}")
    statuses = np.array([item.status for item in items], np.int64)
    done = ((statuses >= 200) & (statuses < 300)) | (statuses == 409)
    gone, blocked = statuses == 404, np.isin(statuses, _PERMISSION)
    again = (statuses == 429) | (statuses >= 500) | (statuses < 200) | gone | blocked
    waiting = np.flatnonzero(again)
    dead = [(row, _reason(items[row])) for row in np.flatnonzero(~done & ~again).tolist()]
    reason = _reason(items[int(waiting[0])]) if len(waiting) else ""
    counted = int(np.count_nonzero(done))
    return BulkOutcome(counted, waiting, dead, reason, bool(gone.any()), bool(blocked.any()))


def _all_stored(content: bytes, count: int) -> bool:
    """True if the answer says that there was no error and has a good status for each item: most do."""
    if not content[:ERRORS_WITHIN].count(b'"errors":false'):
        return False
    return content.count(b'"status":201') + content.count(b'"status":200') == count == content.count(b'"status":')


def _reason(item: _Item) -> str:
    return f"the sink answers status {item.status} for an event: {error_text(item.error)}".removesuffix(": ")


def error_text(error: Any) -> str:
    """Type and reason of an error as these servers write it, with the reasons of its causes, on one line."""
    if not isinstance(error, Mapping):
        return _line(error)
    words = [_line(error.get(name)) for name in ("type", "reason")]
    for _ in range(CAUSES_MAX):
        error = error.get("caused_by")
        if not isinstance(error, Mapping):
            break
        words.append(_line(error.get("reason")))
    return ": ".join(word for place, word in enumerate(words) if word and not any(word in one for one in words[:place]))


def _line(text: Any) -> str:
    shown = "" if text is None else str(text)[:REASON_CHARACTERS]
    return "".join(one if one.isprintable() else " " for one in shown)
