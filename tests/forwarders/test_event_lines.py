"""Lines of the bulk API: every event is valid JSON of the same content, whatever its texts hold."""

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa.forwarders.event_lines import BulkLines, bulk_lines, document_line, escaped, together
from nissa.model.level import LEVELS
from oracle.events import Row, event_batch, text_column

TEXT = st.text(max_size=6) | st.sampled_from(['"', "\\", '\\"', "\0", "\x1f\n", "é😀", '{"a":1}', "</x>"])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "time_ms": st.integers(-(2**62), 2**62),
            "level": st.integers(0, 4),
            "source": TEXT,
            "event_id": TEXT,
            "description": TEXT,
            "packet_id": st.just("") | TEXT,
            "attributes": st.dictionaries(TEXT, TEXT, max_size=3),
        }
    ),
    max_size=5,
)


def lines_of(rows: list[Row], prefix: str = "d", lsn: int = 26) -> BulkLines:
    """Lines of events at places 10, 11, …"""
    return bulk_lines(event_batch(rows), prefix, lsn, np.arange(10, 10 + len(rows)))


def row(text: str = "x", **changes: object) -> Row:
    """An event."""
    one: Row = {"time_ms": 5, "level": 1, "source": "s", "event_id": "", "packet_id": "", "attributes": {}}
    return {**one, "description": text, **changes}


@given(ROWS)
def test_every_event_is_read_back(rows: list[Row]) -> None:
    """Each event is an action with an id, and a document with the level as a word."""
    lines = lines_of(rows)
    texts = lines.body().split(b"\n")
    assert texts.pop() == b""
    for place, one in enumerate(rows):
        document = json.loads(texts[2 * place + 1])
        expected = {**one, "@timestamp": one["time_ms"], "level": LEVELS[one["level"]]}
        del expected["time_ms"]
        assert document == expected
        key = json.loads(texts[2 * place])["create"]["_id"]
        assert one["packet_id"] or key == f"d-1a-{10 + place}"
        assert lines.document(place) == (key, document)
        assert document_line(key, document).document(0) == (key, document)


@given(st.lists(TEXT, max_size=5))
def test_text_is_escaped_as_json(texts: list[str]) -> None:
    """Text is escaped also beside texts that need no escapes."""
    found = escaped(text_column(texts))
    assert [json.loads(f'"{found.text(place)}"') for place in range(len(found))] == texts


def test_the_last_of_attributes_of_one_name_is_sent() -> None:
    """JSON with a name twice is refused by these servers."""
    batch = event_batch([row(attributes={"a": "1", "b": "2", "c": "3"}), row(attributes={"a": "4"}), row()])
    names = text_column(["a", "b", "a", "a"])
    lines = bulk_lines(
        type(batch)(*(getattr(batch, n) for n in batch.__struct_fields__[:-2]), names, batch.attribute_values),
        "d",
        1,
        np.arange(3),
    )
    found = [json.loads(lines.lines[place].as_py().split("\n")[1])["attributes"] for place in range(3)]
    assert found == [{"b": "2", "a": "3"}, {"a": "4"}, {}]


def test_ids_of_packets_follow_from_their_content() -> None:
    """A packet sent again has the same ids, in whatever frame; equal events of one frame have ids of their own."""
    rows = [row("a", packet_id="p"), row("a", packet_id="p"), row("a"), row("b", packet_id="p")]
    first, again = lines_of(rows, lsn=1), lines_of(rows, lsn=2)
    ids = [first.document(place)[0] for place in range(4)]
    assert len(set(ids)) == 4
    assert [again.document(place)[0] for place in (0, 1, 3)] == [ids[0], ids[1], ids[3]]
    assert again.document(2)[0] != ids[2]


@pytest.mark.parametrize("seed", range(5))
def test_parts_keep_to_both_limits(seed: int) -> None:
    """Put together they are the whole; one line that is too long is a part."""
    rng = random.Random(seed)
    whole = lines_of([row("x" * rng.randrange(0, 400)) for _ in range(rng.randrange(1, 60))])
    events_max, bytes_max = rng.randrange(1, 20), rng.randrange(200, 3_000)
    parts = whole.parts(events_max, bytes_max)
    assert b"".join(one.body() for one in parts) == whole.body() == together(parts).body()
    for one, after in zip(parts, [*parts[1:], None], strict=True):
        assert len(one) <= events_max
        assert one.size <= bytes_max or len(one) == 1
        full = after is None or len(one) == events_max or one.size + after.part(0, 1).size > bytes_max
        assert full, "a part could have held more"
    chosen = whole.part(len(whole) // 2, len(whole)).taken(np.array([0]))
    assert chosen.document(0) == whole.document(len(whole) // 2)
