"""Definitions and snapshots of service level agreements, and the triggers that keep them as they are."""

import sqlalchemy as sa
from alembic import op

revision = "sla_1"
down_revision = None
branch_labels = ("sla",)
depends_on = None

_DEFINITION = (
    *("id", "version", "service", "metric_type", "target", "time_window", "bad", "total", "latency"),
    *("description", "changed_by", "active_from_ms"),
)


def upgrade() -> None:
    op.create_table(
        "sla_definitions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("metric_type", sa.Text, nullable=False),
        sa.Column("target", sa.Float, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("time_window", "bad", "total", "latency", "description", "changed_by")
        ),
        sa.Column("active_from_ms", sa.BigInteger, nullable=False),
        sa.Column("active_to_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("sla_definitions_service", "sla_definitions", ["service"])
    op.create_table(
        "sla_snapshots",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("definition_id", sa.Text, nullable=False),
        sa.Column("definition_version", sa.Integer, nullable=False),
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        *(sa.Column(name, sa.Float) for name in ("total_events", "error_events", "value", "uptime_percent")),
        sa.Column("breach_count", sa.Integer),
        sa.Column("error_budget_burn", sa.Float),
        sa.Column("downtime_minutes", sa.Float, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_index("sla_snapshots_day", "sla_snapshots", ["definition_id", "day", "revision"], unique=True)
    if op.get_bind().dialect.name == "sqlite":
        _protect_sqlite()
    else:
        _protect_postgresql()


def _protect_sqlite() -> None:
    """REPLACE deletes without a trigger, so an insertion that would replace a row is refused as well."""
    new, old = (", ".join(f"{side}.{name}" for name in _DEFINITION) for side in ("NEW", "OLD"))
    refused = "BEGIN SELECT RAISE(ABORT, '{}'); END"
    for table, day in (
        ("sla_snapshots", "OR (definition_id, day, revision) = (NEW.definition_id, NEW.day, NEW.revision)"),
        ("sla_definitions", "AND version = NEW.version"),
    ):
        text = refused.format(f"{table} are never changed")
        op.execute(f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} {text}")
        exists = f"EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id {day})"  # noqa: S608 - no text of others
        op.execute(f"CREATE TRIGGER {table}_replaced BEFORE INSERT ON {table} WHEN {exists} {text}")
    text = refused.format("sla_snapshots are never changed")
    op.execute(f"CREATE TRIGGER sla_snapshots_frozen BEFORE UPDATE ON sla_snapshots {text}")
    changed = f"OLD.active_to_ms <> 0 OR ({new}) IS NOT ({old})"
    text = refused.format("of sla_definitions only the end is set, once")
    op.execute(f"CREATE TRIGGER sla_definitions_frozen BEFORE UPDATE ON sla_definitions WHEN {changed} {text}")


def _protect_postgresql() -> None:
    new, old = (", ".join(f"{side}.{name}" for name in _DEFINITION) for side in ("NEW", "OLD"))
    op.execute(
        "CREATE FUNCTION sla_refused() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% are never changed', TG_TABLE_NAME; END $$"
    )
    for table in ("sla_snapshots", "sla_definitions"):
        op.execute(f"CREATE TRIGGER kept BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION sla_refused()")
        op.execute(f"CREATE TRIGGER cleared BEFORE TRUNCATE ON {table} EXECUTE FUNCTION sla_refused()")
    op.execute("CREATE TRIGGER frozen BEFORE UPDATE ON sla_snapshots FOR EACH ROW EXECUTE FUNCTION sla_refused()")
    changed = f"OLD.active_to_ms <> 0 OR ROW({new}) IS DISTINCT FROM ROW({old})"
    op.execute(
        f"CREATE TRIGGER frozen BEFORE UPDATE ON sla_definitions FOR EACH ROW WHEN ({changed}) "
        "EXECUTE FUNCTION sla_refused()"
    )
