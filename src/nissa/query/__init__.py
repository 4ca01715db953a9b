"""Queries: reading a directory, samples, windows, events and series, and the formats of exports."""
