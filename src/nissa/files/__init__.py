"""Files with checksums, their names, the lock of the directory, and Arrow columns."""
