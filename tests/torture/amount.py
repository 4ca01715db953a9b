"""The amount of torture to run, and the place of its figures.

``NISSA_TORTURE=full`` runs the amounts of the published record (``make torture``); without it a quick share runs.
``NISSA_TORTURE_KILLS=500`` and the like set one amount. Figures are printed, and appended to ``NISSA_TORTURE_RECORD``.
"""

import os
from pathlib import Path


def amount(name: str, *, quick: int, full: int) -> int:
    """The amount set by the environment variable ``name``, else that of the run at hand."""
    chosen = os.environ.get(name)
    if chosen is not None:
        return int(chosen)
    return full if os.environ.get("NISSA_TORTURE") == "full" else quick


def told(row: str, figures: str) -> None:
    """Print the figures of a row, and keep them where asked to."""
    print(f"{row}: {figures}")
    record = os.environ.get("NISSA_TORTURE_RECORD")
    if record:
        with Path(record).open("a") as file:
            file.write(f"{row}: {figures}\n")
