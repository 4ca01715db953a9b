"""Tables, as SQLAlchemy Core writes statements for them. Their revisions are in ``migrations/versions``.

Times are Unix milliseconds; labels and annotations are JSON objects of texts; a value that is not a number is NULL.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text

METADATA = MetaData()

_COUNTED = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only what it calls INTEGER

# Alerts that are active or were resolved a short time ago; a row goes when the alert is forgotten.
alert_states = Table(
    "alert_states",
    METADATA,
    Column("rule_group", Text, primary_key=True),  # file;group
    Column("rule", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    Column("labels", Text, nullable=False),
    Column("annotations", Text, nullable=False),
    Column("state", Text, nullable=False),  # pending, firing or resolved
    Column("value", Float),
    Column("active_at_ms", BigInteger, nullable=False),
    Column("fired_at_ms", BigInteger, nullable=False),  # 0: not yet
    Column("resolved_at_ms", BigInteger, nullable=False),
    Column("keep_firing_since_ms", BigInteger, nullable=False),
)

# When a group with pending alerts was evaluated last: time without evaluations does not count towards ``for``.
alert_groups = Table(
    "alert_groups",
    METADATA,
    Column("rule_group", Text, primary_key=True),
    Column("evaluated_at_ms", BigInteger, nullable=False),
)

# Every change of a state.
alert_transitions = Table(
    "alert_transitions",
    METADATA,
    Column("id", _COUNTED, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("rule_group", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    Column("value", Float),
    Index("alert_transitions_at", "at_ms"),
    Index("alert_transitions_fingerprint", "fingerprint", "at_ms"),
)

# An error budget at each evaluation.
slo_snapshots = Table(
    "slo_snapshots",
    METADATA,
    Column("id", _COUNTED, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("slo", Text, nullable=False),
    Column("target_percent", Float, nullable=False),
    Column("start_ms", BigInteger, nullable=False),  # of the window
    Column("events_total", Float, nullable=False),
    Column("events_bad", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("remaining_percent", Float, nullable=False),
    Column("burn_1h", Float),
    Column("burn_6h", Float),
    Column("burn_1d", Float),
    Column("burn_3d", Float),
    Column("exhausted_in_ms", BigInteger),
    Index("slo_snapshots_at", "at_ms"),
    Index("slo_snapshots_slo", "slo", "at_ms"),
)

# An acknowledgement is of one firing: it ends when the alert resolves.
alert_acknowledgements = Table(
    "alert_acknowledgements",
    METADATA,
    Column("fingerprint", Text, primary_key=True),
    Column("starts_at_ms", BigInteger, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("user", Text, nullable=False),
    Column("comment", Text, nullable=False),
)

# Users of the API, of which passwords are known by their argon2 hash.
access_users = Table(
    "access_users",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

# API tokens, by the SHA-256 of their secret.
access_tokens = Table(
    "access_tokens",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # separated by spaces
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),  # 0: never
    Index("access_tokens_digest", "digest", unique=True),
)

# Sessions of browsers, by the SHA-256 of their secret.
access_sessions = Table(
    "access_sessions",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("access_sessions_expires", "expires_ms"),
)

# Changes by users, each entry with the hash of the one before it.
audit_entries = Table(
    "audit_entries",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # without gaps, from 1 or behind the checkpoint on
    Column("at_ms", BigInteger, nullable=False),
    Column("user", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("before", Text, nullable=False),  # JSON
    Column("after", Text, nullable=False),  # JSON
    Column("hash", Text, nullable=False),
    Index("audit_entries_at", "at_ms"),
)
audit_checkpoint = Table(  # one row at most: the last entry that was pruned
    "audit_checkpoint",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
)
