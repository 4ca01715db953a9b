"""Creates the configured sources. Their libraries are loaded only if a source is configured."""

from collections.abc import Callable

from nissa.config.sources import Otlp, Sources
from nissa.model.errors import ConfigInvalid
from nissa.model.frame import Source
from nissa.model.intake import Intake
from nissa.safeguards.pace import ReadingPace
from nissa.service.bus_sources import bus_sources
from nissa.service.descriptors import sources_with_room
from nissa.sources.entrance import Entrance
from nissa.sources.graphite import GraphiteSource
from nissa.sources.inlet import Inlet
from nissa.sources.positions import StateStore
from nissa.sources.source import RunningSource


def configured_sources(
    config: Sources,
    data_dir: str,
    intake: Intake,
    now_ms: Callable[[], int],
    state: StateStore,
    body_bytes_max: int,
    pace: ReadingPace,
    entrance: Entrance,
) -> list[RunningSource]:
    """Sources of ``config.sources``, not running yet.

    data_dir: of this process, which its name on buses follows from. now_ms: wall clock, Unix milliseconds. state: the
    store of positions in streams. body_bytes_max: of an answer that a source asks for.
    pace: of reading from buses. entrance: checks of senders that connect over gRPC.

    Raises: ConfigInvalid, naming the path of the setting.
    """
    found: list[RunningSource] = []
    config = sources_with_room(config)
    if config.graphite.listen:
        found.append(GraphiteSource(config.graphite, Inlet(intake, Source.GRAPHITE, now_ms, pace)))
    if config.statsd.listen:
        from nissa.sources.statsd import StatsdSource  # loads Google's protobuf, which takes 30 ms

        found.append(StatsdSource(config.statsd, Inlet(intake, Source.STATSD, now_ms, pace)))
    if config.scrape.config_file or config.scrape.scrape_configs:
        from nissa.sources.scrape.source import ScrapeSource

        found.append(ScrapeSource(config.scrape, Inlet(intake, Source.SCRAPE, now_ms, pace), body_bytes_max))
    if config.otlp.grpc_listen:
        found.append(_otlp_grpc(config.otlp, Inlet(intake, Source.OTLP_GRPC, now_ms, pace), body_bytes_max, entrance))
    return [*found, *bus_sources(config, data_dir, intake, now_ms, state, pace)]


def _otlp_grpc(config: Otlp, inlet: Inlet, body_bytes_max: int, entrance: Entrance) -> RunningSource:
    """Raises: ConfigInvalid where grpcio is not installed, too."""
    try:
        from nissa.sources.otlp_grpc import OtlpGrpcSource  # an extra, and slow to load
    except ModuleNotFoundError as error:
        what = f"gRPC needs grpcio, which is not installed ({error.name}): pip install 'nissa[grpc]'"
        raise ConfigInvalid("sources.otlp.grpc_listen", what) from error
    return OtlpGrpcSource(config, inlet, body_bytes_max, entrance)
