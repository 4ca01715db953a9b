"""What every test file shares: Debian peers that must be there in CI, where the library under test was found, and that
no generated example has a time limit: on a busy machine any of them may take long once."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

import nissa

PACKAGES = {"strace": "strace", "prometheus": "prometheus", "victoria-metrics": "victoria-metrics", "curl": "curl"}

settings.register_profile("nissa", deadline=None)
settings.load_profile("nissa")


def pytest_report_header() -> str:
    """Which Nissa is tested: the source tree, a checked or sanitized build, or an installed wheel."""
    return f"nissa {nissa.__version__} from {Path(nissa.__file__).parent}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked needs_debian skip loudly without their package; where CI is set they run, and fail."""
    if os.environ.get("CI"):
        return
    for item in items:
        for marker in item.iter_markers("needs_debian"):
            program = PACKAGES.get(marker.args[0], marker.args[0])
            if shutil.which(program) is None:
                reason = f"Debian package {marker.args[0]} is missing: run scripts/install-debian-peers as root"
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """In CI a missing Debian package is a failure, never a skip."""
    for marker in item.iter_markers("needs_debian"):
        program = PACKAGES.get(marker.args[0], marker.args[0])
        if os.environ.get("CI") and shutil.which(program) is None:
            pytest.fail(f"Debian package {marker.args[0]} is missing in CI", pytrace=False)
