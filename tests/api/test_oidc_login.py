"""Logins that have begun: state, nonce and verifier follow from the cookie."""

import pytest

from nissa.api.oidc_login import LASTS_MS, PendingLogins
from nissa.model.errors import Unauthorized

NOW_MS = 1_732_190_009_000


def test_a_login_comes_back() -> None:
    """By its cookie and state, until it is too old; all three secrets differ, and every login has others."""
    logins = PendingLogins()
    login, other = logins.begin(NOW_MS), logins.begin(NOW_MS)
    assert logins.found(login.cookie, login.state, NOW_MS + LASTS_MS) == login
    assert len({login.state, login.nonce, login.verifier, other.state, other.nonce, other.verifier}) == 6
    assert 43 <= len(login.verifier) <= 128  # RFC 7636


@pytest.mark.parametrize("cookie", ["", "x", "1.", ".x", "x" * 5_000, "\u0661.x"])
def test_cookies_that_are_none(cookie: str) -> None:
    """They are refused, whatever the state."""
    with pytest.raises(Unauthorized):
        PendingLogins().found(cookie, "", NOW_MS)


def test_other_states_and_times() -> None:
    """The state of another login, of another process, and a login that is too old or of the future."""
    logins = PendingLogins()
    login, other = logins.begin(NOW_MS), logins.begin(NOW_MS)
    for found in (
        lambda: logins.found(login.cookie, other.state, NOW_MS),
        lambda: PendingLogins().found(login.cookie, login.state, NOW_MS),
    ):
        with pytest.raises(Unauthorized, match="another login"):
            found()
    for now_ms in (NOW_MS + LASTS_MS + 1, NOW_MS - 1):
        with pytest.raises(Unauthorized, match="too long"):
            logins.found(login.cookie, login.state, now_ms)
