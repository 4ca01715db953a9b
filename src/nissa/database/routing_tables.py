"""Tables of routing: alerts, silences, the notification log, and the outbox.

Their revisions are in ``migrations/versions/routing_*.py``. Times are Unix milliseconds; content is MessagePack.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from nissa.database.tables import METADATA

# Alerts that fire, and resolved ones whose resolution is not notified yet.
routed_alerts = Table(
    "routed_alerts",
    METADATA,
    Column("fingerprint", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

silences = Table(
    "silences",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("ends_at_ms", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

# The last notification of each group to each channel.
notification_log = Table(
    "notification_log",
    METADATA,
    Column("group_key", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

# Notifications that are not delivered yet. A row goes when its channel has taken it; a dead letter stays.
outbox = Table(
    "outbox",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("channel", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("died_at_ms", BigInteger, nullable=False),  # 0: not a dead letter
    Column("attempts", Integer, nullable=False),
    Column("reason", Text, nullable=False),  # of the last failure
    Column("content", LargeBinary, nullable=False),
    Index("outbox_died", "died_at_ms"),
)

# One row. mark: random, of this database; next_id: of the next row of the outbox, never used before.
outbox_counter = Table(
    "outbox_counter",
    METADATA,
    Column("mark", Text, primary_key=True),
    Column("next_id", BigInteger, nullable=False),
)
