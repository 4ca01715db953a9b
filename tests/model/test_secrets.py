"""Hiding of passwords and tokens in shown settings and URLs."""

import pytest

from nissa.model.secrets import hide_in_urls, hide_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://user:pass@host:6379/0", "redis://user:<secret>@host:6379/0"),
        ("redis://:p@ss@host/0", "redis://:<secret>@host/0"),
        ("nats://token@host:4222", "nats://<secret>@host:4222"),
        (
            "no answer of http://u:p@a/x, and https://v:q@b",
            "no answer of http://u:<secret>@a/x, and https://v:<secret>@b",
        ),
        ('["nats://u:p@a","nats://b"]', '["nats://u:<secret>@a","nats://b"]'),
        ("http://host/m?token=abc&x=1", "http://host/m?token=<secret>&x=1"),
        ("redis://host?db=1&password=p", "redis://host?db=1&password=<secret>"),
        ("http://host:9100/metrics?to=a@b", "http://host:9100/metrics?to=a@b"),
        ("mail me@example.org", "mail me@example.org"),
        ("", ""),
    ],
)
def test_urls(text: str, shown: str) -> None:
    """User and address stay readable, secrets do not."""
    assert hide_in_urls(text) == shown
    assert hide_in_urls(shown) == shown


def test_settings() -> None:
    """Settings that are secrets by their names are hidden at any depth; empty ones and numbers are as they are."""
    entry = {
        "job_name": "a",
        "basic_auth": {"username": "u", "password": "p"},
        "bearer_token": "",
        "tls_config": {"key": "-----BEGIN", "key_file": "key.pem"},
        "http_sd_configs": [{"url": "http://u:p@sd/", "refresh_interval": 5}],
    }
    assert hide_secrets((entry,)) == [
        {
            "job_name": "a",
            "basic_auth": {"username": "u", "password": "<secret>"},
            "bearer_token": "",
            "tls_config": {"key": "<secret>", "key_file": "key.pem"},
            "http_sd_configs": [{"url": "http://u:<secret>@sd/", "refresh_interval": 5}],
        }
    ]
