"""Every number has bounds, and the defaults lie within them."""

import pytest

from nissa.config.check import AT_MOST, BOUNDS, check_config, leaves
from nissa.config.load import load_config
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid


def test_every_number_of_the_tree_has_bounds_and_nothing_else_has() -> None:
    """A setting cannot be added without saying what would be absurd."""
    numbers = {
        path
        for path, value in leaves(Config()).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    assert set(BOUNDS) == numbers
    assert {path for smaller, greater, _ in AT_MOST for path in (smaller, greater)} <= numbers


@pytest.mark.parametrize("path", sorted(BOUNDS))
def test_one_past_each_bound_is_refused(path: str) -> None:
    """Both ends of every range hold, and the message names the path."""
    least, greatest = BOUNDS[path]
    for value in (least - 1, greatest + 1):
        with pytest.raises(ConfigInvalid) as caught:
            load_config(overrides={path: str(value)})
        assert caught.value.path == path


def test_defaults_pass() -> None:
    """The tree as shipped starts."""
    check_config(Config())
