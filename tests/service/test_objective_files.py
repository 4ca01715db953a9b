"""Files of objectives that the settings name."""

from pathlib import Path

import pytest

from nissa.config.slo import SloSettings
from nissa.model.errors import ConfigInvalid
from nissa.selfmetrics.catalogue import CATALOGUE
from nissa.service.objective_files import read_burn_groups, read_objectives
from nissa.service.rule_queries import metric_names
from nissa.slo.objective import over

TEXT = "slos: [{name: x, target_percentage: 99, pair: k}]"


def test_objectives_of_nissa_read_metrics_that_it_has() -> None:
    """Numbers of the specification, and no metric of another name."""
    found = read_objectives(SloSettings(shipped=("nissa",)))
    assert [(one.name, one.target_percent, one.burn_threshold) for one in found] == [
        ("event_ingestion_latency", 99.9, 10),
        ("metric_query_latency", 99.5, 5),
        ("alert_processing_latency", 99.9, 20),
        ("websocket_availability", 99.95, 2),
    ]
    known = {metric.name for metric in CATALOGUE}
    known |= {f"{metric.name}{end}" for metric in CATALOGUE for end in ("_bucket", "_count")}
    for objective in found:
        for text in (objective.bad, objective.total):
            assert (metric_names(over(text, "1h")) or set()) <= known


def test_faults_refuse_everything(tmp_path: Path) -> None:
    """A name of two files, too many objectives, an unknown shipped file."""
    (tmp_path / "a.yaml").write_text(TEXT)
    pattern = f"{tmp_path}/*.yaml"
    assert len(read_burn_groups(SloSettings(files=(pattern,)))) == 2
    (tmp_path / "b.yaml").write_text(TEXT)
    with pytest.raises(ConfigInvalid, match=r"b\.yaml is in .*a\.yaml too"):
        read_objectives(SloSettings(files=(pattern,)))
    with pytest.raises(ConfigInvalid, match="objectives_max"):
        read_objectives(SloSettings(files=(pattern,), objectives_max=1))
    with pytest.raises(ConfigInvalid, match=r"slo\.shipped"):
        read_objectives(SloSettings(shipped=("none",)))
