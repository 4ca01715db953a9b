"""Metrics of Nissa itself: their catalogue, collection and exposition."""
