"""Labels of n series as columns of symbols: the label sets that PromQL groups, matches and rewrites.

    names      __name__  instance  job            rows are series, one column per label name, sorted by name
    row 0         4         9       7             a symbol stands for a text; 0 is the empty text: no such label
    row 1         4         0       7

Grouping and matching compare symbols. Texts are looked up only for the answer and for functions that need them. A
function that drops the metric's name only marks its rows (``drop_name``): the name stays visible to ``by (__name__)``
and ``label_replace`` until the end, as in Prometheus with delayed name removal.

Values are immutable: every method gives a new table. This file knows no samples.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, Self

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.groups import group_rows
from nissa.model.matcher import NAME_LABEL

SymbolColumn = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.int64]
NO_TEXT = 0  # the symbol of the empty text


class LabelTexts(Protocol):
    """Symbols and their texts, for one query."""

    def text(self, symbol: int) -> str:
        """The text of a symbol; 0 is the empty text."""

    def symbol(self, text: str) -> int:
        """The symbol of a text, created if it is new."""


class Labels(msgspec.Struct, frozen=True):
    """The label sets of n series. names: sorted. columns: uint32 (names, n). drop_name: bool (n,)."""

    texts: LabelTexts
    names: tuple[str, ...]
    columns: SymbolColumn
    drop_name: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.drop_name)

    def column(self, name: str) -> SymbolColumn:
        """Symbols of one label; zeros where no series has it."""
        found: SymbolColumn = np.zeros(len(self), np.uint32)
        return self.columns[self.names.index(name)] if name in self.names else found

    def take(self, rows: Rows | npt.NDArray[np.bool_] | slice) -> Self:
        """Some rows, in the order given."""
        return type(self)(self.texts, self.names, np.ascontiguousarray(self.columns[:, rows]), self.drop_name[rows])

    def keep(self, names: Iterable[str]) -> Self:
        """Only these labels."""
        wanted = set(names)
        return self._where([name in wanted for name in self.names])

    def without(self, names: Iterable[str]) -> Self:
        """All labels but these."""
        gone = set(names)
        return self._where([name not in gone for name in self.names])

    def put(self, name: str, column: SymbolColumn) -> Self:
        """One label set; symbol 0 takes it away."""
        names = tuple(sorted({*self.names, name}))
        columns = np.zeros((len(names), len(self)), np.uint32)
        for at, other in enumerate(names):
            columns[at] = column if other == name else self.column(other)
        return type(self)(self.texts, names, columns, self.drop_name)

    def marked(self, drop_name: bool | npt.NDArray[np.bool_] = True) -> Self:
        """The same, with the mark that the metric's name is to be dropped."""
        marks: npt.NDArray[np.bool_] = np.empty(len(self), np.bool_)
        marks[:] = drop_name
        return type(self)(self.texts, self.names, self.columns, marks)

    def named(self) -> Self:
        """The same without the names that are marked to be dropped, and without marks."""
        if not self.drop_name.any():
            return self
        name = self.column(NAME_LABEL)
        bare = self.put(NAME_LABEL, np.where(self.drop_name, np.uint32(NO_TEXT), name))
        return bare.marked(False)

    def groups(self) -> tuple[SymbolColumn, SymbolColumn]:
        """Rows of equal labels: the group of each row, and the first row of each group, in order of appearance."""
        return group_rows(self.columns, len(self))

    def row(self, row: int) -> dict[str, str]:
        """The labels of one row as text, sorted by name."""
        text = self.texts.text
        pairs = zip(self.names, self.columns[:, row].tolist(), strict=True)
        return {name: text(symbol) for name, symbol in pairs if symbol != NO_TEXT}

    def text_of(self, name: str) -> list[str]:
        """One label's text in each row."""
        symbols, places = np.unique(self.column(name), return_inverse=True)
        found = [self.texts.text(symbol) for symbol in symbols.tolist()]
        return [found[place] for place in places.tolist()]

    def order(self) -> Rows:
        """Rows in the order of their label sets: by first name that differs, then by its value."""
        if len(self) < 2:
            return np.arange(len(self))
        keys: list[npt.NDArray[np.int64]] = []
        behind = np.zeros(len(self), np.bool_)  # whether a label follows in later columns
        for column in self.columns[::-1]:
            symbols, places = np.unique(column, return_inverse=True)
            by_text = np.argsort(np.array([self.texts.text(symbol) for symbol in symbols.tolist()], dtype=object))
            ranks = np.empty(len(symbols), np.int64)
            ranks[by_text] = np.arange(1, len(symbols) + 1)
            key = ranks[places]
            key[(column == NO_TEXT) & behind] = len(symbols) + 1  # another name comes first in the row with this label
            keys.append(key)
            behind |= column != NO_TEXT
        return np.lexsort(keys) if keys else np.arange(len(self))

    def _where(self, kept: Sequence[bool]) -> Self:
        names = tuple(name for name, keep in zip(self.names, kept, strict=True) if keep)
        return type(self)(
            self.texts, names, np.ascontiguousarray(self.columns[np.array(kept, np.bool_)]), self.drop_name
        )


def no_labels(texts: LabelTexts, rows: int) -> Labels:
    """Rows of no labels at all."""
    return Labels(texts, (), np.empty((0, rows), np.uint32), np.zeros(rows, np.bool_))


def label_rows(texts: LabelTexts, rows: Sequence[dict[str, str]]) -> Labels:
    """A table of label sets given as text."""
    names = tuple(sorted({name for row in rows for name in row}))
    columns = np.zeros((len(names), len(rows)), np.uint32)
    for at, name in enumerate(names):
        columns[at] = [texts.symbol(row.get(name, "")) for row in rows]
    return Labels(texts, names, columns, np.zeros(len(rows), np.bool_))


def join_labels(tables: Sequence[Labels]) -> Labels:
    """Tables of one query, one below the other."""
    if len(tables) == 1:
        return tables[0]
    names = tuple(sorted({name for table in tables for name in table.names}))
    columns = np.empty((len(names), sum(map(len, tables))), np.uint32)
    for at, name in enumerate(names):
        columns[at] = np.concatenate([table.column(name) for table in tables])
    return Labels(tables[0].texts, names, columns, np.concatenate([table.drop_name for table in tables]))
