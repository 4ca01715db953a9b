from nissa._fast.batch import Batch
from nissa._fast.exposition_rules import ExpositionRules
from nissa._fast.series import SeriesIndex
from nissa.model.columns import Metadata
from nissa.model.text_faults import LineFault

def decode_exposition(
    body: bytes | memoryview,
    index: SeriesIndex,
    batch: Batch,
    *,
    minute: int,
    admit_max: int,
    oldest_ms: int,
    newest_ms: int,
    now_ms: int,
    openmetrics: bool,
    own_times: bool = ...,
    stale: bool = ...,
    rules: ExpositionRules | None = ...,
) -> tuple[list[Metadata], list[LineFault], int]: ...
