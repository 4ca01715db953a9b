"""Alertmanager's configuration file."""

from pathlib import Path

import pytest

from nissa.config.alertmanager_file import parse_alertmanager_file
from nissa.model.errors import ConfigInvalid

GOOD = """
global:
  smtp_smarthost: localhost:25
  smtp_from: nissa@example.org
  opsgenie_api_url: https://x
templates: [x.tmpl]
route: {receiver: team, group_by: [alertname, "service.name"], group_wait: 1m30s}
receivers:
  - name: team
    email_configs: [{to: a@example.org, require_tls: false, auth_password_file: secret}]
    webhook_configs: [{url: http://localhost/, timeout: 0s, max_alerts: 3}]
  - name: nobody
"""
ROUTE = "route: {receiver: r}\nreceivers: [{name: r}]\n"


def test_a_file_is_read() -> None:
    """Defaults come from ``global``, files from the folder; keys that are not supported are warned of."""
    read = parse_alertmanager_file(GOOD.encode(), Path("folder/am.yml"))
    (mail,) = read.file.receivers[0].email_configs
    (hook,) = read.file.receivers[0].webhook_configs
    assert (mail.from_, mail.smarthost, mail.require_tls) == ("nissa@example.org", "localhost:25", False)
    assert mail.auth_password_file == "folder/secret"
    assert hook.timeout == 10_000
    assert list(read.file.receivers[0].channels()) == ["webhook[0]", "email[0]"]
    assert read.file.route is not None
    assert read.file.route.group_wait == 90_000
    assert [one.partition(" passed")[0] for one in read.warnings] == [
        "folder/am.yml, line 6: templates[0]: x.tmpl matches no file",
        "folder/am.yml, line 5: global.opsgenie_api_url:",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("receivers: [{name: r}]", "am.yml, line 1: route: is missing"),
        ("route: {}\nreceivers: []", "am.yml, line 1: route.receiver: is missing"),
        (ROUTE.replace("receiver: r", "receiver: x"), "line 1: route.receiver: receiver 'x' is not defined"),
        (ROUTE.replace("}\n", ", routes: [{receiver: x}]}\n", 1), r"route.routes\[0\].receiver: receiver 'x'"),
        (ROUTE.replace("}\n", ", matchers: [a=b]}\n", 1), "route.matchers: the root route takes every alert"),
        (ROUTE.replace("}\n", ", group_by: [a, a]}\n", 1), "route.group_by: has a label twice"),
        (ROUTE.replace("}\n", ", group_by: [a, ...]}\n", 1), "route.group_by: ... stands alone"),
        (ROUTE.replace("}\n", ", group_interval: 0s}\n", 1), "route.group_interval: must be longer than 0"),
        (ROUTE.replace("}\n", ", group_wait: soon}\n", 1), "route.group_wait: expected a duration"),
        (ROUTE.replace("}\n", ", routes: [{mute_time_intervals: [x]}]}\n", 1), "time interval 'x' is not defined"),
        (ROUTE + "colour: blue", "line 3: colour: unknown setting"),
        (ROUTE.replace("{name: r}", "{name: r}, {name: r}"), r"receivers\[1\].name: 'r' is the name of receivers\[0\]"),
        (
            ROUTE.replace("{name: r}", "{name: r, webhook_configs: [{}]}"),
            r"webhook_configs\[0\]: url or url_file is miss",
        ),
        (ROUTE.replace("{name: r}", "{name: r, sns_configs: [{}]}"), r"receivers\[0\].sns_configs: is a channel of"),
    ],
)
def test_a_file_at_fault_is_refused(text: str, message: str) -> None:
    """A fault is named with file, line and path, and nothing of the file is used."""
    with pytest.raises(ConfigInvalid, match=message):
        parse_alertmanager_file(text.encode(), Path("am.yml"))
