"""Files of definitions."""

from pathlib import Path

import pytest

from nissa.model.errors import ConfigInvalid
from nissa.tiers.sla_file import read_sla_file

GOOD = """
sla_definitions:
  - {id: up, service: api, target: 99.5, window: quarterly, bad: "e{code=~\\"5..\\"}", total: e}
  - {id: p99, service: api, metric_type: LATENCY_P99, target: "250", latency: x}
"""


def test_definitions_are_read(tmp_path: Path) -> None:
    """With the names of the specification, and the file as their author."""
    path = tmp_path / "sla.yaml"
    path.write_text(GOOD)
    up, p99 = read_sla_file(path)
    assert (up.target, up.time_window, up.changed_by, up.version) == (99.5, "quarterly", "file sla.yaml", 1)
    assert (p99.metric_type, p99.target) == ("LATENCY_P99", 250)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1", "sla_definitions"),
        ("sla_definitions: [1]", r"\[0\]: expected a mapping"),
        ("sla_definitions: [{id: up, service: a, sped: 1}]", "sped"),
        ("sla_definitions: [{service: a}]", "id"),
        (GOOD + "  - {id: up, service: b, bad: e, total: e}", "up is defined twice"),
    ],
)
def test_faults_name_their_place(tmp_path: Path, text: str, fault: str) -> None:
    """The file, the place in it, and the field."""
    path = tmp_path / "sla.yaml"
    path.write_text(text)
    with pytest.raises(ConfigInvalid, match=fault) as caught:
        read_sla_file(path)
    assert "sla.yaml" in str(caught.value)
