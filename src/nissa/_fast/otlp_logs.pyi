from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa.model.columns import EventBatch, Metadata

def decode_otlp_logs(
    body: bytes | memoryview, index: SeriesIndex, batch: Batch, *, received_ms: int
) -> tuple[list[Metadata], EventBatch | None, int]: ...
