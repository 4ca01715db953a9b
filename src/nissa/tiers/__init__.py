"""Tiers of data by their value: service level agreements with their daily snapshots, which are kept for ever."""
