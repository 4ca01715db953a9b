"""The catalogue: which files exist, in SQLite, with checkpoints and settings in force."""
