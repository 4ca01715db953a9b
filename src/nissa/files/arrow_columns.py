"""Arrow arrays over existing memory: no copy, no nulls.

Arrow's own constructors (``pa.array``, ``pa.scalar``) look whether their argument comes from pandas, and for that load
pandas where it is installed: 0.3 s of CPU and 40 MB, in the middle of sealing. Buffers need no such question.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_column(values: npt.NDArray[Any], kind: "pa.DataType") -> "pa.Array":
    """Numbers as an Arrow array of the type ``kind``, whose width is that of the values."""
    import pyarrow as pa  # heavy: the daemon receives before it is needed

    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def arrow_text(offsets: npt.NDArray[Any], data: bytes, kind: "pa.DataType") -> "pa.Array":
    """Text as an Arrow array of the type ``kind``: ``string`` for offsets int32, ``large_string`` for int64."""
    import pyarrow as pa

    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, len(offsets) - 1, buffers)


@lru_cache(maxsize=1)
def one_thread() -> None:
    """Arrow's own threads would only take the cores that receive, and its own pool memory that others have freed."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
