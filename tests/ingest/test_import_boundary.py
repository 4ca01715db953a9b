"""Imported rows are divided where live samples are still taken, on a border of windows."""

import msgspec
import numpy as np
import pytest

from nissa.codec.packets import decode
from nissa.codec.sample_columns import encode_sample_columns
from nissa.config.tree import Config, Ladder
from nissa.ingest.import_boundary import ImportBoundary
from nissa.model.decoded import Window
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import HOUR_MS, MINUTE_MS
from oracle.bodies import Rig

NOW_MS = 1_758_000_123_456
BORDER_MS = (NOW_MS - 6 * HOUR_MS) // (5 * MINUTE_MS) * 5 * MINUTE_MS


@pytest.mark.parametrize(
    ("times", "live"),
    [
        ([BORDER_MS - 1, BORDER_MS, NOW_MS], [BORDER_MS, NOW_MS]),
        ([BORDER_MS - 1], []),
        ([BORDER_MS], [BORDER_MS]),
        ([], []),
    ],
)
def test_rows_on_both_sides(times: list[int], live: list[int]) -> None:
    """A row at the border is live, one before it is not, and none is lost."""
    rig = Rig()
    body = encode_sample_columns(
        [{"__name__": "m"}], np.array([len(times)]), np.array(times, np.int64), np.ones(len(times))
    )
    frame = Frame(Codec.NISSA_COLUMNS, Encoding.IDENTITY, Source.IMPORT, NOW_MS, body)
    decode(frame, body, rig.index, rig.batch, Window(1, 10, 0, 2**62))
    rows, imports = ImportBoundary(Config()).split(rig.batch, NOW_MS)
    assert rows.ts_ms.tolist() == live
    assert imports.ts_ms.tolist() == [time for time in times if time not in live]
    without = msgspec.structs.replace(Config(), ladder=Ladder(()))
    assert len(ImportBoundary(without).split(rig.batch, NOW_MS)[1]) == 0
