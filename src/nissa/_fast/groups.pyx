"""Groups of series: assigns rows with equal labels to a group, and aggregates the rows of each group.

    columns (labels × rows), symbols        row     0  1  2  3         group ids in order of first appearance
      job       7  7  8  7                          a  a  b  c
      instance  3  3  3  9                  groups  0  0  1  2         firsts  0 2 3

    values (rows × steps)  ──add──▶  totals (groups × steps): sum, lost to rounding, count …

Aggregations come in three steps so that rows may arrive in slices: the caller makes the arrays, ``add_*`` takes one
slice of rows after another, ``close_*`` makes the values. Sums and means are compensated (``kahan.pxd``).

This file knows no label names, no expression and no files.
"""

from libc.math cimport NAN, isfinite, isnan, sqrt
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from nissa._fast.kahan cimport Mean, Total, add_to, add_to_mean, begin_mean, mean_of, value_of

import numpy as np

cimport cython

# One slice of rows on its way into groups.
cdef struct Rows:
    const uint32_t* group       # by row
    const double* value         # rows × steps
    const uint8_t* present
    size_t count
    size_t steps

# Welford's running mean and sum of squares.
cdef struct Spread:
    double count
    double mean
    double squares

MEAN_BYTES = sizeof(Mean)
SPREAD_BYTES = sizeof(Spread)


# ---- Boundary --------------------------------------------------------------------------------------------------------

def group_rows(const uint32_t[:, ::1] columns not None, size_t rows):
    """Number rows by what stands in all columns, in order of first appearance.

    columns: symbols, uint32 (labels, rows). rows: how many, where there are no columns: they are one group.
    Returns: group of each row uint32 (rows,), first row of each group uint32 (groups,).
    GIL: released. Cost: 10 ns per row and 2 ns per cell.
    """
    cdef size_t labels = columns.shape[0]
    if labels and <size_t>columns.shape[1] != rows:
        raise ValueError(f"columns of {columns.shape[1]} rows, expected {rows}")
    cdef size_t capacity = 16
    while capacity < 2 * rows:
        capacity *= 2
    ids, firsts, table = np.zeros(rows, np.uint32), np.empty(rows, np.uint32), np.zeros(capacity, np.uint32)
    if not rows or not labels:
        return ids, np.zeros(1 if rows else 0, np.uint32)
    cdef uint32_t[::1] ids_view = ids
    cdef uint32_t[::1] firsts_view = firsts
    cdef uint32_t[::1] table_view = table
    cdef size_t groups
    with nogil:
        groups = number_rows(&columns[0, 0], labels, rows, &table_view[0], capacity - 1, &ids_view[0], &firsts_view[0])
    return ids, firsts[:groups].copy()


def add_sums(groups, values, present, double[:, ::1] sums not None, double[:, ::1] lost not None,
             uint64_t[:, ::1] counts not None):
    """Add rows to the sums of their groups; ``counts``: cells that were there. GIL: released. Cost: 2 ns per cell."""
    cdef Rows rows
    point_rows(&rows, groups, values, present, sums.shape[0], sums.shape[1])
    check_shape(sums.shape[0], sums.shape[1], lost.shape[0], lost.shape[1])
    check_shape(sums.shape[0], sums.shape[1], counts.shape[0], counts.shape[1])
    if rows.count and rows.steps:
        with nogil:
            sum_rows(&rows, &sums[0, 0], &lost[0, 0], &counts[0, 0])


def add_counts(groups, present, uint64_t[:, ::1] counts not None):
    """Count the cells that are there, by group. GIL: released. Cost: 1 ns per cell."""
    cdef Rows rows
    point_rows(&rows, groups, None, present, counts.shape[0], counts.shape[1])
    if rows.count and rows.steps:
        with nogil:
            count_rows(&rows, &counts[0, 0])


