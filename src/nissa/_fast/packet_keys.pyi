import numpy as np
import numpy.typing as npt

class Keys:
    def __init__(self, secret: bytes) -> None: ...
    def of_packet(self, source: bytes, packet_id: bytes) -> npt.NDArray[np.uint64]: ...
    def of_request(self, epoch: int, request_id: bytes) -> npt.NDArray[np.uint64]: ...
    def of_packets(
        self,
        source_offsets: npt.NDArray[np.int64],
        sources: bytes,
        id_offsets: npt.NDArray[np.int64],
        ids: bytes,
    ) -> npt.NDArray[np.uint64]: ...
