"""The public status page in the configuration."""

import pytest

from nissa.config.load import load_config
from nissa.model.errors import ConfigInvalid


def test_a_page_of_nothing_is_refused() -> None:
    """It needs a service; without one it may only be off."""
    with pytest.raises(ConfigInvalid, match=r"status_page\.services: expected a service at least"):
        load_config(overrides={"status_page.enabled": "true"})
    shown = load_config(overrides={"status_page.enabled": "true", "status_page.services": '["api"]'}).status_page
    assert (shown.enabled, shown.services) == (True, ("api",))
