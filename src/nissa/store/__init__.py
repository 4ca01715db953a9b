"""Blocks, series table and quarantine on disk: writing, merging, reading, verifying."""
