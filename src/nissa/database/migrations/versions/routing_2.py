"""The counter of the outbox, so that ids of notifications are never used again."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "routing_2"
down_revision = "routing_1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    counter = op.create_table(
        "outbox_counter",
        sa.Column("mark", sa.Text, primary_key=True),
        sa.Column("next_id", sa.BigInteger, nullable=False),
    )
    used = op.get_bind().scalar(sa.text("SELECT max(id) FROM outbox")) or 0
    op.bulk_insert(counter, [{"mark": secrets.token_hex(4), "next_id": used + 1}])
