"""Incidents of the daemon: takes alerts that want one, and works on what is due at every interval.

    alerts of rules ──► incident="true"? ──► incident in the database          (before routing notifies anybody)
    every interval      escalations due · evidence to gather · range to pin · changes to announce to routing

Everything due is a row of the database, so ``kill -9`` at any step only delays it. What was done twice has no effect: a
pin is found by its name, routing takes an alert by its labels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from nissa.config.tree import Config
from nissa.files.names import DATABASE
from nissa.incidents.lifecycle import LIVE, Escalation, Incident, escalating
from nissa.incidents.reports import alert_report, announcements, opens_incident
from nissa.ingest.engine import Engine
from nissa.model.alert import Alert, AlertReceiver, AlertState
from nissa.model.errors import BadQuery, NissaError, Unavailable
from nissa.model.units import HOUR_MS, MINUTE_MS
from nissa.service.repeated_work import RepeatedWork

if TYPE_CHECKING:
    from nissa.api.rule_control import RuleControl
    from nissa.database.database import Database
    from nissa.incidents.incident_store import IncidentStore
    from nissa.service.incident_evidence import EvidenceReader

SETTLED_MAX: Final = 100_000  # firings of alerts of which the database is not asked again
ALERTS_SHOWN_MAX: Final = 200
RULES_WAIT_MS: Final = MINUTE_MS
AGAIN_WITHIN_MS: Final = HOUR_MS  # evidence that could not be gathered again for so long stays
COUNTS: Final = ("escalations", "evidence", "failures", "refused")

log = structlog.get_logger()


class IncidentTasks:
    """Incidents, and the receiver of alerts before routing. ``put`` and the store are safe from any thread."""

    path: Final = "incidents"

    def __init__(
        self,
        config: Config,
        engine: Engine,
        database: "Callable[[], Database]",
        routing: AlertReceiver,
        rules: "RuleControl",
        now_ms: Callable[[], int],
    ) -> None:
        """database: opens it, or gives the open one; blocks. routing: takes alerts after incidents.

        rules: evaluations and past alerts, for the evidence.
        """
        self._config, self._engine = config, engine
        self._settings = config.incidents
        self._database, self._routing, self._now_ms = database, routing, now_ms
        self._rules = rules
        self._store: IncidentStore | None = None
        self._reader: EvidenceReader | None = None
        self._whole = set[int]()  # incidents of the last hour whose evidence is not gathered again
        self._settled: dict[tuple[str, int], AlertState] = {}
        self._counts = dict.fromkeys(COUNTS, 0)
        self._repeated = RepeatedWork("incidents", self._turn, lambda: self._settings.interval_ms, self._counts)
        self._live = {**{str(name): 0 for name in LIVE}, "unpinned": 0}

    # ---- alerts ----

    def put(self, alerts: Sequence[Alert], now_ms: int) -> None:
        """As ``AlertReceiver`` says: routing takes them even where the database of incidents does not answer."""
        failed: NissaError | None = None
        try:
            self.open_for(alerts, now_ms)
        except NissaError as error:
            failed = error
        self._routing.put(alerts, now_ms)
        if failed is not None:
            raise failed

    def open_for(self, alerts: Sequence[Alert], now_ms: int) -> None:
        """As ``IncidentControl`` says: one that fails keeps no other from its incident."""
        failed: NissaError | None = None
        for alert in alerts:
            if not opens_incident(alert):
                continue
            try:
                self._put(alert, now_ms)
            except BadQuery as error:
                self._counts["refused"] += 1
                log.warning("an alert opens no incident", alert=alert.labels, reason=str(error))
            except NissaError as error:
                self._counts["failures"] += 1
                failed = error
        if failed is not None:
            raise failed

    def _put(self, alert: Alert, now_ms: int) -> None:
        firing = alert.fingerprint, alert.starts_at_ms
        if self._settled.get(firing) is alert.state:
            return
        report = alert_report(alert, self._settings.service_labels)
        resolves = self._settings.resolve_with_alerts
        self.store().put_alert(alert, report, now_ms, self.escalation, resolves=resolves)
        if len(self._settled) >= SETTLED_MAX:
            self._settled.clear()
        self._settled[firing] = alert.state

    # ---- the loop ----

    def start(self) -> None:
        """Begin to work. Without a database there is nothing due, and none is opened until an incident is."""
        self._repeated.start()

    async def stop(self) -> None:
        """End; work under way ends first."""
        await self._repeated.stop()

    def _turn(self) -> None:
        if self._store is not None or self._config.database.url or (self._engine.directory / DATABASE).exists():
            self._work()

    def _work(self) -> None:
        store, now_ms = self.store(), self._now_ms()
        if self.escalation.after_ms:
            store.bring_forward(now_ms + self.escalation.after_ms)
        for incident in store.due(now_ms):
            try:
                store.change(incident.id, escalating(now_ms, self.escalation))
                self._counts["escalations"] += 1
            except BadQuery:  # somebody has acknowledged it meanwhile
                continue
        self._announce(store, now_ms)
        for incident in store.without_evidence():
            self._gather(store, incident, now_ms)
        self._gather_again(store, now_ms)
        self._pin(store, now_ms)
        counts = store.counts()
        self._live |= {str(name): counts.get(name, 0) for name in LIVE}

    def _announce(self, store: "IncidentStore", now_ms: int) -> None:
        taken = []
        for incident, before in store.unannounced():
            alerts, labels = announcements(incident, before, now_ms)
            if alerts:
                self._routing.put(alerts, now_ms)
            taken.append((incident, labels))
        store.announced(taken)

    def _gather_again(self, store: "IncidentStore", now_ms: int) -> None:
        """Evidence of incidents that are a few minutes old: the first one ends when they began."""
        again_ms = self._settings.evidence_again_ms
        if not again_ms:
            return
        found = store.opened_between(now_ms - again_ms - AGAIN_WITHIN_MS, now_ms - again_ms + 1)
        for incident in found:
            earlier = None if incident.id in self._whole else store.evidence(incident.id)
            if earlier is not None:
                if earlier["at_ms"] < incident.created_ms + again_ms:
                    self._gather(store, incident, now_ms, earlier)
                self._whole.add(incident.id)
        self._whole &= {incident.id for incident in found}

    def _gather(
        self, store: "IncidentStore", incident: Incident, now_ms: int, earlier: Mapping[str, Any] | None = None
    ) -> None:
        from nissa.service.incident_evidence import EvidenceReader  # loads the evaluator of PromQL

        if self._reader is None:
            self._reader = EvidenceReader(self._engine, self._config)
        fingerprints = {alert.fingerprint for alert in store.alerts(incident.id)}
        expressions = self._expressions(fingerprints)
        if earlier is not None:
            expressions = expressions or [graph["expression"] for graph in earlier["graphs"]]
        elif fingerprints and not expressions and now_ms - incident.created_ms < RULES_WAIT_MS:
            return  # its rule is not read yet after a restart
        found = self._reader.gather(incident, expressions, now_ms)
        past = self._history(found["start_ms"], now_ms)
        if earlier is None:
            store.keep_evidence(incident.id, {**found, "alerts": past})
        elif len(found["missing"]) <= len(earlier["missing"]):
            store.replace_evidence(incident.id, {**found, "alerts": past})
        self._counts["evidence"] += 1

    def _expressions(self, fingerprints: set[str]) -> list[str]:
        """Expressions of the rules whose alerts are linked."""
        groups = self._rules.evaluations()
        states = (state for evaluation, _ in groups for state in evaluation.states)
        found = [state.rule.expression for state in states if fingerprints & state.alerts.keys()]
        return [text for text in dict.fromkeys(found) if text]

    def _history(self, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        past = self._rules.history(start_ms, end_ms + 1, "", ALERTS_SHOWN_MAX)
        names = ("at_ms", "rule", "labels", "from_state", "to_state", "value")
        return [{name: getattr(one, name) for name in names} for one in past]

    def _pin(self, store: "IncidentStore", now_ms: int) -> None:
        """Keep the raw data of incidents from retention, until a while after them, or after now."""
        window_ms, wanted = self._settings.evidence_window_ms, store.unpinned(now_ms, self._settings.evidence_window_ms)
        for place, one in enumerate(wanted):
            end_ms = (one.resolved_ms or now_ms) + window_ms
            try:
                self._engine.admin.keep_pin(f"incident {one.id}", one.started_ms - window_ms, end_ms)
            except BadQuery as error:  # the limit of pins: tried again every turn
                if not self._live["unpinned"]:
                    log.warning("data of incidents are not kept from retention", incident=one.id, reason=str(error))
                self._live["unpinned"] = len(wanted) - place
                return
            store.note_pin(one.id, end_ms)
        self._live["unpinned"] = 0

    # ---- IncidentControl ----

    @property
    def escalation(self) -> Escalation:
        """As the settings have it."""
        return Escalation(self._settings.escalate_after_ms, self._settings.escalations_max)

    @property
    def events_per_minute_max(self) -> int:
        """Events of one sender; 0 for any number."""
        return int(self._settings.events_per_minute_max)

    def store(self) -> "IncidentStore":
        """The incidents; opens the database. Blocks. Raises: Unavailable."""
        if self._store is None:
            from nissa.incidents.incident_store import IncidentLimits, IncidentStore  # loads SQLAlchemy

            own = self._settings
            limits = IncidentLimits(own.open_max, own.alerts_max, own.timeline_entries_max)
            try:
                self._store = IncidentStore(self._database(), limits)
            except NissaError as error:
                raise Unavailable(f"incidents: {error}") from error
        return self._store

    def status(self) -> dict[str, Any]:
        """Facts for ``/api/status`` and metrics."""
        return {**self._counts, **self._live}
