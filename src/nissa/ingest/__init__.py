"""Ingestion: decode, journal, acknowledge, head, seal, recover."""
