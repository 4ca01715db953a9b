"""Arrow arrays over memory that is there already."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from nissa.files.arrow_columns import arrow_column, arrow_text

SEALING = """
import sys
from pathlib import Path
import numpy as np
from nissa.model.columns import EventBatch, SampleBatch, TextColumn
from nissa.catalogue.catalogue import Catalogue
from nissa.store.seal import HighWaterMarks, SealInput, write_seal
from nissa.store.series_table import SeriesRows

directory = Path(sys.argv[1])
ids = np.arange(3, dtype=np.uint32)
rows = SampleBatch(ids, np.arange(3), np.ones(3))
offsets = np.array([0, 8, 9, 10], np.int64)
pairs = np.array([[0, 1], [0, 2], [0, 1]], np.uint32)
ids = np.arange(3, dtype=np.uint32)
series = SeriesRows(ids, np.ones((3, 2), np.uint64), np.arange(4, dtype=np.uint64), pairs, offsets, b"__name__ab")
text = TextColumn(np.array([0, 1], np.int32), b"x")
none = TextColumn(np.zeros(1, np.int32), b"")
starts = np.zeros(2, np.int32)
events = EventBatch(np.ones(1, np.int64), np.ones(1, np.uint8), text, text, text, text, starts, none, none)
catalogue = Catalogue.open(directory)
sealed = write_seal(directory, catalogue, HighWaterMarks((), 0), SealInput([rows], 1, 2, 3, series, [events]))
assert len(sealed.blocks) == 2
catalogue.close()
print("pandas" in sys.modules)
"""


@pytest.mark.parametrize(
    ("dtype", "kind"), [(np.uint32, pa.uint32()), (np.int64, pa.int64()), (np.float64, pa.float64())]
)
def test_numbers_are_the_same_memory(dtype: type, kind: pa.DataType) -> None:
    """A column has the values it was given, at the address it was given."""
    values = np.array([1, 2, 3], dtype)
    column = arrow_column(values, kind)
    assert column.to_pylist() == [1, 2, 3]
    assert column.buffers()[1].address == values.ctypes.data


def test_numbers_that_do_not_lie_side_by_side_are_copied() -> None:
    """Every second value of an array is a column too."""
    assert arrow_column(np.arange(6, dtype=np.int64)[::2], pa.int64()).to_pylist() == [0, 2, 4]


def test_every_bit_of_a_float_survives() -> None:
    """NaN payloads and negative zero come back as they went in."""
    bits = np.array([0x7FF0000000000002, 0xFFF8000000000001, 1 << 63], np.uint64)
    column = arrow_column(bits.view(np.float64), pa.float64())
    assert np.frombuffer(column.buffers()[1], np.uint64).tolist() == bits.tolist()


@pytest.mark.parametrize(("dtype", "kind"), [(np.int32, pa.string()), (np.int64, pa.large_string())])
def test_text_is_read_by_its_offsets(dtype: type, kind: pa.DataType) -> None:
    """Strings stand between their offsets, empty ones too."""
    assert arrow_text(np.array([0, 1, 1, 3], dtype), b"abc", kind).to_pylist() == ["a", "", "bc"]


def test_sealing_does_not_load_pandas(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Blocks of samples and events and a series segment are written without pandas, even where it is installed."""
    pytest.importorskip("pandas")
    directory = tmp_path_factory.mktemp("sealing")
    done = subprocess.run([sys.executable, "-c", SEALING, str(directory)], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
