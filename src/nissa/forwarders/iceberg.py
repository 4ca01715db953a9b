"""Makes Apache Iceberg tables hold the sealed rows of a data directory, each exactly once.

    catalogue ──copy──► blocks ──those that the table does not have──► one commit of the table: rows of these blocks,
                               ──those they were merged from       ──►   without those of the blocks they replace,
                                                                         and the property nissa.INSTANCE

What a table has of a directory is in a property of the table, and changes in the same commit as the rows. A run that
is killed has committed or has not; the next one reads the property and goes on. Rows of a block that has expired stay:
the tables keep what the ladder drops. Other Nissas may commit to the same tables; a commit that meets another one is
tried again.

A merged block says in its footer which blocks it was made of. Where those were merged themselves between two runs, the
frames and times that a block has rows of decide.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from nissa.catalogue.catalogue import BlockRow, Catalogue, SeriesSegment
from nissa.catalogue.sqlite_file import copy_database
from nissa.config.sinks import IcebergSink
from nissa.files.checked_file import FileGone
from nissa.files.file_facts import read_facts
from nissa.files.names import CATALOGUE
from nissa.forwarders.file_mirror import MirrorResult
from nissa.forwarders.iceberg_tables import (
    EVENTS,
    SAMPLES,
    SERIES_TABLE,
    WINDOWS,
    SeriesNames,
    block_rows,
    iceberg_schema,
    new_series_rows,
    table_of,
)
from nissa.model.errors import ConfigInvalid, Damaged, Unavailable
from nissa.store.verify import damage_of

ATTEMPTS_MAX: Final = 5
RETRY_S: Final = 30
BLOCKS_MAX: Final = 32  # of one commit
PROPERTY: Final = "nissa."  # before the instance

log = structlog.get_logger()


class KnownBlock(msgspec.Struct, frozen=True, array_like=True):
    """A block whose rows a table has."""

    id: int
    kind: str
    first_lsn: int
    last_lsn: int
    min_ms: int
    max_ms: int


class IcebergMirror:
    """The tables of one catalogue. For one thread."""

    def __init__(self, directory: Path, config: IcebergSink, setting: str) -> None:
        """directory: the data directory. setting: path of the sink in the configuration.

        Raises: ConfigInvalid where pyiceberg is missing, or does not know the catalogue.
        """
        try:
            from pyiceberg.catalog import load_catalog
            from pyiceberg.exceptions import CommitFailedException
        except ImportError:
            raise ConfigInvalid(setting, "needs the extra nissa[iceberg]") from None
        self._directory, self._config, self._setting = directory, config, setting
        self._conflict: type[Exception] = CommitFailedException
        self._load: Callable[[], Any] = lambda: load_catalog(
            "nissa", **{"warehouse": config.warehouse, **config.catalog}
        )
        self._catalog: Any = None
        self._damaged: set[str] = set()

    def run(self, go_on: Callable[[], bool]) -> MirrorResult:
        """Commit what is missing. go_on: False ends it after a commit.

        Raises: Unavailable; Damaged (the catalogue of Nissa).
        """
        for _ in range(ATTEMPTS_MAX):
            with tempfile.TemporaryDirectory(prefix="nissa-iceberg-") as place:
                try:
                    return self._run(Path(place), go_on)
                except (FileGone, self._conflict):  # merged or expired meanwhile; or another Nissa has committed
                    continue
                except (ConfigInvalid, Damaged, Unavailable):
                    raise
                except Exception as error:  # the edge: pyiceberg lets errors of its many backends through
                    self._catalog = None
                    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                    raise Unavailable(f"{self._setting}: {what}", RETRY_S) from error
        raise Unavailable(f"{self._setting}: {ATTEMPTS_MAX} commits in a row met others", RETRY_S)

    def _run(self, place: Path, go_on: Callable[[], bool]) -> MirrorResult:
        copy_database(self._directory / CATALOGUE, place / CATALOGUE)
        with closing(Catalogue.open(place, readonly=True)) as catalogue:
            blocks, segments, instance = catalogue.blocks(), catalogue.series_segments(), catalogue.instance
        if self._catalog is None:
            self._catalog = self._load()
            self._catalog.create_namespace_if_not_exists(self._config.namespace)
        self._commit_series(segments, instance)
        names = SeriesNames(self._directory, segments)
        found = MirrorResult()
        for table in (SAMPLES, WINDOWS, EVENTS):
            if table in self._config.tables:
                of_table = [block for block in blocks if table_of(block.kind) == table]
                found = self._commit_blocks(table, of_table, instance, names, found, go_on)
        return found

    def _table(self, table: str) -> Any:
        name = f"{self._config.namespace}.{table}"
        return self._catalog.create_table_if_not_exists(name, iceberg_schema(table))

    def _commit_series(self, segments: Sequence[SeriesSegment], instance: str) -> None:
        """Add series with ids above those that are there: ids ascend, and are never given out twice."""
        table = self._table(SERIES_TABLE)
        last = int(table.properties.get(PROPERTY + instance, "-1"))
        rows = new_series_rows(self._directory, list(segments), instance, last)
        if rows is not None and len(rows):
            with table.transaction() as change:
                change.append(rows)
                change.set_properties({PROPERTY + instance: str(max(one.last_series for one in segments))})

    def _commit_blocks(
        self,
        name: str,
        blocks: Sequence[BlockRow],
        instance: str,
        names: SeriesNames,
        found: MirrorResult,
        go_on: Callable[[], bool],
    ) -> MirrorResult:
        table, files, size = self._table(name), found.files, found.bytes
        known = msgspec.json.decode(table.properties.get(PROPERTY + instance, "[]"), type=list[KnownBlock])
        there, current = {one.id for one in known}, {block.id for block in blocks}
        missing = [block for block in blocks if block.id not in there]
        sound = [block for block in missing if not self._is_damaged(block)]
        damaged, deleted = found.damaged + len(missing) - len(sound), found.deleted
        while sound and go_on():
            part, sound = sound[:BLOCKS_MAX], sound[BLOCKS_MAX:]
            replaced = self._replaced(part, [one for one in known if one.id not in current])
            known = [one for one in known if one.id not in replaced and (one.id in current or sound)]
            known += [KnownBlock(*(getattr(block, field) for field in KnownBlock.__struct_fields__)) for block in part]
            self._commit(table, part, replaced, instance, names, known)
            files, size = files + len(part), size + sum(block.bytes for block in part)
            deleted += len(replaced)
        return MirrorResult(files, size, deleted, damaged)

    def _commit(
        self,
        table: Any,
        blocks: Sequence[BlockRow],
        replaced: set[int],
        instance: str,
        names: SeriesNames,
        known: Sequence[KnownBlock],
    ) -> None:
        """One commit: rows of new blocks, without those of the blocks they replace; all of it or nothing."""
        import pyarrow as pa

        note = {"nissa.instance": instance, "nissa.blocks": json.dumps([block.id for block in blocks])}
        with table.transaction() as change:
            if replaced:
                which = ", ".join(map(str, sorted(replaced)))
                change.delete(f"instance = '{instance}' and block in ({which})", snapshot_properties=note)
            for block in blocks:  # a file for each: to delete a block later costs no reading
                batches = block_rows(self._directory, block, instance, names)
                change.append(pa.Table.from_batches(batches, iceberg_schema(table_of(block.kind))), note)
            change.set_properties({PROPERTY + instance: msgspec.json.encode(known).decode()})

    def _replaced(self, blocks: Sequence[BlockRow], gone: Sequence[KnownBlock]) -> set[int]:
        """Ids of blocks that are gone, and whose rows these blocks have. Raises: FileGone."""
        found: set[int] = set()
        for block in blocks:
            try:
                facts = read_facts(self._directory / block.path)
            except ValueError:
                if not (self._directory / block.path).exists():  # merged or expired since it was listed
                    raise FileGone(block.path) from None
                raise
            sources = set(facts.sources) if facts is not None else set()
            found |= {one.id for one in gone if one.id in sources or (block.level and _covers(block, one))}
        return found

    def _is_damaged(self, block: BlockRow) -> bool:
        """Read a file against its checksums; FileGone where it is not there any more."""
        damage = damage_of(self._directory, block.path, block.seal)
        if not damage:
            return False
        if not (self._directory / block.path).exists():
            raise FileGone(block.path)
        if block.path not in self._damaged:
            log.error("a damaged file is not committed", sink=self._setting, file=block.path, reason=damage)
            self._damaged.add(block.path)
        return True


def _covers(block: BlockRow, one: KnownBlock) -> bool:
    """True if a merged block has rows of all frames and times of another one of its kind."""
    frames = block.first_lsn <= one.first_lsn and one.last_lsn <= block.last_lsn
    return block.kind == one.kind and frames and block.min_ms <= one.min_ms and one.max_ms <= block.max_ms
