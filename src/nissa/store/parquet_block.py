"""The open file of a block, and the limit of files that one query has open.

    OpenFiles(2)     block 3 ▮   block 7 ▮   block 9 ·        ▮ open   · closed
    block 9 is read  block 3 ·   block 7 ▮   block 9 ▮        the one used longest ago is closed for it

A closed file is opened again when its next row group is read; if it was deleted meanwhile, that raises FileGone. An
open file stays readable when it is deleted.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nissa.catalogue.catalogue import BlockRow
from nissa.files.arrow_columns import one_thread
from nissa.files.checked_file import CheckedReader
from nissa.files.names import locate
from nissa.model.errors import Damaged
from nissa.store.block_footer import as_damaged, read_footer

if TYPE_CHECKING:
    import pyarrow as pa

OPEN_FILES_MAX = 64  # of one question: a descriptor each


class OpenFiles:
    """The files that one question has open. Not safe from several threads."""

    def __init__(self, files_max: int = OPEN_FILES_MAX) -> None:
        self._files_max = files_max
        self._files: dict[ParquetBlock, None] = {}  # the one used longest ago first

    @property
    def is_full(self) -> bool:
        """True where the next file to be opened closes another one."""
        return len(self._files) >= self._files_max

    def note(self, file: "ParquetBlock") -> None:
        """``file`` is open, and used now."""
        self._files.pop(file, None)
        if self.is_full:
            next(iter(self._files)).close()
        self._files[file] = None

    def forget(self, file: "ParquetBlock") -> None:
        """``file`` is closed."""
        self._files.pop(file, None)

    def close(self) -> None:
        """Close all of them."""
        for file in list(self._files):
            file.close()


class ParquetBlock:
    """One block's file. Raises: FileGone where it is not there any more (read the catalogue again); Damaged."""

    def __init__(
        self, directory: Path, block: BlockRow, files: OpenFiles | None = None, *, pages_checked: bool = False
    ) -> None:
        """The file is opened at once, unless ``files`` are full; without them it stays open until it is closed.

        pages_checked: verify Parquet's own checksums of pages too.
        """
        one_thread()
        self.block = block
        self._path = locate(directory, block.path)
        self._files = files
        self._pages_checked = pages_checked
        self._file: CheckedReader | None = None
        self._parquet: Any = None
        if files is None or not files.is_full:
            self._open()
        self.footer = read_footer(str(self._path), block.seal)

    def read_group(self, group: int, names: Sequence[str] | None = None) -> "pa.Table":
        """A row group; names: of its columns, None for all. Raises: Damaged."""
        return self.read_groups([group], names)

    def read_groups(self, groups: Sequence[int], names: Sequence[str] | None = None) -> "pa.Table":
        """Row groups, one behind the other: many small ones take half as long so. Arguments, errors: ``read_group``."""
        if self._parquet is None:
            self._open()
        elif self._files is not None:
            self._files.note(self)
        try:
            return self._parquet.read_row_groups(groups, columns=names, use_threads=False)
        except Exception as error:  # any error of Arrow for bytes it cannot read
            raise self.damage_of(error) from error

    def damage_of(self, error: BaseException) -> BaseException:
        """The damage that ``error``, raised over bytes of this file, stands for."""
        if self._file is None:
            return error if isinstance(error, FileNotFoundError | Damaged) else Damaged(str(self._path), str(error))
        return as_damaged(self._file, error)

    def close(self) -> None:
        """Close the file; it is opened again where another row group is read."""
        parquet, self._parquet = self._parquet, None
        if parquet is not None:
            parquet.close(force=True)
        if self._file is not None:
            self._file.close()
        if self._files is not None:
            self._files.forget(self)

    def _open(self) -> None:
        import pyarrow.parquet as pq

        self._file = CheckedReader(self._path, self.block.seal)
        try:
            footer = read_footer(str(self._path), self.block.seal)
            self._parquet = pq.ParquetFile(
                self._file,
                metadata=footer.metadata,
                page_checksum_verification=self._pages_checked,
                pre_buffer=False,
            )
        except BaseException as error:  # any error that Arrow raises; reported as damage, or raised as it is
            self._file.close()
            raise as_damaged(self._file, error) from error
        if self._files is not None:
            self._files.note(self)
