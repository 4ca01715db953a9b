"""Samples in memory that unit tests of rules are evaluated on. Offers ``rules.unit_test.Ground``."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from nissa.model.allowance import Check
from nissa.promql.memory_source import MemorySource
from nissa.promql.source import SampleSource
from nissa.rules.queries import RecordedSample
from nissa.service.rule_queries import SourceQueries


class MemoryGround:
    """A place for samples, empty at first."""

    def __init__(self) -> None:
        self._source = MemorySource()
        self.queries = SourceQueries(self._open)

    def add(self, samples: Iterable[RecordedSample]) -> None:
        """Put samples there; a later value for one time replaces it."""
        by_series: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = {}
        for sample in samples:
            by_series.setdefault(tuple(sorted(sample.labels.items())), []).append((sample.at_ms, sample.value))
        for key, values in by_series.items():
            self._source.add(dict(key), values)

    def record(self, samples: Sequence[RecordedSample]) -> None:
        """As ``Recorder`` says."""
        self.add(samples)

    @contextmanager
    def _open(self, _check: Check) -> Iterator[SampleSource]:
        yield self._source
