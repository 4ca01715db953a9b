"""Constants for units of time and size."""

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
YEAR_MS = 365 * DAY_MS

EVER_MS = (-(2**63), 2**63)  # [start, end) that holds every time an int64 can: its end is not one of them

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
