"""Shared types: frames, columns, receipts, counters, errors. Data only; no I/O, no clock."""
