"""Columns of events: attributes are found and added as a dictionary would have them."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nissa.forwarders.event_columns import NONE, EventColumns
from oracle.events import Row, event_batch, event_row

NAMES = st.sampled_from(["a", "b", "c", "é"])
ATTRIBUTES = st.lists(st.dictionaries(NAMES, st.text(max_size=3), max_size=3), min_size=1, max_size=6)


def columns_of(attributes: list[dict[str, str]]) -> EventColumns:
    """Events with these attributes."""
    return EventColumns(
        event_batch([{**event_row(5, place), "attributes": one} for place, one in enumerate(attributes)])
    )


def attributes_of(columns: EventColumns) -> list[dict[str, str]]:
    """Attributes of each event; the last one of a name counts."""
    return [columns.events.row(place)["attributes"] for place in range(len(columns))]


@given(ATTRIBUTES, NAMES, st.data(), st.booleans())
def test_attributes_are_added(attributes: list[dict[str, str]], name: str, data: Any, replace: bool) -> None:
    """An attribute is added to some events, behind or in front of their own; the others stay."""
    chosen = data.draw(st.lists(st.booleans(), min_size=len(attributes), max_size=len(attributes)))
    rows = np.flatnonzero(chosen)
    found = columns_of(attributes).with_attribute(name, rows, [f"new {row}" for row in rows], replace=replace)
    expected = []
    for place, one in enumerate(attributes):
        added = {name: f"new {place}"} if chosen[place] else {}
        expected.append({**one, **added} if replace else {**added, **one})
    assert attributes_of(found) == expected


@given(ATTRIBUTES, NAMES)
def test_attributes_are_found(attributes: list[dict[str, str]], name: str) -> None:
    """Rows and texts of those events that have one of the name."""
    columns = columns_of(attributes)
    rows, texts = columns.texts_of(name)
    assert dict(zip(rows.tolist(), texts, strict=True)) == {
        place: one[name] for place, one in enumerate(attributes) if name in one
    }
    assert (columns.places_of(name) != NONE).tolist() == [name in one for one in attributes]


def test_the_last_attribute_of_a_name_counts() -> None:
    """The last attribute of a name counts, as for readers."""
    columns = columns_of([{"a": "1"}, {}]).with_attribute("a", np.array([0]), ["2"], replace=True)
    assert columns.texts_of("a")[1] == ["2"]


def test_sources_and_levels() -> None:
    """Distinct texts are judged once."""
    rows: list[Row] = [event_row(5, number) for number in range(9)]
    columns, asked = EventColumns(event_batch(rows)), []
    fits = columns.sources.fitting(lambda text: asked.append(text) or text == "s1")  # type: ignore[func-returns-value]
    assert fits.tolist() == [row["source"] == "s1" for row in rows]
    assert sorted(asked) == ["s0", "s1", "s2"]
    assert columns.texts_of("source")[1] == [row["source"] for row in rows]
    assert columns.with_level(fits, 4).events.level.tolist() == [
        4 if one else row["level"] for one, row in zip(fits, rows, strict=True)
    ]
