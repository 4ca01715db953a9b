"""Redaction: drops events by level and replaces secrets in the rest."""
