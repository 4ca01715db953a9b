"""Incidents: their life, their evidence, and the post-mortem. The database holds them (``incident_store.py``)."""
