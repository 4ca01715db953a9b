"""The checkpoint of the audit log: from which entry on the chain goes after older ones were pruned."""

import sqlalchemy as sa
from alembic import op

revision = "access_2"
down_revision = "access_1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_checkpoint",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
