from nissa._fast.batch import Batch
from nissa._fast.delta_totals import DeltaTotals
from nissa._fast.series import SeriesIndex
from nissa.model.columns import Metadata

def decode_otlp_metrics(
    body: bytes | memoryview,
    index: SeriesIndex,
    batch: Batch,
    *,
    minute: int,
    admit_max: int,
    oldest_ms: int,
    newest_ms: int,
    deltas: DeltaTotals | None = ...,
) -> list[Metadata]: ...
