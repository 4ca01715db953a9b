"""Rollups of metrics, locks of work, settings by the API."""

import sqlalchemy as sa
from alembic import op

revision = "silver_1"
down_revision = None
branch_labels = ("silver",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "metric_rollups",
        sa.Column("granularity", sa.Text, primary_key=True),
        sa.Column("bucket_ms", sa.BigInteger, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("service", "name", "tags")),
        sa.Column("count", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Float) for name in ("sum", "min", "max", "p50", "p90", "p95", "p99")),
    )
    op.create_index("metric_rollups_service", "metric_rollups", ["service", "name", "bucket_ms"])
    op.create_table(
        "work_locks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "system_config",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_by", sa.Text, nullable=False),
    )
