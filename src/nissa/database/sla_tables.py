"""Tables of the Gold tier: definitions and daily snapshots of service level agreements.

Triggers refuse to change or delete a snapshot, and a definition but for its end (``migrations/versions/sla_1.py``).
Times are Unix milliseconds; a day is ``2024-11-21``, UTC; a number that is not known is NULL.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text

from nissa.database.tables import METADATA

# Every version of every definition. active_to_ms: 0 of the current one.
sla_definitions = Table(
    "sla_definitions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("service", Text, nullable=False),
    Column("metric_type", Text, nullable=False),
    Column("target", Float, nullable=False),
    Column("time_window", Text, nullable=False),  # 7d, 30d, 90d, quarterly or yearly
    Column("bad", Text, nullable=False),
    Column("total", Text, nullable=False),
    Column("latency", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("active_from_ms", BigInteger, nullable=False),
    Column("active_to_ms", BigInteger, nullable=False),
    Index("sla_definitions_service", "service"),
)

# One row per definition, day and revision, each with the hash of the row before it.
sla_snapshots = Table(
    "sla_snapshots",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 without gaps
    Column("definition_id", Text, nullable=False),
    Column("definition_version", Integer, nullable=False),
    Column("day", Text, nullable=False),
    Column("revision", Integer, nullable=False),  # 0; a correction is the next one
    Column("reason", Text, nullable=False),  # of a correction
    Column("total_events", Float),
    Column("error_events", Float),
    Column("value", Float),  # in the unit of the target
    Column("uptime_percent", Float),
    Column("breach_count", Integer),  # hours of the day that missed the target
    Column("error_budget_burn", Float),
    Column("downtime_minutes", Float, nullable=False),  # of incidents
    Column("evidence", Text, nullable=False),  # JSON
    Column("created_ms", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Index("sla_snapshots_day", "definition_id", "day", "revision", unique=True),
)
