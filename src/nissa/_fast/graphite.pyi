from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa.model.text_faults import LineFault

def decode_graphite(
    body: bytes | memoryview,
    index: SeriesIndex,
    batch: Batch,
    *,
    minute: int,
    admit_max: int,
    oldest_ms: int,
    newest_ms: int,
    now_ms: int,
) -> list[LineFault]: ...
