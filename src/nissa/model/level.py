"""Levels of events, Leyline's TelemetryLevel: the number stands in columns and blocks, people read the word."""

LEVELS = ("unspecified", "info", "warning", "error", "critical")
