"""States of alerts, their transitions and acknowledgements."""

import sqlalchemy as sa
from alembic import op

revision = "alerts_1"
down_revision = None
branch_labels = ("alerts",)
depends_on = None

_COUNTED = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "alert_states",
        sa.Column("rule_group", sa.Text, primary_key=True),
        sa.Column("rule", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.Text, primary_key=True),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("annotations", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("active_at_ms", sa.BigInteger, nullable=False),
        sa.Column("fired_at_ms", sa.BigInteger, nullable=False),
        sa.Column("resolved_at_ms", sa.BigInteger, nullable=False),
        sa.Column("keep_firing_since_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "alert_groups",
        sa.Column("rule_group", sa.Text, primary_key=True),
        sa.Column("evaluated_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "alert_transitions",
        sa.Column("id", _COUNTED, primary_key=True, autoincrement=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("rule_group", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("from_state", sa.Text, nullable=False),
        sa.Column("to_state", sa.Text, nullable=False),
        sa.Column("value", sa.Float),
    )
    op.create_index("alert_transitions_at", "alert_transitions", ["at_ms"])
    op.create_index("alert_transitions_fingerprint", "alert_transitions", ["fingerprint", "at_ms"])
    op.create_table(
        "alert_acknowledgements",
        sa.Column("fingerprint", sa.Text, primary_key=True),
        sa.Column("starts_at_ms", sa.BigInteger, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
    )
