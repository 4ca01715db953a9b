"""Events as lines for the bulk API of Elasticsearch and OpenSearch.

    {"create":{"_id":"7f3a9c0d51e2-1a2b-3"}}                                  id: directory, LSN, place in the frame
    {"@timestamp":1758000000000,"level":"error","source":"tolaria","event_id":"","description":"…","packet_id":"",
     "attributes":{"service":"training"}}                                     as one line

Everything is built as columns: text is escaped where a column has something to escape, and joined by Arrow's kernels.
Of attributes of one name the last is sent, as readers of Nissa take it; JSON with a name twice would be refused.

An event of a packet has the hash of its content as id, so that a packet sent again makes no second document. Others
are known by their place in the journal, as the store keeps them as often as they were sent.
"""

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.json_text import escaped_text
from nissa.files.arrow_columns import arrow_column, arrow_text
from nissa.model.columns import EventBatch, TextColumn
from nissa.model.level import LEVELS
from nissa.redaction.event_filter import take_text

if TYPE_CHECKING:
    import pyarrow as pa

ID_BYTES: Final = 15  # of the SHA-256 of an event, which most processors have an instruction for
TEXTS: Final = ("source", "event_id", "description", "packet_id")
MARKS_MAX: Final = 1 << 24  # bytes of memory, to look for attributes of one name


class BulkLines(msgspec.Struct, frozen=True):
    """Lines of some events: an Arrow array of text, each with its action and its document."""

    lines: "pa.Array"

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def size(self) -> int:
        """Bytes of all lines."""
        first, last = self._bounds()
        return last - first

    def body(self) -> bytes:
        """The lines one behind the other."""
        data = self.lines.buffers()[2]
        first, last = self._bounds()
        return b"" if data is None else bytes(memoryview(data)[first:last])

    def part(self, first: int, end: int) -> "BulkLines":
        """Lines [first, end)."""
        return BulkLines(self.lines.slice(first, end - first))

    def taken(self, rows: npt.NDArray[np.int64]) -> "BulkLines":
        """The lines of ``rows``, in that order."""
        import pyarrow as pa  # heavy: only with a sink of this kind

        return BulkLines(self.lines.take(arrow_column(rows, pa.int64())))

    def parts(self, events_max: int, bytes_max: int) -> "list[BulkLines]":
        """The lines in order, in parts of at most so many events and bytes; a longer line is a part of its own."""
        offsets = self._offsets()
        found, first = [], 0
        while first < len(self):
            end = int(np.searchsorted(offsets, int(offsets[first]) + bytes_max, "right")) - 1
            end = min(max(end, first + 1), first + events_max, len(self))
            found.append(self.part(first, end))
            first = end
        return found

    def document(self, row: int) -> tuple[str, dict[str, Any]]:
        """Id and document of a line."""
        action, _, document = self.lines[row].as_py().partition("\n")
        return msgspec.json.decode(action)["create"]["_id"], msgspec.json.decode(document)

    def _offsets(self) -> npt.NDArray[np.int32]:
        return np.frombuffer(self.lines.buffers()[1], np.int32)[self.lines.offset :][: len(self) + 1]

    def _bounds(self) -> tuple[int, int]:
        offsets = self._offsets() if len(self) else (0,)
        return int(offsets[0]), int(offsets[-1])


def together(parts: Sequence[BulkLines]) -> BulkLines:
    """The lines of all parts, one at least."""
    import pyarrow as pa

    return parts[0] if len(parts) == 1 else BulkLines(pa.concat_arrays([one.lines for one in parts]))


def bulk_lines(events: EventBatch, prefix: str, lsn: int, places: npt.NDArray[np.int64]) -> BulkLines:
    """Lines of events of one frame.

    prefix: of the data directory. lsn: of the frame. places: int64, shape (n,), of each event among those of the frame.
    """
    documents = event_documents(events)
    ids = _ids(events, documents, f"{prefix}-{lsn:x}-", places)
    return BulkLines(_joined('{"create":{"_id":"', ids, '"}}\n', documents, "\n"))


def document_line(key: str, document: dict[str, Any]) -> BulkLines:
    """The line of one document, as ``BulkLines.document`` has it."""
    action = msgspec.json.encode({"create": {"_id": key}})
    return BulkLines(_arrow(_column([action + b"\n" + msgspec.json.encode(document) + b"\n"])))


def event_of(document: dict[str, Any]) -> EventBatch:
    """The event of a document, or of a row of the API. Raises: ValueError, AttributeError where it is none."""
    attributes = document.get("attributes") or {}
    level = document.get("level") or LEVELS[0]
    if level not in LEVELS:
        raise ValueError(f"level: {str(level)[:40]!r} is none of {', '.join(LEVELS)}")
    source, event_id, description, packet_id = (_column([str(document.get(name, "")).encode()]) for name in TEXTS)
    return EventBatch(
        np.array([document.get("@timestamp", document.get("time_ms", 0))], np.int64),
        np.array([LEVELS.index(level)], np.uint8),
        source,
        event_id,
        description,
        packet_id,
        np.array([0, len(attributes)], np.int32),
        _column([str(name).encode() for name in attributes]),
        _column([str(value).encode() for value in attributes.values()]),
    )


