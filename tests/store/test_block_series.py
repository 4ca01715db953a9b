"""Series of blocks: the footer names each series with rows once, and blocks without the entry are read for it."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa.catalogue.catalogue import BlockRow
from nissa.files.checked_file import FileGone
from nissa.model.columns import SampleBatch
from nissa.model.errors import Damaged
from nissa.model.ladder import DEFAULT_TIERS
from nissa.model.slices import run_whole
from nissa.rollup.fold import fold_raw
from nissa.store import block_file, block_series
from nissa.store.block_series import SERIES_KEY, SeriesCollector, decode_series, encode_series, series_in
from nissa.store.blocks import BlockWriter
from nissa.store.tier_blocks import write_windows

IDS = st.lists(st.integers(0, 2**32 - 1), max_size=200, unique=True).map(sorted)


def samples(ids: list[int], each: int = 3) -> SampleBatch:
    """Some samples of each series."""
    ts_ms = np.tile(np.arange(each, dtype=np.int64) * 60_000, len(ids))
    return SampleBatch(np.repeat(np.array(ids, np.uint32), each), ts_ms, np.ones(len(ts_ms)))


def raw_block(path: Path, number: int, *batches: SampleBatch) -> BlockRow:
    """A raw block of these rows, each batch written by itself."""
    (path / "blocks").mkdir(exist_ok=True)
    writer = BlockWriter(path, number, level=1, created_ms=1)
    for batch in batches:
        writer.write(batch)
    return writer.finish(1, 1)


@given(IDS)
def test_ids_come_back(ids: list[int]) -> None:
    """Dense ones and ones far apart, none at all, the largest there is."""
    text = encode_series(np.array(ids, np.uint32))
    assert text.isascii()
    assert decode_series(text).tolist() == ids


def test_what_is_no_such_text_is_refused() -> None:
    """Whatever is wrong with it."""
    for text in (b"?", b"aaaa", encode_series(np.arange(9, dtype=np.uint32))[:-4]):
        with pytest.raises(ValueError, match="series ids of the footer"):
            decode_series(text)


def test_neighbours_cost_next_to_nothing() -> None:
    """A million ids in a row are a few hundred bytes."""
    assert len(encode_series(np.arange(1_000_000, dtype=np.uint32))) < 1_000


def test_a_series_that_goes_on_is_collected_once() -> None:
    """A series that goes on in the next batch is collected once."""
    collector = SeriesCollector()
    for part in ([3, 3, 9], [9, 9, 12], [12]):
        collector.add(np.array(part, np.uint32))
    assert decode_series(collector.finish() or b"").tolist() == [3, 9, 12]
    assert SeriesCollector().finish() is None


def test_the_footer_names_them(tmp_path: Path) -> None:
    """The footers of blocks of samples and of windows name their series."""
    ids = [0, 1, 2, 700, 70_000]
    block = raw_block(tmp_path, 1, samples(ids[:3]), samples(ids[2:]))
    windows = fold_raw([samples(ids)], DEFAULT_TIERS)[1]
    tier = run_whole(write_windows(tmp_path, 2, DEFAULT_TIERS[1], [windows], 1, 1))
    assert tier is not None
    for one in (block, tier):
        assert SERIES_KEY in pq.read_metadata(tmp_path / one.path).metadata
        assert series_in(tmp_path, one).tolist() == ids


def test_blocks_of_earlier_builds_are_read_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their footers have no such entry."""
    monkeypatch.setattr(block_file.SeriesCollector, "finish", lambda _: None)
    ids = list(range(0, 90_000, 3))
    block = raw_block(tmp_path, 1, samples(ids[:20_000], 9), samples(ids[20_000:], 9))
    metadata = pq.read_metadata(tmp_path / block.path)
    assert SERIES_KEY not in (metadata.metadata or {})
    assert metadata.num_row_groups > 1
    assert series_in(tmp_path, block).tolist() == ids


def test_ids_are_held_within_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids that were read stay known when the file is deleted, until others take their place."""
    monkeypatch.setattr(block_series, "HELD_BYTES_MAX", 2_000)
    monkeypatch.setattr(block_series, "_HELD", block_series.Held(block_series.HELD_BYTES_MAX))
    blocks = [raw_block(tmp_path, number, samples(list(range(300)))) for number in (1, 2, 3)]
    large = raw_block(tmp_path, 4, samples(list(range(900))))
    for block in (blocks[0], large):
        series_in(tmp_path, block)
        (tmp_path / block.path).unlink()
    assert len(series_in(tmp_path, blocks[0])) == 300
    with pytest.raises(FileGone):
        series_in(tmp_path, large)
    series_in(tmp_path, blocks[1])
    assert block_series._HELD.bytes <= 2_000
    with pytest.raises(FileGone):
        series_in(tmp_path, blocks[0])


def test_damage_is_reported(tmp_path: Path) -> None:
    """A flipped bit in the footer."""
    block = raw_block(tmp_path, 1, samples([1, 2]))
    path = tmp_path / block.path
    whole = path.read_bytes()
    path.write_bytes(whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:])
    with pytest.raises(Damaged, match="raw-"):
        series_in(tmp_path, block)
