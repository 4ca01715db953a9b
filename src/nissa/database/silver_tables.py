"""Tables of the Silver tier and of its janitor, and settings that are changed by the API.

Times are Unix milliseconds; tags and values are JSON; a number that is not known is NULL.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Table, Text

from nissa.database.tables import METADATA

metric_rollups = Table(
    "metric_rollups",
    METADATA,
    Column("granularity", Text, primary_key=True),  # minute or hour
    Column("bucket_ms", BigInteger, primary_key=True),  # begin
    Column("key", Text, primary_key=True),  # hash of service, name and tags
    Column("service", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("sum", Float),
    Column("min", Float),
    Column("max", Float),
    Column("p50", Float),
    Column("p90", Float),
    Column("p95", Float),
    Column("p99", Float),
    Index("metric_rollups_service", "service", "name", "bucket_ms"),
)

# Work that only one process at a time may do. until_ms: when a process that is gone has lost it.
work_locks = Table(
    "work_locks",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)

system_config = Table(
    "system_config",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("updated_by", Text, nullable=False),
)
