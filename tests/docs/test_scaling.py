"""docs/scaling.md: files of Prometheus that the page shows are accepted by promtool, settings of Nissa by Nissa."""

import re
import subprocess
from pathlib import Path

import pytest

from nissa.config.load import load_config

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
FILES = re.findall(r"^```yaml\n(# (\S+)\.ya?ml.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.needs_debian("prometheus")
def test_files_of_the_page_are_accepted(tmp_path: Path) -> None:
    """Each is a whole file of its program."""
    assert sorted(name for _, name in FILES) == ["nissa", "nissa", "nissa", "prometheus", "prometheus"]
    for text, name in FILES:
        path = tmp_path / f"{name}.yml"
        path.write_text(text)
        if name == "nissa":
            config = load_config(path, {})
            assert config.sources.kafka.brokers or config.api.external_labels or config.sinks
            continue
        done = subprocess.run(["promtool", "check", "config", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
