"""The registry of metrics of Nissa and its process, for scrapers and for Nissa itself."""

from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import CollectorRegistry

from nissa.model.frame import Frame
from nissa.selfmetrics.cells import HttpCells
from nissa.selfmetrics.collector import Accounting, NissaCollector, Status
from nissa.selfmetrics.exposition import expose
from nissa.selfmetrics.self_frame import SelfFrames


class Registry:
    """A registry of all metrics of the catalogue. Values are read at each scrape."""

    def __init__(self, status: Status, cells: HttpCells, accounting: Accounting) -> None:
        """status, accounting: the engine's, safe to call from the loop. cells: the hot endpoint's."""
        self._registry = CollectorRegistry()
        collector = NissaCollector(status, accounting, cells)
        self._registry.register(collector)
        process = ProcessCollector(registry=self._registry)
        as_families = CollectorRegistry()
        as_families.register(process)
        as_families.register(collector.histograms)
        self._self_frames = SelfFrames(as_families, collector.readings, self._registry)

    def expose(self, accept: str, accept_encoding: str) -> tuple[dict[str, str], bytes]:
        """Headers and body of the answer to GET /metrics."""
        return expose(self._registry, accept, accept_encoding)

    def self_frame(self, now_ms: int) -> Frame:
        """Everything as one frame of ``Source.SELF``."""
        return self._self_frames.frame(now_ms)
