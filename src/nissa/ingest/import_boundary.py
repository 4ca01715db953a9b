"""The time from which on imported rows are stored like live ones.

    … windows whose samples may be gone …  ▏ windows that are computed again from samples, live ones too
    ───────── import blocks ───────────────▏────────── head, raw blocks ──────────────────────────►
                                boundary = floor(received - acceptance.past, widest window made of samples)

The boundary is a window boundary, so no window gets rows in both ways. It depends only on the frame and the settings,
so a replay computes the same.
"""

import numpy as np
import numpy.typing as npt

from nissa._fast.batch import Batch
from nissa.config.tree import Config
from nissa.model.columns import SampleBatch
from nissa.rollup.fold import tiers_of_samples
from nissa.rollup.windows import floor_ms

EVER_PAST_MS = 2**62


class ImportBoundary:
    """Divides the rows of imported frames."""

    def __init__(self, config: Config) -> None:
        made = tiers_of_samples(config.ladder.tiers)
        self._width_ms = config.ladder.tiers[made - 1].interval_ms if made else 1
        # Without a ladder samples are all that is kept.
        self._past_ms = config.acceptance.past_ms if made else EVER_PAST_MS

    def split(self, batch: Batch, received_ms: int) -> tuple[SampleBatch, SampleBatch]:
        """The rows of ``batch`` as copies: those from the boundary on, and those before it.

        received_ms: of the frame, Unix milliseconds. Cost: about 10 ns per row.
        """
        rows = SampleBatch(*batch.columns())
        early = rows.ts_ms < floor_ms(received_ms - self._past_ms, self._width_ms)
        if early.all():
            return _taken(rows, np.empty(0, np.intp)), rows
        return _taken(rows, np.flatnonzero(~early)), _taken(rows, np.flatnonzero(early))


def _taken(batch: SampleBatch, rows: npt.NDArray[np.intp]) -> SampleBatch:
    return SampleBatch(batch.series[rows], batch.ts_ms[rows], batch.value[rows])
