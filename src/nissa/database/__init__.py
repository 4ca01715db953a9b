"""The database of what people and rules decide: states of alerts, acknowledgements, silences, SLO snapshots.

SQLite in the data directory by default, PostgreSQL where ``database.url`` names one; the same tables and migrations.
"""
