"""The schema, step by step."""

import sqlite3

from nissa.catalogue.schema import FORMAT, MIGRATIONS

TABLES = {"block", "checkpoint", "meta", "metadata", "series_segment"}
TABLES |= {"claim", "tombstone", "expired", "pin", "quarantine", "scrub", "tier", "digest"}


def test_steps_make_the_tables_of_the_format_page() -> None:
    """All steps from nothing make the thirteen tables, and there is one step per format."""
    db = sqlite3.connect(":memory:")
    for step in MIGRATIONS:
        for statement in step:
            db.execute(statement)
    names = {
        row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    }
    assert names == TABLES
    assert len(MIGRATIONS) == FORMAT == 8
