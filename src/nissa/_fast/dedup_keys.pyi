import numpy as np
import numpy.typing as npt

from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa._fast.ttl import TtlMap

def dedup_packets(
    batch: Batch,
    events: TtlMap,
    metrics: TtlMap,
    alerts: TtlMap,
    lsn: int,
    now_ms: int,
    event_ttl_ms: int,
    metric_ttl_ms: int,
    alert_ttl_ms: int,
) -> npt.NDArray[np.uint8] | None: ...
def dedup_message(
    batch: Batch,
    index: SeriesIndex,
    event: int,
    *,
    alert: bool,
    source: bytes,
    packet_id: bytes,
    epoch: int,
    request_id: bytes,
) -> None: ...
def key_of_request(index: SeriesIndex, epoch: int, request_id: bytes) -> tuple[int, int]: ...
