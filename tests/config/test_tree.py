"""The tree of settings against its reference page."""

import re
from pathlib import Path

from nissa.config.check import leaves, written
from nissa.config.tree import Config

PAGE = Path(__file__).parents[2] / "docs" / "config.md"
ROW = re.compile(r"^\| `(?P<path>[a-z_.0-9]+)` \| `(?P<default>[^`]*)` \| (?P<meaning>.+) \|$", re.MULTILINE)


def test_the_reference_page_has_every_setting_with_its_default() -> None:
    """docs/config.md and the tree name the same settings, in the same order, with the same defaults."""
    rows = [(match["path"], match["default"]) for match in ROW.finditer(PAGE.read_text())]
    assert rows == [(path, written(value)) for path, value in leaves(Config()).items()]


def test_every_setting_says_what_it_means() -> None:
    """No row of the reference is empty."""
    assert all(len(match["meaning"]) > 10 for match in ROW.finditer(PAGE.read_text()))


def test_sections_refuse_unknown_keys() -> None:
    """Every section is frozen and forbids unknown fields."""
    for name in Config.__struct_fields__:
        section = getattr(Config(), name)
        assert section.__struct_config__.frozen
        assert section.__struct_config__.forbid_unknown_fields