def add_means(groups, values, present, uint8_t[:, ::1] means not None):
    """Add rows to the means of their groups. means: zeros at first, MEAN_BYTES per step.

    GIL: released. Cost: 4 ns per cell.
    """
    cdef Rows rows
    point_rows(&rows, groups, values, present, means.shape[0], means.shape[1] // sizeof(Mean))
    if rows.count and rows.steps:
        with nogil:
            average_rows(&rows, <Mean*>&means[0, 0])


def close_means(const uint8_t[:, ::1] means not None):
    """Values and present marks of what ``add_means`` made."""
    cdef size_t groups = means.shape[0], steps = means.shape[1] // sizeof(Mean), cell
    values, present = np.zeros((groups, steps), np.float64), np.zeros((groups, steps), np.uint8)
    cdef double[:, ::1] value_view = values
    cdef uint8_t[:, ::1] present_view = present
    if groups and steps:
        with nogil:
            read_means(<const Mean*>&means[0, 0], groups * steps, &value_view[0, 0], &present_view[0, 0])
    return values, present


def add_spreads(groups, values, present, uint8_t[:, ::1] spreads not None):
    """Add rows to the variances of their groups. spreads: zeros at first, SPREAD_BYTES per step. GIL: released."""
    cdef Rows rows
    point_rows(&rows, groups, values, present, spreads.shape[0], spreads.shape[1] // sizeof(Spread))
    if rows.count and rows.steps:
        with nogil:
            spread_rows(&rows, <Spread*>&spreads[0, 0])


def close_spreads(const uint8_t[:, ::1] spreads not None, bint deviation):
    """Variances, or standard deviations, and present marks of what ``add_spreads`` made."""
    cdef size_t groups = spreads.shape[0], steps = spreads.shape[1] // sizeof(Spread)
    values, present = np.zeros((groups, steps), np.float64), np.zeros((groups, steps), np.uint8)
    cdef double[:, ::1] value_view = values
    cdef uint8_t[:, ::1] present_view = present
    if groups and steps:
        with nogil:
            read_spreads(<const Spread*>&spreads[0, 0], groups * steps, deviation, &value_view[0, 0],
                         &present_view[0, 0])
    return values, present


def add_extremes(groups, values, present, bint largest, double[:, ::1] extremes not None,
                 uint8_t[:, ::1] seen not None):
    """Keep the largest or smallest value of each group; a number beats NaN. GIL: released. Cost: 1 ns per cell."""
    cdef Rows rows
    point_rows(&rows, groups, values, present, extremes.shape[0], extremes.shape[1])
    check_shape(extremes.shape[0], extremes.shape[1], seen.shape[0], seen.shape[1])
    if rows.count and rows.steps:
        with nogil:
            raise_rows(&rows, largest, &extremes[0, 0], &seen[0, 0])


cdef int check_shape(size_t rows, size_t columns, size_t other_rows, size_t other_columns) except -1:
    if rows != other_rows or columns != other_columns:
        raise ValueError(f"totals of {rows} x {columns} beside {other_rows} x {other_columns}")
    return 0


cdef int point_rows(Rows* rows, groups, values, present, size_t groups_total, size_t steps) except -1:
    """Point at one slice of rows; whoever calls keeps it alive."""
    cdef const uint32_t[::1] group_view = groups
    cdef const uint8_t[:, ::1] present_view = present
    cdef const double[:, ::1] value_view
    rows.count, rows.steps = present_view.shape[0], present_view.shape[1]
    if <size_t>group_view.shape[0] != rows.count or rows.steps != steps:
        raise ValueError(f"{group_view.shape[0]} groups and {steps} steps for rows of {np.shape(present)}")
    if rows.count and <size_t>np.max(groups) >= groups_total:
        raise ValueError(f"a group is past {groups_total} groups")
    rows.value = NULL
    if values is not None:
        value_view = values
        check_shape(rows.count, rows.steps, value_view.shape[0], value_view.shape[1])
        rows.value = &value_view[0, 0] if rows.count and rows.steps else NULL
    rows.group = &group_view[0] if rows.count else NULL
    rows.present = &present_view[0, 0] if rows.count and rows.steps else NULL
    return 0


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef size_t number_rows(const uint32_t* columns, size_t labels, size_t rows, uint32_t* table, size_t mask,
                        uint32_t* ids, uint32_t* firsts) noexcept nogil:
    """Open addressing; the table holds group number + 1."""
    cdef size_t row, groups = 0, place
    for row in range(rows):
        place = hash_row(columns, labels, rows, row) & mask
        while table[place] and not same_row(columns, labels, rows, row, firsts[table[place] - 1]):
            place = (place + 1) & mask
        if not table[place]:
            firsts[groups] = <uint32_t>row
            groups += 1
            table[place] = <uint32_t>groups
        ids[row] = table[place] - 1
    return groups


cdef void sum_rows(const Rows* rows, double* sums, double* lost, uint64_t* counts) noexcept nogil:
    cdef size_t row, step, cell = 0, at
    cdef Total total
    for row in range(rows.count):
        at = rows.group[row] * rows.steps
        for step in range(rows.steps):
            if rows.present[cell]:
                total.sum, total.lost = sums[at], lost[at]
                add_to(&total, rows.value[cell])
                sums[at], lost[at] = total.sum, total.lost
                counts[at] += 1
            cell += 1
            at += 1


cdef void count_rows(const Rows* rows, uint64_t* counts) noexcept nogil:
    cdef size_t row, step, cell = 0, at
    for row in range(rows.count):
        at = rows.group[row] * rows.steps
        for step in range(rows.steps):
            counts[at + step] += rows.present[cell + step] != 0
        cell += rows.steps


cdef void average_rows(const Rows* rows, Mean* means) noexcept nogil:
    cdef size_t row, step, cell = 0, at
    for row in range(rows.count):
        at = rows.group[row] * rows.steps
        for step in range(rows.steps):
            if rows.present[cell]:
                if means[at].count == 0.0:
                    begin_mean(&means[at], rows.value[cell])
                else:
                    add_to_mean(&means[at], rows.value[cell])
            cell += 1
            at += 1


cdef void read_means(const Mean* means, size_t cells, double* values, uint8_t* present) noexcept nogil:
    cdef size_t cell
    for cell in range(cells):
        if means[cell].count != 0.0:
            values[cell] = mean_of(&means[cell])
            present[cell] = True


cdef void spread_rows(const Rows* rows, Spread* spreads) noexcept nogil:
    cdef size_t row, step, cell = 0, at
    for row in range(rows.count):
        at = rows.group[row] * rows.steps
        for step in range(rows.steps):
            if rows.present[cell]:
                spread_value(&spreads[at], rows.value[cell])
            cell += 1
            at += 1


cdef void read_spreads(const Spread* spreads, size_t cells, bint deviation, double* values,
                       uint8_t* present) noexcept nogil:
    cdef size_t cell
    cdef double variance
    for cell in range(cells):
        if spreads[cell].count != 0.0:
            variance = spreads[cell].squares / spreads[cell].count
            values[cell] = sqrt(variance) if deviation else variance
            present[cell] = True


cdef void raise_rows(const Rows* rows, bint largest, double* extremes, uint8_t* seen) noexcept nogil:
    cdef size_t row, step, cell = 0, at
    cdef double value
    for row in range(rows.count):
        at = rows.group[row] * rows.steps
        for step in range(rows.steps):
            if rows.present[cell]:
                value = rows.value[cell]
                if not seen[at] or beats(value, extremes[at], largest):
                    extremes[at] = value
                    seen[at] = True
            cell += 1
            at += 1


# ---- Steps -----------------------------------------------------------------------------------------------------------

@cython.overflowcheck(False)
cdef inline uint64_t hash_row(const uint32_t* columns, size_t labels, size_t rows, size_t row) noexcept nogil:
    cdef uint64_t mixed = 0x9E3779B97F4A7C15
    cdef size_t label
    for label in range(labels):
        mixed = (mixed ^ columns[label * rows + row]) * <uint64_t>0xFF51AFD7ED558CCD
        mixed ^= mixed >> 32
    return mixed


cdef inline bint same_row(const uint32_t* columns, size_t labels, size_t rows, size_t left,
                          size_t right) noexcept nogil:
    cdef size_t label
    for label in range(labels):
        if columns[label * rows + left] != columns[label * rows + right]:
            return False
    return True


cdef inline void spread_value(Spread* spread, double value) noexcept nogil:
    cdef double delta
    spread.count += 1.0
    if spread.count == 1.0:
        spread.mean, spread.squares = value, 0.0 if isfinite(value) else NAN
        return
    delta = value - spread.mean
    spread.mean += delta / spread.count
    spread.squares += delta * (value - spread.mean)


cdef inline bint beats(double value, double holder, bint largest) noexcept nogil:
    if isnan(holder):
        return True
    return value > holder if largest else value < holder
