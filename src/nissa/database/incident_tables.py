"""Tables of incidents. Their revisions are in ``migrations/versions/incidents_*.py``.

Times are Unix milliseconds, 0 for not yet; labels, annotations and evidence are JSON.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from nissa.database.tables import METADATA

_COUNTED = BigInteger().with_variant(Integer, "sqlite")

incidents = Table(
    "incidents",
    METADATA,
    Column("id", _COUNTED, primary_key=True, autoincrement=True),
    Column("revision", Integer, nullable=False),  # of the row: every change counts it up
    Column("announced", Integer, nullable=False),  # revision that routing has taken
    Column("announced_as", Text, nullable=False),  # labels of the alerts that it took
    Column("key", Text, nullable=False),
    Column("state", Text, nullable=False),  # open, acknowledged, resolved or merged
    Column("title", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("urgency", Text, nullable=False),
    Column("responder", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("acknowledged_ms", BigInteger, nullable=False),
    Column("resolved_ms", BigInteger, nullable=False),
    Column("escalation", Integer, nullable=False),
    Column("escalate_ms", BigInteger, nullable=False),  # next escalation; 0: none
    Column("merged_into", BigInteger, nullable=False),  # 0: in none
    Column("pinned_to_ms", BigInteger, nullable=False),  # end of the range that is kept from retention
    Column("evidence", Text),  # NULL: not gathered yet
    Index("incidents_state", "state", "escalate_ms"),
    Index("incidents_service", "service", "created_ms"),
)

# Keys of incidents that are not resolved, those of merged ones included: each leads to one incident.
incident_keys = Table(
    "incident_keys",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("incident_id", BigInteger, nullable=False),
    Index("incident_keys_incident", "incident_id"),
)

# Every change of an incident, and comments.
incident_entries = Table(
    "incident_entries",
    METADATA,
    Column("id", _COUNTED, primary_key=True, autoincrement=True),
    Column("incident_id", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index("incident_entries_incident", "incident_id", "id"),
)

# Firings of alerts, each linked to one incident.
incident_alerts = Table(
    "incident_alerts",
    METADATA,
    Column("fingerprint", Text, primary_key=True),
    Column("starts_at_ms", BigInteger, primary_key=True),
    Column("incident_id", BigInteger, nullable=False),
    Column("resolved_at_ms", BigInteger, nullable=False),
    Column("labels", Text, nullable=False),
    Column("annotations", Text, nullable=False),
    Index("incident_alerts_incident", "incident_id"),
)
