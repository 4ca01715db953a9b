"""Snapshots of error budgets."""

import sqlalchemy as sa
from alembic import op

revision = "slo_1"
down_revision = None
branch_labels = ("slo",)
depends_on = None

_COUNTED = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "slo_snapshots",
        sa.Column("id", _COUNTED, primary_key=True, autoincrement=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("slo", sa.Text, nullable=False),
        sa.Column("target_percent", sa.Float, nullable=False),
        sa.Column("start_ms", sa.BigInteger, nullable=False),
        sa.Column("events_total", sa.Float, nullable=False),
        sa.Column("events_bad", sa.Float, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("remaining_percent", sa.Float, nullable=False),
        sa.Column("burn_1h", sa.Float),
        sa.Column("burn_6h", sa.Float),
        sa.Column("burn_1d", sa.Float),
        sa.Column("burn_3d", sa.Float),
        sa.Column("exhausted_in_ms", sa.BigInteger),
    )
    op.create_index("slo_snapshots_at", "slo_snapshots", ["at_ms"])
    op.create_index("slo_snapshots_slo", "slo_snapshots", ["slo", "at_ms"])
