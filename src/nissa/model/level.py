"""Levels of events, those of Leyline's TelemetryLevel: columns and blocks have the number, people read the word."""

LEVELS = ("unspecified", "info", "warning", "error", "critical")
