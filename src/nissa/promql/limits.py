"""Limits of one query: what it may hold in memory."""

import msgspec

from nissa.model.errors import NissaError

STEPS_MAX = 1_000_000  # of a query, and of a subquery over all its windows

TOO_MUCH = "query processing would load too many samples into memory in query execution"


class ExecutionFailed(NissaError):
    """The expression is well formed, the data do not fit it: duplicate series, a parameter or size out of bounds."""


class Limits(msgspec.Struct, frozen=True):
    """samples_max: samples read for one selector at a time. cells_max: series × steps of one matrix. steps_max.

    setting: that samples_max follows from.
    """

    samples_max: int = 50_000_000
    cells_max: int = 50_000_000
    steps_max: int = STEPS_MAX
    setting: str = "api.query_samples_max, api.query_memory_size_max"

    def check_cells(self, cells: int) -> None:
        """Raises: ExecutionFailed over the limit."""
        if cells > self.cells_max:
            raise ExecutionFailed(f"{TOO_MUCH}: {cells} values are over the limit of {self.cells_max}")

    def check_samples(self, samples: int) -> None:
        """Raises: ExecutionFailed over the limit."""
        if samples > self.samples_max:
            raise ExecutionFailed(
                f"{TOO_MUCH}: {samples} samples are over the limit of {self.samples_max} ({self.setting})"
            )


LIMITS = Limits()


def check_steps(steps: int, steps_max: int = STEPS_MAX) -> None:
    """Raises: ExecutionFailed over the limit."""
    if steps > steps_max:
        raise ExecutionFailed(f"{steps} steps are over the limit of {steps_max}")
