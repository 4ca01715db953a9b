"""Tables of the catalogue, as steps from one format to the next: ``MIGRATIONS[n]`` makes format n + 1 out of format n.

Steps are only ever added. Each runs in one transaction that also sets ``PRAGMA user_version``.
``docs/format/catalogue.md`` draws the result.
"""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE block (
            id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, level INTEGER NOT NULL, path TEXT NOT NULL UNIQUE,
            rows INTEGER NOT NULL, min_ms INTEGER NOT NULL, max_ms INTEGER NOT NULL,
            series_min INTEGER NOT NULL, series_max INTEGER NOT NULL,
            first_lsn INTEGER NOT NULL, last_lsn INTEGER NOT NULL, created_ms INTEGER NOT NULL,
            bytes INTEGER NOT NULL, crc INTEGER NOT NULL, page_crcs BLOB NOT NULL)""",
        """CREATE TABLE series_segment (
            id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, first_series INTEGER NOT NULL UNIQUE,
            rows INTEGER NOT NULL, bytes INTEGER NOT NULL, crc INTEGER NOT NULL, page_crcs BLOB NOT NULL)""",
        """CREATE TABLE checkpoint (
            one INTEGER PRIMARY KEY CHECK (one = 1), lsn INTEGER NOT NULL, series_count INTEGER NOT NULL,
            tallies TEXT NOT NULL, seen_minutes BLOB NOT NULL)""",
        "CREATE TABLE cursor (name TEXT PRIMARY KEY, lsn INTEGER NOT NULL) WITHOUT ROWID",
        """CREATE TABLE metadata (
            name TEXT PRIMARY KEY, type TEXT NOT NULL, help TEXT NOT NULL, unit TEXT NOT NULL) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE tier (
            name TEXT PRIMARY KEY, place INTEGER UNIQUE, interval_ms INTEGER NOT NULL, retention_ms INTEGER NOT NULL,
            aggregates TEXT NOT NULL, written_until_ms INTEGER NOT NULL, lsn INTEGER NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE pin (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, start_ms INTEGER NOT NULL,
            end_ms INTEGER NOT NULL, created_ms INTEGER NOT NULL)""",
        """CREATE TABLE quarantine (
            path TEXT PRIMARY KEY, kind TEXT NOT NULL, rows INTEGER NOT NULL, min_ms INTEGER NOT NULL,
            max_ms INTEGER NOT NULL, series_min INTEGER NOT NULL, series_max INTEGER NOT NULL,
            first_lsn INTEGER NOT NULL, last_lsn INTEGER NOT NULL, found_ms INTEGER NOT NULL,
            damage TEXT NOT NULL) WITHOUT ROWID""",
        "CREATE TABLE scrub (path TEXT PRIMARY KEY, checked_ms INTEGER NOT NULL) WITHOUT ROWID",
    ),
    ("CREATE TABLE digest (name TEXT PRIMARY KEY, rows INTEGER NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID",),
    (
        """CREATE TABLE claim (
            id INTEGER PRIMARY KEY, kind TEXT NOT NULL, entries INTEGER NOT NULL, crc INTEGER NOT NULL,
            content BLOB NOT NULL)""",
    ),
    (
        "ALTER TABLE series_segment ADD COLUMN last_series INTEGER NOT NULL DEFAULT 0",
        "UPDATE series_segment SET last_series = first_series + rows - 1",
    ),
    (
        "ALTER TABLE block ADD COLUMN tombstone INTEGER NOT NULL DEFAULT 0",
        """CREATE TABLE tombstone (
            id INTEGER PRIMARY KEY AUTOINCREMENT, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
            lsn INTEGER NOT NULL, created_ms INTEGER NOT NULL, series BLOB NOT NULL, tiers TEXT)""",
        "CREATE TABLE expired (kind TEXT PRIMARY KEY, until_ms INTEGER NOT NULL) WITHOUT ROWID",
        # What had expired before was not noted. Blocks go by their last row, so nothing later than this has.
        "INSERT INTO expired SELECT kind, min(max_ms) FROM block WHERE kind != 'events' GROUP BY kind",
    ),
    (
        "ALTER TABLE digest RENAME COLUMN crc TO sum",  # all are written anew with every migration
        "DROP TABLE cursor",  # nobody had one; cursors are in state.sqlite
        "DELETE FROM digest WHERE name = 'cursor'",
    ),
    (),  # raw blocks may be in bands: no table changes, but earlier builds would take their rows for sorted by series
)
FORMAT = len(MIGRATIONS)
DIGESTS_SINCE = 3
GAPS_SINCE = 5  # before, series ids had none, and nothing said which one is a segment's last
TOMBSTONES_SINCE = 6
