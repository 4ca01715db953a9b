"""Ranks within groups, step by step: quantiles of a group's values, and the largest or smallest rows of a group.

    order    rows sorted by group      3 0 | 1 4 2          starts   0 2 5
    values   (rows × steps)            one column at a time: the cells of a group that are there

Rows are chosen with the heap that Go's library has, step for step, so that of equal values the same ones are chosen as
by Prometheus. This file knows no labels, no expression and no files.
"""

from libc.math cimport isnan
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t
from nissa._fast.ranked cimport quantile_of

import numpy as np

# Rows of groups, and the cells they have.
cdef struct Grouped:
    const int64_t* order
    const int64_t* starts       # groups + 1 of them
    size_t groups
    const double* value         # rows × steps
    const uint8_t* present
    size_t steps

cdef struct Ranked:
    double value                # negated where the smallest are wanted
    int64_t row


# ---- Boundary --------------------------------------------------------------------------------------------------------

def group_quantiles(const int64_t[::1] order not None, const int64_t[::1] starts not None, values, present,
                    const double[::1] quantiles not None):
    """The quantile of each group's values at each step, interpolated between neighbours.

    order: rows by group int64 (rows,). starts: int64 (groups + 1,). values, present: (rows, steps). quantiles: by step.
    Returns: values and present, (groups, steps). GIL: released. Cost: 5 to 10 ns per cell.
    """
    cdef Grouped grouped
    point_grouped(&grouped, order, starts, values, present, quantiles.shape[0])
    out_values = np.zeros((grouped.groups, grouped.steps), np.float64)
    out_present = np.zeros((grouped.groups, grouped.steps), np.uint8)
    scratch = np.empty(max(len(order), 1), np.float64)
    cdef double[:, ::1] value_view = out_values
    cdef uint8_t[:, ::1] present_view = out_present
    cdef double[::1] scratch_view = scratch
    if grouped.groups and grouped.steps:
        with nogil:
            find_quantiles(&grouped, &quantiles[0], &scratch_view[0], &value_view[0, 0], &present_view[0, 0])
    return out_values, out_present


def choose_ranked(const int64_t[::1] order not None, const int64_t[::1] starts not None, values, present,
                  const int64_t[::1] counts not None, bint largest):
    """Marks of the ``counts[step]`` largest (or smallest) cells of each group and step; numbers before NaN.

    Arguments as for ``group_quantiles``. Returns: uint8 (rows, steps). GIL: released. Cost: 2 to 10 ns per cell.
    """
    cdef Grouped grouped
    point_grouped(&grouped, order, starts, values, present, counts.shape[0])
    chosen = np.zeros(np.shape(present), np.uint8)
    heap = np.empty((max(len(order), 1) * sizeof(Ranked),), np.uint8)
    cdef uint8_t[:, ::1] chosen_view = chosen
    cdef uint8_t[::1] heap_view = heap
    if grouped.groups and grouped.steps and len(order):
        with nogil:
            choose_cells(&grouped, &counts[0], largest, <Ranked*>&heap_view[0], &chosen_view[0, 0])
    return chosen


cdef int point_grouped(Grouped* grouped, const int64_t[::1] order, const int64_t[::1] starts, values, present,
                       size_t steps) except -1:
    cdef const double[:, ::1] value_view = values
    cdef const uint8_t[:, ::1] present_view = present
    if value_view.shape[0] != present_view.shape[0] or value_view.shape[1] != present_view.shape[1]:
        raise ValueError(f"values of {np.shape(values)} beside marks of {np.shape(present)}")
    if order.shape[0] != value_view.shape[0] or <size_t>value_view.shape[1] != steps or starts.shape[0] < 1:
        raise ValueError(f"{order.shape[0]} rows and {steps} steps for values of {np.shape(values)}")
    if starts[0] != 0 or starts[starts.shape[0] - 1] != order.shape[0] or (np.diff(starts) < 0).any():
        raise ValueError("group starts do not ascend from 0 to the number of rows")
    if order.shape[0] and (np.min(order) < 0 or np.max(order) >= order.shape[0]):
        raise ValueError("a row is out of range")
    grouped.groups, grouped.steps = starts.shape[0] - 1, steps
    grouped.starts = &starts[0]
    grouped.order = &order[0] if order.shape[0] else NULL
    grouped.value = &value_view[0, 0] if order.shape[0] and steps else NULL
    grouped.present = &present_view[0, 0] if order.shape[0] and steps else NULL
    return 0


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef void find_quantiles(const Grouped* grouped, const double* quantiles, double* scratch, double* values,
                         uint8_t* present) noexcept nogil:
    cdef size_t group, step, count, cell
    cdef int64_t at
    for group in range(grouped.groups):
        for step in range(grouped.steps):
            count = 0
            for at in range(grouped.starts[group], grouped.starts[group + 1]):
                cell = grouped.order[at] * grouped.steps + step
                if grouped.present[cell]:
                    scratch[count] = grouped.value[cell]
                    count += 1
            if count:
                values[group * grouped.steps + step] = quantile_of(scratch, count, quantiles[step])
                present[group * grouped.steps + step] = True


cdef void choose_cells(const Grouped* grouped, const int64_t* counts, bint largest, Ranked* heap,
                       uint8_t* chosen) noexcept nogil:
    cdef size_t group, step, size, cell
    cdef int64_t at
    cdef Ranked next
    for group in range(grouped.groups):
        for step in range(grouped.steps):
            size = 0
            for at in range(grouped.starts[group], grouped.starts[group + 1]):
                next.row = grouped.order[at]
                cell = next.row * grouped.steps + step
                if not grouped.present[cell] or counts[step] < 1:
                    continue
                next.value = grouped.value[cell] if largest else -grouped.value[cell]
                if size < <size_t>counts[step]:
                    heap[size] = next
                    rise(heap, size)
                    size += 1
                elif heap[0].value < next.value or (isnan(heap[0].value) and not isnan(next.value)):
                    heap[0] = next
                    sink(heap, size)
            while size:
                size -= 1
                chosen[heap[size].row * grouped.steps + step] = True


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline bint is_less(const Ranked* left, const Ranked* right) noexcept nogil:
    return isnan(left.value) or left.value < right.value


cdef inline void exchange(Ranked* heap, size_t left, size_t right) noexcept nogil:
    cdef Ranked held = heap[left]
    heap[left] = heap[right]
    heap[right] = held


cdef inline void rise(Ranked* heap, size_t at) noexcept nogil:
    """The entry at ``at`` was put there: up to its place."""
    cdef size_t parent
    while at:
        parent = (at - 1) // 2
        if not is_less(&heap[at], &heap[parent]):
            return
        exchange(heap, at, parent)
        at = parent


cdef inline void sink(Ranked* heap, size_t size) noexcept nogil:
    """The first entry was replaced: down to its place."""
    cdef size_t at = 0, child
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and is_less(&heap[child + 1], &heap[child]):
            child += 1
        if not is_less(&heap[child], &heap[at]):
            return
        exchange(heap, at, child)
        at = child
