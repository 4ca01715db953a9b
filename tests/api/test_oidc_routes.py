"""Failed logins by an OpenID provider; whole logins are tested in tests/journeys/test_oidc.py."""

import pytest

from nissa.config.access import Access
from nissa.config.oidc import Oidc
from nissa.config.tree import Api
from oracle.backend_twin import BackendTwin, regular

pytest.importorskip("authlib", reason="authlib is not installed: logins by OIDC are NOT tested")
CALLBACK = "/api/v1/oidc/callback?code=a&state=b"


def test_failures_of_others_lock_nobody_out(serve, more_facts, tmp_path):
    """An address that fails too often waits; all others may log in, however many of them fail."""
    oidc = Oidc("http://127.0.0.1:9", "nissa", redirect_url=f"http://127.0.0.1{CALLBACK}", default_role="viewer")
    access = Access(True, trusted_proxies=("127.0.0.1",), login_failures_per_minute_max=2, oidc=oidc)
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(access=access))

    def status_of(address: str) -> int:
        return client.get(CALLBACK, headers={"X-Forwarded-For": address}).status_code

    assert [status_of("203.0.113.1") for _ in range(3)] == [401, 401, 503]
    assert {status_of(f"198.51.100.{number}") for number in range(30)} == {401}