def document_of(events: EventBatch, row: int) -> dict[str, Any]:
    """The document of one event."""
    found: dict[str, Any] = msgspec.json.decode(event_documents(events)[row].as_py())
    return found


def event_documents(events: EventBatch) -> "pa.Array":
    """The document of each event, an Arrow array of text."""
    import pyarrow as pa

    parts: list[Any] = ['{"@timestamp":', arrow_column(events.time_ms, pa.int64()).cast(pa.string()), ',"level":"']
    parts.append(_arrow(_column([level.encode() for level in LEVELS])).take(arrow_column(events.level, pa.uint8())))
    for name in TEXTS:
        parts += [f'","{name}":"', _arrow(escaped(getattr(events, name)))]
    return _joined(*parts, '","attributes":{', _attributes(events), "}}")


def _attributes(events: EventBatch) -> "pa.Array":
    """Names and values of each event, without the braces."""
    import pyarrow as pa
    import pyarrow.compute as pc

    offsets, names, values = _last_of_each_name(events)
    pairs = _joined('"', _arrow(escaped(names)), '":"', _arrow(escaped(values)), '"')
    return pc.binary_join(pa.ListArray.from_arrays(arrow_column(offsets, pa.int32()), pairs), _word(","))


def _last_of_each_name(events: EventBatch) -> tuple[npt.NDArray[np.int32], TextColumn, TextColumn]:
    """Offsets, names and values of attributes, without those that a later one of the same name replaces."""
    offsets, names, values = events.attribute_offsets, events.attribute_names, events.attribute_values
    counts = np.diff(offsets)
    if not len(names) or int(counts.max()) < 2:
        return offsets, names, values
    encoded = _arrow(names).dictionary_encode()
    codes = np.frombuffer(encoded.indices.buffers()[1], np.int32)[: len(names)].astype(np.int64)
    owners = np.repeat(np.arange(len(events)), counts)
    distinct = len(encoded.dictionary)
    keys = owners * distinct + codes
    if len(events) * distinct <= MARKS_MAX:  # far cheaper than sorting, and nearly always the answer
        marks = np.zeros(len(events) * distinct, np.bool_)
        marks[keys] = True
        if int(np.count_nonzero(marks)) == len(keys):
            return offsets, names, values
    last_first, places = np.unique(keys[::-1], return_index=True)
    if len(last_first) == len(keys):
        return offsets, names, values
    kept = np.sort(len(keys) - 1 - places)
    left = np.concatenate([[0], np.cumsum(np.bincount(owners[kept], minlength=len(events)))])
    return left.astype(np.int32), take_text(names, kept), take_text(values, kept)


def escaped(column: TextColumn) -> TextColumn:
    """The strings as they stand between the quotes of JSON; the same object where nothing is to be escaped."""
    found = escaped_text(column.offsets, column.data)
    return column if found is None else TextColumn(*found)


def _ids(events: EventBatch, documents: "pa.Array", place: str, places: npt.NDArray[np.int64]) -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    of_packets = np.diff(events.packet_id.offsets) > 0
    rows = np.flatnonzero(of_packets)
    if len(rows) and len(rows) == len(events):
        return _content_ids(documents, rows)
    by_place = _joined(place, arrow_column(places, pa.int64()).cast(pa.string()))
    if not len(rows):
        return by_place
    mask = arrow_column(np.packbits(of_packets, bitorder="little"), pa.uint8()).buffers()[1]
    hashed = pa.Array.from_buffers(pa.bool_(), len(of_packets), [None, mask])
    return pc.replace_with_mask(by_place, hashed, _content_ids(documents, rows))


def _content_ids(documents: "pa.Array", rows: npt.NDArray[np.int64]) -> "pa.Array":
    """Hashes of the documents in these rows; of equal ones the second and further ones are numbered."""
    offsets = np.frombuffer(documents.buffers()[1], np.int32)[documents.offset :]
    text = memoryview(documents.buffers()[2])
    bounds = zip(offsets[rows].tolist(), offsets[rows + 1].tolist(), strict=True)
    hashes = [sha256(text[first:end]).digest() for first, end in bounds]
    cut = np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), -1)[:, :ID_BYTES]
    words = cut.tobytes().hex().encode()
    size = 2 * ID_BYTES
    if len(set(hashes)) == len(hashes):
        return _arrow(TextColumn(np.arange(len(hashes) + 1, dtype=np.int32) * size, words))
    seen: Counter[bytes] = Counter()
    ids = []
    for place, one in enumerate(hashes):
        seen[one] += 1
        ids.append(words[place * size : (place + 1) * size] + (b"" if seen[one] == 1 else b"-%d" % seen[one]))
    return _arrow(_column(ids))


def _joined(*parts: Any) -> "pa.Array":
    """Columns and words put together row by row."""
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(*(_word(one) if isinstance(one, str) else one for one in parts), _word(""))


def _word(text: str) -> "pa.Scalar":
    return _arrow(_column([text.encode()]))[0]


def _column(texts: list[bytes]) -> TextColumn:
    return TextColumn(np.cumsum([0, *map(len, texts)]).astype(np.int32), b"".join(texts))


def _arrow(column: TextColumn) -> "pa.Array":
    import pyarrow as pa

    return arrow_text(column.offsets, column.data, pa.string())
