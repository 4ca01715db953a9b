"""Settings of objectives."""

import pytest

from nissa.config.slo import SloSettings, check_slo
from nissa.model.errors import ConfigInvalid


def test_a_share_is_between_none_and_all() -> None:
    """0 turns the alert off."""
    for text in ("0", "0.4", "1"):
        check_slo(SloSettings(burn_alert_threshold=text))
    for text in ("1.1", "-1", "much", "nan"):
        with pytest.raises(ConfigInvalid, match="expected 0 to 1"):
            check_slo(SloSettings(burn_alert_threshold=text))
