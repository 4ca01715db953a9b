"""The tree of settings against its reference page."""

import re
from pathlib import Path

from nissa.config.check import setting_text, written_leaves
from nissa.config.sinks import SINK_TYPES
from nissa.config.tree import Config

PAGE = Path(__file__).parents[2] / "docs" / "config.md"
ROW = re.compile(r"^\| `(?P<path>[a-z_.0-9]+)` \| `(?P<default>[^`]*)` \| (?P<meaning>.+) \|$", re.MULTILINE)
SINK_ROW = re.compile(r"^\| `sinks\.NAME\.(?P<path>[a-z_.0-9]+)` \| `(?P<default>[^`]*)` \| .+ \|$", re.MULTILINE)


def test_the_reference_page_has_every_setting_with_its_default() -> None:
    """docs/config.md and the tree name the same settings, in the same order, with the same defaults."""
    rows = [(match["path"], match["default"]) for match in ROW.finditer(PAGE.read_text())]
    assert rows == [(path, setting_text(value)) for path, value in written_leaves(Config()).items()]


def test_the_reference_page_has_every_setting_of_a_sink() -> None:
    """docs/config.md names them as ``sinks.NAME.…``, with their defaults, in order."""
    text = PAGE.read_text()
    for name, kind in SINK_TYPES.items():
        section = text.partition(f"### sinks.NAME with type {name}\n")[2].partition("\n##")[0]
        rows = [(match["path"], match["default"]) for match in SINK_ROW.finditer(section)]
        assert rows == [(path, setting_text(value)) for path, value in written_leaves(kind()).items()], name


def test_every_setting_says_what_it_means() -> None:
    """No row of the reference is empty."""
    assert all(len(match["meaning"]) > 10 for match in ROW.finditer(PAGE.read_text()))


def test_sections_refuse_unknown_keys() -> None:
    """Every section is frozen and forbids unknown fields."""
    for name in Config.__struct_fields__:
        section = getattr(Config(), name)
        if isinstance(section, dict):  # by names that operators choose
            assert all(kind.__struct_config__.forbid_unknown_fields for kind in SINK_TYPES.values())
            continue
        assert section.__struct_config__.frozen
        assert section.__struct_config__.forbid_unknown_fields
