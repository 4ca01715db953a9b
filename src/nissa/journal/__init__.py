"""The journal: segments, their writer and reader, recovery, captures."""
