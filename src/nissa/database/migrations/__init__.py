"""Revisions of the tables, for alembic."""
