"""Facts of the process that the backend does not know: version, settings, clock."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from nissa.api.alert_control import AlertControl
from nissa.api.incident_control import IncidentControl
from nissa.api.rule_control import RuleControl
from nissa.api.series_marking import SeriesMarking
from nissa.api.silver_control import SilverControl
from nissa.api.sink_control import SinkControl
from nissa.api.sla_control import SlaControl
from nissa.api.slo_control import SloControl
from nissa.config.bronze import BronzeSettings
from nissa.config.performance import PerformanceSettings
from nissa.config.status_page import StatusPageSettings
from nissa.query.api_counts import ApiCounts
from nissa.redaction.context import ContextRedaction

if TYPE_CHECKING:
    from nissa.database.database import Database


class AppIntake(Protocol):
    """Telemetry of applications on its way in. On the loop."""

    @property
    def settings(self) -> BronzeSettings:
        """Limits."""

    @property
    def redaction(self) -> ContextRedaction:
        """Rules for texts and contexts of applications."""

    async def events(self, messages: Sequence[bytes]) -> None:
        """Store encoded events; they are durable when this returns. Raises: NissaError."""

    async def samples(self, body: bytes) -> None:
        """Store a write request. Raises: NissaError; BadQuery where some samples were refused."""


class Facts(msgspec.Struct, frozen=True):
    """now_ms: the wall clock. settings: every setting as operators write it, by its path.

    status: parts of ``/api/status`` beside the engine's: sources, sinks, breakers. missing: one line for each source
    that is not up. targets: what is scraped, as ``/api/v1/targets`` lists it. mode: the mode in force. force_mode:
    forces the mode of a name, with a reason; None where nothing is ingested. conserved_samples_max: samples of one
    query while a mode limits it, 0 while none does. remote_mode: a mode may be forced from other machines.
    sinks: those of the daemon; None where none are configured.
    alerting: gives the routing of alerts, or raises Unavailable while it is not open; None where none is configured.
    rules: rules and alerts; None where nothing runs. slos: objectives; the same. api_counts: of requests.
    incidents, sla, silver: those of the daemon; None where there are none. apps: telemetry of applications; the same.
    database: opens the database of users and the audit log, or gives the open one; blocks; None where there is none.
    reload: reads the settings again that can change at run time, and gives changed ones that need a restart; None
    where none can. series_marks: numbers of series by time; None where none are noted. status_page: of the public page.
    performance: of the pages of services. expose: renders GET /metrics: (Accept, Accept-Encoding) → (headers, body);
    None where nothing is ingested.
    """

    now_ms: Callable[[], int]
    version: str = ""
    started_ms: int = 0
    settings: Mapping[str, str] = {}
    status: Callable[[], Mapping[str, Any]] = dict
    missing: Callable[[], Sequence[str]] = list
    targets: Callable[[], Mapping[str, Any]] = dict
    mode: Callable[[], Mapping[str, Any]] = dict
    force_mode: Callable[[str, str], Mapping[str, Any]] | None = None
    conserved_samples_max: Callable[[], int] = int
    remote_mode: bool = False
    sinks: SinkControl | None = None
    alerting: Callable[[], AlertControl] | None = None
    rules: RuleControl | None = None
    slos: SloControl | None = None
    incidents: IncidentControl | None = None
    sla: SlaControl | None = None
    silver: SilverControl | None = None
    api_counts: ApiCounts = msgspec.field(default_factory=ApiCounts)
    apps: AppIntake | None = None
    reload: Callable[[], Awaitable[list[str]]] | None = None
    database: "Callable[[], Database] | None" = None
    series_marks: SeriesMarking | None = None
    status_page: StatusPageSettings = StatusPageSettings()
    performance: PerformanceSettings = PerformanceSettings()
    expose: Callable[[str, str], tuple[dict[str, str], bytes]] | None = None
