# Compensated sums (Neumaier's variant of Kahan's), in the order and with the rules of Prometheus, so that answers agree
# to the last bit: a running sum, what was lost of it to rounding, and means that survive a sum past the largest number.
#
#   Total    sum + lost is the value; once the sum is infinite nothing counts as lost.
#   Mean     the total while it is finite; from the addition that would overflow on, an incremental mean.
#
# A multiplication and an addition must not become one instruction, or answers would differ from machine to machine.

from libc.math cimport fabs, isfinite, isinf
from libc.stddef cimport size_t

cdef extern from *:
    """
    #if defined(__clang__)
    #pragma clang fp contract(off)
    #elif defined(__GNUC__)
    #pragma GCC optimize ("fp-contract=off")
    #endif
    """

cdef struct Total:
    double sum
    double lost

cdef struct Mean:
    Total total                 # of the values; once incremental: the mean itself
    double count
    bint incremental


cdef inline void add_to(Total* total, double value) noexcept nogil:
    cdef double after = total.sum + value
    if isinf(after):
        total.lost = 0.0
    elif fabs(total.sum) >= fabs(value):
        total.lost += (total.sum - after) + value
    else:
        total.lost += (value - after) + total.sum
    total.sum = after


cdef inline bint add_finite(Total* total, const double* values, size_t count) noexcept nogil:
    """As ``add_to`` for each value, if the sum stays finite; else the total is left alone, and the answer is False.

    What is lost comes exact by either formula: this one (Knuth's) has no branch, which walks would take at random.
    """
    cdef double total_sum = total.sum, lost = total.lost, after, part
    cdef size_t at
    for at in range(count):
        after = total_sum + values[at]
        part = after - total_sum
        lost += (total_sum - (after - part)) + (values[at] - part)
        total_sum = after
    if not isfinite(total_sum):
        return False
    total.sum, total.lost = total_sum, lost
    return True


cdef inline double value_of(const Total* total) noexcept nogil:
    return total.sum if isinf(total.sum) else total.sum + total.lost


cdef inline void begin_mean(Mean* mean, double value) noexcept nogil:
    mean.total.sum, mean.total.lost = value, 0.0
    mean.count = 1.0
    mean.incremental = False


cdef inline void add_to_mean(Mean* mean, double value) noexcept nogil:
    cdef Total after = mean.total
    cdef double share
    mean.count += 1.0
    if not mean.incremental:
        add_to(&after, value)
        if not isinf(after.sum):
            mean.total = after
            return
        mean.incremental = True
        mean.total.sum /= mean.count - 1.0
        mean.total.lost /= mean.count - 1.0
    share = (mean.count - 1.0) / mean.count
    mean.total.sum *= share
    mean.total.lost *= share
    add_to(&mean.total, value / mean.count)


cdef inline double mean_of(const Mean* mean) noexcept nogil:
    if mean.incremental:
        return mean.total.sum + mean.total.lost
    return mean.total.sum / mean.count + mean.total.lost / mean.count
