from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa.model.columns import Metadata

def decode_sample_columns(
    body: bytes | memoryview,
    index: SeriesIndex,
    batch: Batch,
    *,
    delimited: bool,
    received_ms: int,
    minute: int,
    admit_max: int,
    oldest_ms: int,
    newest_ms: int,
) -> tuple[list[Metadata], None, int]: ...
