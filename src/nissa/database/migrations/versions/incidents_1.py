"""Incidents, their keys, timeline and alerts."""

import sqlalchemy as sa
from alembic import op

revision = "incidents_1"
down_revision = None
branch_labels = ("incidents",)
depends_on = None

_COUNTED = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TEXTS = ("key", "state", "title", "service", "severity", "urgency", "responder", "source")
_TIMES = ("started_ms", "created_ms", "acknowledged_ms", "resolved_ms")


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", _COUNTED, primary_key=True, autoincrement=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("announced", sa.Integer, nullable=False),
        sa.Column("announced_as", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in _TEXTS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _TIMES),
        sa.Column("escalation", sa.Integer, nullable=False),
        sa.Column("escalate_ms", sa.BigInteger, nullable=False),
        sa.Column("merged_into", sa.BigInteger, nullable=False),
        sa.Column("pinned_to_ms", sa.BigInteger, nullable=False),
        sa.Column("evidence", sa.Text),
    )
    op.create_index("incidents_state", "incidents", ["state", "escalate_ms"])
    op.create_index("incidents_service", "incidents", ["service", "created_ms"])
    op.create_table(
        "incident_keys",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("incident_id", sa.BigInteger, nullable=False),
    )
    op.create_index("incident_keys_incident", "incident_keys", ["incident_id"])
    op.create_table(
        "incident_entries",
        sa.Column("id", _COUNTED, primary_key=True, autoincrement=True),
        sa.Column("incident_id", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("incident_entries_incident", "incident_entries", ["incident_id", "id"])
    op.create_table(
        "incident_alerts",
        sa.Column("fingerprint", sa.Text, primary_key=True),
        sa.Column("starts_at_ms", sa.BigInteger, primary_key=True),
        sa.Column("incident_id", sa.BigInteger, nullable=False),
        sa.Column("resolved_at_ms", sa.BigInteger, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("annotations", sa.Text, nullable=False),
    )
    op.create_index("incident_alerts_incident", "incident_alerts", ["incident_id"])
